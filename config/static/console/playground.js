// The playground: sends the call, and shows what left, what came back and what it cost.
"use strict";

(() => {
    const form = document.getElementById("ch-play");
    if (!form) return;
    const at = (id) => document.getElementById(id);
    const PLACEHOLDER = "\\[[A-Z][A-Z0-9_]*_[A-Z0-9]{5}\\]";
    const COLOURS = 6;
    const SVG = "http://www.w3.org/2000/svg";
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

    // Stand-ins are marked where they stand: placeholders, and surrogates, which look like anything.
    function marked(text, types, found) {
        const shown = document.createDocumentFragment();
        const written = Object.keys(found ?? {}).filter(Boolean).sort((one, other) => other.length - one.length);
        const stands = written.map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
        let from = 0;
        for (const match of text.matchAll(new RegExp([...stands, PLACEHOLDER].join("|"), "g"))) {
            shown.append(text.slice(from, match.index));
            const type = found?.[match[0]]?.type ?? match[0].slice(1, -7);
            const score = found?.[match[0]]?.score;
            const mark = element("mark", match[0], `ch-mark ch-series-${colour(types, type)}`);
            mark.title = score === undefined ? type : `${type}, score ${score.toFixed(2)}`;
            shown.append(mark);
            from = match.index + match[0].length;
        }
        shown.append(text.slice(from));
        return shown;
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
            text.append(marked(contentOf(message), types, sent.found));
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
            showPassages(sent.passages);
        }
        if (usage) {
            fact("Tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`);
            fact("Cost", `$${usage.cost}`);
        }
        showSteps(state.steps);
        const times = [];
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

    // Where a step stands on the line of the whole call, as wide as it took.
    function showSteps(steps) {
        const took = Object.entries(steps ?? {});
        const all = took.reduce((sum, [, ms]) => sum + ms, 0);
        at("play-steps-part").hidden = !all;
        let before = 0;
        at("play-steps").replaceChildren(
            ...took.map(([name, ms]) => {
                const line = element("li");
                const track = document.createElementNS(SVG, "svg");
                for (const [key, value] of [["class", "ch-took-line"], ["viewBox", "0 0 100 6"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) track.setAttribute(key, value);
                const bar = document.createElementNS(SVG, "rect");
                for (const [key, value] of [["x", (before / all) * 100], ["width", Math.max((ms / all) * 100, 0.5)], ["height", 6], ["rx", 1]]) bar.setAttribute(key, value);
                track.append(bar);
                before += ms;
                line.append(element("span", name), track, element("span", `${ms} ms`, "ch-num"));
                return line;
            }),
        );
    }

    function showPassages(passages) {
        at("play-passages-part").hidden = !passages.length;
        at("play-passages").replaceChildren(
            ...passages.map((one) => {
                const held = element("details");
                const place = [`[${one.number}] ${one.title}`, one.page && `page ${one.page}`, `score ${one.score.toFixed(2)}`];
                held.append(element("summary", place.filter(Boolean).join(", ")), element("p", one.text));
                return held;
            }),
        );
    }

    // Marks in the answer lead to what they cite.
    function linkMarks(citations) {
        const said = at("play-answer").firstChild;
        const numbers = new Set(citations.map((one) => one.number));
        const text = said.textContent;
        const made = document.createDocumentFragment();
        let from = 0;
        for (const match of text.matchAll(/\[(\d+)\]/g)) {
            if (!numbers.has(Number(match[1]))) continue;
            const link = element("a", match[0], "ch-link");
            link.href = `#play-cited-${match[1]}`;
            made.append(text.slice(from, match.index), link);
            from = match.index + match[0].length;
        }
        made.append(text.slice(from));
        said.replaceChildren(made);
    }

    function showCitations(citations) {
        at("play-citations").replaceChildren(
            ...citations.map((one) => {
                const line = element("li");
                line.value = one.number;
                line.id = `play-cited-${one.number}`;
                line.tabIndex = -1;
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
        } else if (name === "done") {
            state.steps = data.steps;
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
            if (data.citations) state.citations = data.citations;
        }
    }

    function takeEvents(state, text) {
        let name = "";
        for (const line of text.split("\n")) {
            if (line.startsWith("event: ")) name = line.slice(7);
            else if (line.startsWith("data: ") && line !== "data: [DONE]") take(state, name, JSON.parse(line.slice(6)));
        }
    }

    function post(address, body) {
        return fetch(address, {
            method: "POST",
            headers: { "Content-Type": "application/json", "X-CSRFToken": form.csrfmiddlewaretoken.value },
            body: JSON.stringify(body),
            signal: running.signal,
        });
    }

    // With a draft nothing is sent: the policies' own simulation says what would leave.
    async function tryDraft(policy) {
        const answer = await post(form.dataset.simulate, { policy, messages: asked().messages });
        const found = await answer.json().catch(() => null);
        if (!answer.ok) return fail(found?.detail ?? "The draft could not be tried. Load the page again.");
        const { before, after } = found;
        if (after.decision === "deny") return fail(`The draft would refuse this call: ${after.reason}`);
        const counts = {};
        const stands = {};
        for (const one of after.entities) {
            counts[one.type] = (counts[one.type] ?? 0) + 1;
            stands[one.replacement] = { type: one.type, score: one.score };
        }
        showSent({ messages: after.messages, entities: counts, found: stands });
        const was = before.decision === "deny" ? `is refused: ${before.reason}` : `masks ${before.entities.length}`;
        at("play-answer").replaceChildren(element("p", `Nothing was sent. The draft masks ${after.entities.length}; the policy in force ${was}.`, "ch-empty-line"));
    }

    async function call(state) {
        const key = form.key?.value ? `?key=${encodeURIComponent(form.key.value)}` : "";
        const answer = await post(form.dataset.call + key, asked());
        if (answer.headers.get("content-type") !== "text/event-stream") {
            const problem = await answer.json().catch(() => null);
            return fail(problem?.error?.message ?? "You may not do this any more. Load the page again.");
        }
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
            if (form.policy?.value) await tryDraft(form.policy.value);
            else await call(state);
        } catch (problem) {
            fail(problem.name === "AbortError" ? "Stopped. What was delivered is charged." : "The gateway does not answer. Try again in a moment.");
        }
        for (const id of ["play-sent", "play-answer"]) {
            if (at(id).textContent === "…") at(id).replaceChildren(element("p", id === "play-sent" ? "Nothing left." : "No answer.", "ch-empty-line"));
        }
        if (state.citations) {
            showCitations(state.citations);
            linkMarks(state.citations);
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
