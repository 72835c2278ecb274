"""The playground: a signed-in person's call is a call like any other, and tells what left."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.urls import reverse

from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import scope
from tenants.models import ApiKey, Membership
from tenants.services import add_person, remove_person
from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

PASSWORD = "correct horse battery staple"
PAGE, CALL = "/console/playground/", "/console/playground/call/"
Enter = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def enter(gateway: Gateway) -> Iterator[Enter]:
    """Signs somebody of a role in (`admin`, or another one as `admin/2`); the client sends their CSRF token."""
    clients: dict[str, httpx.Client] = {}

    def signed_in(role: str) -> httpx.Client:
        if role not in clients:
            email, plain = f"{token_hex(4)}@acme.example", role.partition("/")[0]
            with scope(gateway.acme.id):
                add_person(email, role.title(), plain, 1, [gateway.acme.departments["legal"]], PASSWORD)
            client = clients[role] = httpx.Client(base_url=gateway.root, timeout=30)
            client.get("/console/login/")
            login = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            assert client.post("/console/login/", data=login).status_code == 302
            client.headers["x-csrftoken"] = client.cookies["csrftoken"]
        return clients[role]

    yield signed_in
    for client in clients.values():
        client.close()


def play(client: httpx.Client, model: str, text: str, key: str = "", **more: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events that a call is answered by: (name, data)."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    answer = client.post(CALL, params={"key": key} if key else None, json=body)
    assert answer.status_code == 200, answer.text
    found = []
    for event in filter(None, answer.text.split("\n\n")):
        name, data = re.fullmatch(r"(?:event: (\w+)\n)?data: (.*)", event, re.S).groups()  # type: ignore[union-attr]
        if data != "[DONE]":
            found.append((name or "", json.loads(data)))
    return found


def words(events: list[tuple[str, dict[str, Any]]]) -> str:
    chunks = [data for name, data in events if not name]
    return "".join(choice["delta"].get("content") or "" for data in chunks for choice in data.get("choices", ()))


def test_it_shows_what_left_and_gives_the_answer_back_whole(gateway: Gateway, vendor: Vendor, enter: Enter):
    text = "Write to ann.keller@example.com about the lease."
    events = play(enter("developer"), gateway["echo"], text)
    name, sent = events[0]
    assert events[1][0] == "answering"
    assert (name, sent["entities"]["EMAIL_ADDRESS"], sent["policy"]) == ("sent", 1, "baseline")
    assert "ann.keller" not in json.dumps(sent)
    assert sent["messages"] == json.loads(vendor.inbox[-1])["messages"]
    assert text in words(events)
    assert any("cost" in (data.get("usage") or {}) for _, data in events)
    placeholder = re.search(r"\[EMAIL_ADDRESS_\w{5}\]", sent["messages"][0]["content"])
    assert placeholder is not None
    assert 0.5 <= sent["found"][placeholder[0]]["score"] <= 1
    assert sent["found"][placeholder[0]]["type"] == "EMAIL_ADDRESS"
    name, done = events[-1]
    assert name == "done"
    assert {"record", "model"} <= set(done["steps"])


def test_it_is_recorded_as_the_persons_call(gateway: Gateway, enter: Enter):
    request = play(enter("member"), gateway["fixed"], "Hello")[0][1]["request_id"]
    intent, outcome = sorted(gateway.events(request), key=lambda event: event["seq"])
    assert [intent["action"], outcome["action"]] == ["call.intent", "call.outcome"]
    assert (outcome["actor"]["type"], outcome["actor"]["name"], outcome["department"]) == ("user", "Member", "legal")
    assert outcome["tokens"]["output"] > 0


def test_a_policy_manager_tries_prompts_here_and_nowhere_else(gateway: Gateway, enter: Enter):
    assert play(enter("policy_manager"), gateway["fixed"], "Hello")[0][0] == "sent"
    assert gateway.ask("fixed", "Hello", key=gateway.acme.keys["policy_manager"]).status_code == 403


@pytest.mark.parametrize("role", ["auditor", "billing_manager"])
def test_others_find_no_playground(gateway: Gateway, enter: Enter, role: str):
    client = enter(role)
    assert client.get(PAGE).status_code == 403
    assert client.post(CALL, json={}).status_code == 403
    assert PAGE not in client.get("/console/").text


def test_what_is_refused_is_said_with_the_next_step(gateway: Gateway, enter: Enter):
    name, refused = play(enter("developer"), "no-such-model", "Hello")[0]
    assert (name, refused["error"]["code"]) == ("refused", "model_not_found")
    broken = enter("developer").post(CALL, content=b"{")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_request")


def test_another_site_cannot_make_somebody_call(gateway: Gateway, enter: Enter):
    headers = {"x-csrftoken": ""}
    assert enter("developer").post(CALL, json={}, headers=headers).status_code == 403
    assert httpx.post(gateway.root + CALL, json={}).status_code in (302, 403)


def test_the_page_offers_models_that_answer_in_words(gateway: Gateway, enter: Enter):
    talks, embeds, reranks = gateway["fixed"], gateway["embed"], gateway["rerank"]
    page = enter("developer").get(PAGE).text
    offered = re.findall(r"<option>([^<]*)</option>", page)
    assert {talks, "local-extractive"} <= set(offered)
    assert {embeds, reranks, "local-rerank"}.isdisjoint(offered)
    assert reverse("admin:playground_call") in page


def test_an_answer_from_documents_names_them(gateway: Gateway, enter: Enter):
    with scope(gateway.acme.id):
        create_collection("leases")
        rent = "The monthly rent of the Hamburg warehouse is 12,400 euros."
        ingest_now(Upload(collection="leases", title="Lease", external_id="lease", text=rent))
    question = "What is the monthly rent of the Hamburg warehouse?"
    events = play(enter("developer"), "local-extractive", question, retrieval={"collections": ["leases"]})
    (passage,) = events[0][1]["passages"]
    assert (passage["title"], passage["number"], "12,400 euros" in passage["text"]) == ("Lease", 1, True)
    assert "retrieval" in events[-1][1]["steps"]
    assert "12,400 euros" in words(events)
    cited = [one for _, data in events for one in data.get("citations", ())]
    assert [one["document"]["title"] for one in cited] == ["Lease"]


def while_streaming(client: httpx.Client, body: dict[str, Any], change: Callable[[], Any]) -> tuple[float, str]:
    """Makes a change once the answer has begun: seconds until the stream ended after it, and all of the stream."""
    said, changed = "", 0.0
    with client.stream("POST", CALL, json=body) as answer:
        for part in answer.iter_text():
            said += part
            if not changed and said.count('"delta"') > 3:
                change()
                changed = time.monotonic()
    return time.monotonic() - changed, said


def test_a_change_elsewhere_ends_no_answer_and_a_lost_place_does(gateway: Gateway, enter: Enter):
    slow, client = gateway["slow"], enter("admin")
    body = {"model": slow, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40}
    _, said = while_streaming(client, body, lambda: gateway.manage("POST", "departments", {"slug": "new", "name": "N"}))
    assert "revoked" not in said
    assert "data: [DONE]" in said
    with scope(gateway.acme.id):
        place = Membership.objects.get(user__name="Admin")
    waited, said = while_streaming(client, {**body, "max_tokens": 200}, lambda: lose(gateway, place))
    assert waited < 2
    assert '"code":"revoked"' in said.replace(" ", "")


def lose(gateway: Gateway, place: Membership) -> None:
    with scope(gateway.acme.id):
        remove_person(place)


def test_it_says_who_answered_after_a_fallback(gateway: Gateway, enter: Enter):
    names = [gateway["error-500"], gateway["fixed"]]
    routes = [{"deployment": name, "priority": place} for place, name in enumerate(names, 1)]
    both = f"{gateway.run}-both"
    gateway.manage("POST", "models", {"name": both, "deployments": routes}, expect=201)
    gateway.wait_for_model(both)
    events = dict(play(enter("developer"), both, "Hello")[:2])
    assert events["sent"]["candidates"][0].endswith("/error-500")
    assert events["answering"]["model"].endswith("/fixed")


def test_a_body_is_as_large_as_elsewhere_at_most(gateway: Gateway, enter: Enter):
    large = enter("developer").post(CALL, content=b"x" * (settings.REQUEST_MAX_BYTES + 1))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "request_too_large")


def new_key(gateway: Gateway, client: httpx.Client, **fields: Any) -> str:
    """A key of acme's sales that the worker knows, by its id."""
    made = gateway.manage("POST", "api-keys", {"department": "sales", **fields}, expect=201)["id"]
    until = time.monotonic() + 5
    while "not active" in json.dumps(play(client, "no-such-model", "Hello", key=made)) and time.monotonic() < until:
        time.sleep(0.05)
    return str(made)


def test_a_key_is_tried_by_those_who_may_renew_it(gateway: Gateway, enter: Enter):
    key = new_key(gateway, enter("owner"), name="tried")
    events = play(enter("owner"), gateway["fixed"], "Hello", key=key)
    intent, outcome = sorted(gateway.events(events[0][1]["request_id"]), key=lambda event: event["seq"])
    assert (intent["actor"]["type"], intent["actor"]["id"], intent["department"]) == ("key", key, "sales")
    with scope(gateway.acme.id):
        owner = Membership.objects.get(user__name="Owner").user_id
    assert intent["detail"]["tried_by"] == str(owner)
    steps = [name for name, ms in outcome["detail"]["steps"] if ms > 0]
    assert steps[-2:] == ["record", "model"]
    assert f'value="{key}"' in enter("owner").get(PAGE).text


def test_somebody_elses_key_is_not_there_to_try(gateway: Gateway, enter: Enter):
    key = new_key(gateway, enter("owner"), name="not yours")
    with scope(house("globex", ("research",)).id):
        foreign = str(ApiKey.objects.values_list("pk", flat=True)[0])
    assert f'value="{key}"' not in enter("developer").get(PAGE).text
    body = {"model": gateway["fixed"], "messages": [{"role": "user", "content": "Hello"}]}
    for role, asked in (("developer", key), ("developer", "x"), ("owner", foreign)):
        refused = enter(role).post(CALL, params={"key": asked}, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")


def test_a_key_is_tried_within_its_own_bounds(gateway: Gateway, enter: Enter):
    key = new_key(gateway, enter("owner"), name="narrow", models=[gateway["echo"]])
    name, refused = play(enter("owner"), gateway["fixed"], "Hello", key=key)[0]
    assert (name, refused["error"]["code"]) == ("refused", "model_not_allowed")


def test_a_key_above_oneself_is_not_there_to_try(gateway: Gateway, enter: Enter):
    """Nobody reads by a key what they could not hand out: neither above their clearance nor above their role."""
    owner = gateway.acme.owner_key
    above = ({"name": "secret", "clearance": "restricted"}, {"name": "owner's", "role": "owner"})
    made = [gateway.manage("POST", "api-keys", {"department": "sales", **key}, owner, expect=201) for key in above]
    admin = enter("admin/2")
    body = {"model": gateway["fixed"], "messages": [{"role": "user", "content": "Hello"}]}
    for key in (one["id"] for one in made):
        assert f'value="{key}"' not in admin.get(PAGE).text
        refused = admin.post(CALL, params={"key": key}, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "key")
