// Passkeys: a form with data-passkey asks the server for a challenge, the browser for a passkey, and is sent with its answer.
"use strict";

(() => {
    const SENTENCES = {
        NotAllowedError: "No passkey was used: it was cancelled, took too long, or this device has none for this site. Try again, or use another way.",
        InvalidStateError: "This device has a passkey of yours already. Use that one, or choose another device.",
        SecurityError: "Passkeys do not work at this address: they need a name (as localhost) instead of a number, and HTTPS.",
        NotSupportedError: "This device cannot make a passkey of the kind that is needed. Choose another one.",
        AbortError: "No passkey was used: it was interrupted. Try again.",
    };
    const NONE = "This browser has no passkeys here. Take a newer one, open the console by HTTPS, or use another way.";
    const AWAY = "The server cannot be reached. Check your connection, then try again.";

    function bytes(text) {
        const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
        return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
    }

    function text(buffer) {
        const plain = String.fromCharCode(...new Uint8Array(buffer));
        return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    }

    function known(list) {
        return (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
    }

    async function create(options) {
        const user = { ...options.user, id: bytes(options.user.id) };
        const excludeCredentials = known(options.excludeCredentials);
        const publicKey = { ...options, challenge: bytes(options.challenge), user, excludeCredentials };
        return navigator.credentials.create({ publicKey });
    }

    async function get(options) {
        const allowCredentials = known(options.allowCredentials);
        return navigator.credentials.get({
            publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials },
        });
    }

    function answerOf(made) {
        const response = {};
        for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
            if (made.response[name]) response[name] = text(made.response[name]);
        }
        return { id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} };
    }

    async function begin(form) {
        let reply;
        try {
            reply = await fetch(form.dataset.begin, { method: "POST", body: new FormData(form) });
        } catch {
            throw new Error(AWAY);
        }
        const said = await reply.json().catch(() => ({}));
        if (!reply.ok || !said.options) throw new Error(said.problem || "This page is too old. Load it again.");
        return said.options;
    }

    async function use(form) {
        if (!window.PublicKeyCredential || !navigator.credentials) throw new Error(NONE);
        const options = await begin(form);
        const made = await (form.dataset.passkey === "create" ? create(options) : get(options));
        const field = document.createElement("input");
        field.type = "hidden";
        field.name = "answer";
        field.value = JSON.stringify(answerOf(made));
        for (const secret of form.querySelectorAll("[name=password]")) secret.disabled = true;
        form.append(field);
        form.submit();
    }

    async function onSubmit(event) {
        event.preventDefault();
        const form = event.currentTarget;
        const button = form.querySelector("button[type=submit]");
        const problem = form.querySelector("[role=alert]");
        if (button.disabled) return;
        button.disabled = true;
        problem.hidden = true;
        try {
            await use(form);
        } catch (error) {
            problem.textContent = SENTENCES[error.name] || error.message;
            problem.hidden = false;
            button.disabled = false;
        }
    }

    for (const form of document.querySelectorAll("form[data-passkey]")) form.addEventListener("submit", onSubmit);
    // Who comes back to a page finds its buttons working.
    window.addEventListener("pageshow", (event) => {
        if (event.persisted) window.location.reload();
    });
})();
