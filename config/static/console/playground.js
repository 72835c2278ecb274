// The playground: sends the call, and shows what left, what came back and what it cost.
"use strict";

(() => {
    const form = document.getElementById("ch-play");
    if (!form) return;
    const at = (id) => document.getElementById(id);
    const PLACEHOLDER = /\[([A-Z][A-Z0-9_]*)_([A-Z0-9]{5})\]/g;
    const COLOURS = 6;
    let running = null;

    function asked() {
        const messages = [];
        if (form.system.value.trim()) messages.push({ role: "system", content: form.system.value });
        messages.push({ role: "user", content: form.prompt.value });
        const body = { model: form.model.value, messages };
        const collections = [...form.querySelectorAll("[name=collection]:checked")].map((box) => box.value);
        if (collections.length) body.retrieval = { collections };
        return body;
    }

    function showCode() {
        const body = asked();
        const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
        at("play-curl").dataset.copy =
            `curl -s ${form.dataset.base}/chat/completions -H "Authorization: Bearer $CUSTOMHOUSE_KEY" -H 'Content-Type: application/json' -d '${quoted}'`;
        const { retrieval, ...plain } = body;
        const more = retrieval ? `, extra_body=json.loads(${JSON.stringify(JSON.stringify({ retrieval }))})` : "";
        at("play-python").dataset.copy =
            `import json, os\n\nimport openai\n\nclient = openai.OpenAI(base_url=${JSON.stringify(form.dataset.base)}, api_key=os.environ["CUSTOMHOUSE_KEY"])\n` +
            `call = json.loads(${JSON.stringify(JSON.stringify(plain))})\nprint(client.chat.completions.create(**call${more}).choices[0].message.content)\n`;
    }

    function element(name, text, className) {
        const made = document.createElement(name);
        if (text !== undefined) made.textContent = text;
        if (className) made.className = className;
        return made;
    }

    // The same type has the same colour, by the order in which types appear.
    function colour(types, type) {
        if (!types.includes(type)) types.push(type);
        return types.indexOf(type) % COLOURS;
    }

    function marked(text, types) {
        const found = document.createDocumentFragment();
        let from = 0;
        for (const match of text.matchAll(PLACEHOLDER)) {
            found.append(text.slice(from, match.index));
            const mark = element("mark", match[0], `ch-mark ch-series-${colour(types, match[1])}`);
            mark.title = match[1];
            found.append(mark);
            from = match.index + match[0].length;
        }
        found.append(text.slice(from));
        return found;
    }

    function contentOf(message) {
        if (typeof message.content === "string") return message.content;
        return (message.content ?? []).map((part) => part.text ?? `(${part.type})`).join("\n");
    }

    function showSent(sent) {
        const types = [];
        const place = at("play-sent");
        place.replaceChildren();
        for (const message of sent.messages ?? []) {
            place.append(element("h3", message.role));
            const text = element("p");
            text.append(marked(contentOf(message), types));
            place.append(text);
        }
        for (const type of Object.keys(sent.entities)) colour(types, type);
        at("play-legend").replaceChildren(
            ...types.map((type) => {
                const line = element("li");
                line.append(element("i", "", `ch-series-${types.indexOf(type) % COLOURS}`), `${type} ${sent.entities[type] ?? ""}`);
                return line;
            }),
        );
    }

    function fact(name, value) {
        if (value === undefined || value === "" || value === null) return;
        const told = at("play-told");
        const held = element("div");
        held.append(element("dt", name), value instanceof Node ? value : element("dd", String(value)));
        told.append(held);
    }

    function showFacts(state) {
        at("play-told").replaceChildren();
        at("play-facts-card").hidden = false;
        const { sent, usage } = state;
        if (sent) {
            fact("Model", state.model);
            fact("Policy", sent.policy);
            const route = sent.route;
            if (route) {
                fact("Candidates", route.candidates.join(", "));
                fact("Rejected", route.rejected.map((one) => `${one.deployment}: ${one.reason}`).join("; "));
                fact("Private", route.private);
            }
            fact("Passages", sent.passages.length || "");
        }
        if (usage) {
            fact("Tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`);
            fact("Cost", `$${usage.cost}`);
        }
        const times = [];
        if (sent) times.push(`decided and masked ${sent.decided_ms} ms`);
        if (state.first) times.push(`first words ${Math.round(state.first - state.began)} ms`);
        if (state.ended) times.push(`all ${Math.round(state.ended - state.began)} ms`);
        fact("Time", times.join(", "));
        if (state.request) {
            const line = element("dd");
            const link = element("a", state.request, "ch-link");
            link.href = form.dataset.calls + state.request;
            line.append(link);
            fact("Call", line);
        }
    }

    function showCitations(citations) {
        at("play-citations").replaceChildren(
            ...citations.map((one) => {
                const line = element("li");
                line.value = one.number;
                const place = [one.document?.title ?? one.document, one.page && `page ${one.page}`, one.section].filter(Boolean).join(", ");
                line.append(element("strong", place), element("q", one.quote ?? ""));
                return line;
            }),
        );
    }

    function fail(message) {
        at("play-problem").textContent = message;
        at("play-problem").hidden = false;
    }

    function take(state, name, data) {
        if (name === "sent") {
            state.sent = data;
            state.request = data.request_id;
            showSent(data);
        } else if (name === "answering") {
            state.model = data.model;
        } else if (name === "refused" || data.error) {
            state.request = data.request_id ?? state.request;
            fail(data.error.message);
        } else {
            const words = data.choices?.[0]?.delta?.content;
            if (words) {
                if (!state.first) {
                    state.first = performance.now();
                    at("play-answer").replaceChildren(element("p"));
                }
                at("play-answer").firstChild.append(words);
            }
            if (data.usage) state.usage = data.usage;
            if (data.citations) showCitations(data.citations);
        }
    }

    function takeEvents(state, text) {
        let name = "";
        for (const line of text.split("\n")) {
            if (line.startsWith("event: ")) name = line.slice(7);
            else if (line.startsWith("data: ") && line !== "data: [DONE]") take(state, name, JSON.parse(line.slice(6)));
        }
    }

    async function send() {
        const state = { began: performance.now() };
        at("play-problem").hidden = true;
        at("play-citations").replaceChildren();
        at("play-legend").replaceChildren();
        at("play-sent").replaceChildren(element("p", "…", "ch-empty-line"));
        at("play-answer").replaceChildren(element("p", "…", "ch-empty-line"));
        running = new AbortController();
        at("play-stop").hidden = false;
        try {
            const answer = await fetch(form.dataset.call, {
                method: "POST",
                headers: { "Content-Type": "application/json", "X-CSRFToken": form.csrfmiddlewaretoken.value },
                body: JSON.stringify(asked()),
                signal: running.signal,
            });
            if (answer.headers.get("content-type") !== "text/event-stream") {
                const problem = await answer.json().catch(() => null);
                fail(problem?.error?.message ?? "You may not do this any more. Load the page again.");
            } else {
                const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
                let waiting = "";
                for (;;) {
                    const { done, value } = await reader.read();
                    if (done) break;
                    waiting += value;
                    const end = waiting.lastIndexOf("\n\n");
                    if (end < 0) continue;
                    for (const event of waiting.slice(0, end).split("\n\n")) takeEvents(state, event);
                    waiting = waiting.slice(end + 2);
                }
            }
        } catch (problem) {
            fail(problem.name === "AbortError" ? "Stopped. What was delivered is charged." : "The gateway does not answer. Try again in a moment.");
        }
        for (const id of ["play-sent", "play-answer"]) {
            if (at(id).textContent === "…") at(id).replaceChildren(element("p", id === "play-sent" ? "Nothing left." : "No answer.", "ch-empty-line"));
        }
        state.ended = performance.now();
        running = null;
        at("play-stop").hidden = true;
        showFacts(state);
    }

    form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (!running) send();
    });
    form.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("input", showCode);
    at("play-stop").addEventListener("click", () => running?.abort());
    showCode();
})();
