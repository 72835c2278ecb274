// What the pages do in the browser: times in the viewer's zone, copying, shortcuts, figures that refresh.
"use strict";

(() => {
    const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
    const hours = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

    function showTimes(root) {
        for (const time of root.querySelectorAll("time.ch-time:not([data-shown])")) {
            const when = new Date(time.dateTime);
            time.querySelector("span").textContent = days.format(when);
            time.querySelector("small").textContent = hours.format(when);
            time.dataset.shown = "1";
        }
    }

    function say(text) {
        const status = document.getElementById("ch-status");
        if (status) status.textContent = text;
    }

    // Browsers offer the clipboard to secure origins only; elsewhere the text is selected and copied the old way.
    async function copy(text) {
        if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
        const area = document.createElement("textarea");
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
    }

    async function onCopy(button) {
        await copy(button.dataset.copy);
        say("Copied");
        const label = button.classList.contains("ch-copy") ? null : button.textContent;
        button.classList.add("ch-copied");
        if (label !== null) button.textContent = "Copied";
        setTimeout(() => {
            button.classList.remove("ch-copied");
            if (label !== null) button.textContent = label;
        }, 1600);
    }

    function typing(element) {
        return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
    }

    function onKey(event) {
        if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
        const search = document.getElementById("searchbar");
        const add = document.getElementById("ch-add");
        const home = document.querySelector(".ch-brand a");
        if (event.key === "/" && search) search.focus();
        else if (event.key === "?") document.getElementById("ch-shortcuts")?.showModal();
        else if (event.key === "n" && add) add.click();
        else if (event.key === "g" && home) home.click();
        else return;
        event.preventDefault();
    }

    document.addEventListener("DOMContentLoaded", () => {
        showTimes(document);
        // On narrow screens each value carries its column's name.
        for (const cell of document.querySelectorAll(".ch-list [data-label]")) {
            cell.dataset.label = cell.dataset.label.charAt(0).toUpperCase() + cell.dataset.label.slice(1);
        }
        document.addEventListener("keydown", onKey);
        document.addEventListener("click", (event) => {
            const button = event.target.closest("[data-copy]");
            if (button) onCopy(button);
        });
        document.addEventListener("htmx:afterSwap", () => showTimes(document));
        // Signed out meanwhile: the refreshed figures would be an empty page.
        document.addEventListener("htmx:beforeSwap", (event) => {
            if (!event.detail.serverResponse.includes('id="ch-figures"')) {
                event.detail.shouldSwap = false;
                window.location.reload();
            }
        });
        // A page that shows a key answers a form: reloading it shows the list instead of making another key.
        const once = document.querySelector("[data-once]");
        if (once) window.history.replaceState(null, "", once.dataset.once);
    });
})();
