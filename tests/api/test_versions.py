"""Nobody overwrites what they have not seen: ETag and If-Match."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

import pytest
from django.test import Client

from tests.api.test_attack import call
from tests.api.test_shapes import BODIES, make
from tests.conftest import House

#: route -> a change that is possible there
CHANGES: dict[str, dict[str, Any]] = {
    "departments": {"name": "Changed"},
    "api-keys": {"name": "Changed"},
    "providers": {"vendor": "changed"},
    "budgets": {"limit": "11.00"},
    "collections": {"classification": "internal"},
}


def send(method: str, path: str, key: str, body: Any = None, **headers: str) -> Any:
    named = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = b"" if body is None else json.dumps(body).encode()
    return Client().generic(method, path, data, "application/json", headers=named)


@pytest.fixture
def thing(acme: House, request: pytest.FixtureRequest) -> str:
    route = request.param
    body = dict(BODIES[route][0])
    for name in ("slug", "name"):
        if name in body:
            body[name] = f"{route}-{token_hex(4)}"
    return f"/api/v1/{route}/{make(acme, route, body)['id']}"


def changed(path: str) -> dict[str, Any]:
    return CHANGES[path.split("/")[3]]


@pytest.mark.parametrize("thing", CHANGES, indirect=True)
def test_it_is_changed_by_those_who_saw_it_as_it_is(acme: House, thing: str):
    tag = send("GET", thing, acme.owner_key)["etag"]
    first = send("PATCH", thing, acme.owner_key, changed(thing), if_match=tag)
    assert first.status_code == 200, first.content
    assert first["etag"] not in ("", tag)
    assert first["etag"] == send("GET", thing, acme.owner_key)["etag"]
    second = send("PATCH", thing, acme.owner_key, changed(thing), if_match=tag)
    assert (second.status_code, second["content-type"]) == (412, "application/problem+json")
    assert send("DELETE", thing, acme.owner_key, if_match=tag).status_code == 412
    assert send("PATCH", thing, acme.owner_key, changed(thing), if_match=f'"x", W/{first["etag"]}').status_code == 200
    assert send("PATCH", thing, acme.owner_key, changed(thing), if_match="*").status_code == 200
    assert send("DELETE", thing, acme.owner_key, if_match=first["etag"]).status_code == 204


@pytest.mark.parametrize("thing", ["departments"], indirect=True)
def test_what_is_not_ones_own_is_not_found_whatever_one_has_seen(acme: House, globex: House, thing: str):
    for tag in ("*", '"x"', send("GET", thing, acme.owner_key)["etag"]):
        assert send("PATCH", thing, globex.owner_key, {"name": "x"}, if_match=tag).status_code == 404
    assert send("PATCH", thing, acme.keys["member"], {"name": "x"}, if_match='"x"').status_code == 403


def test_what_is_made_has_the_tag_that_it_is_shown_with(acme: House):
    for route, (body, _) in BODIES.items():
        unique = {**body, **({"email": f"{token_hex(4)}@acme.example"} if route == "users" else {})}
        for name in ("slug", "name"):
            if name in body:
                unique[name] = f"tag-{token_hex(4)}"
        made = call("post", f"/api/v1/{route}", acme.owner_key, unique)
        shown = call("get", f"/api/v1/{route}/{made.json()['id']}", acme.owner_key)
        assert made["etag"] == shown["etag"], route


def test_what_has_not_changed_is_not_sent_again(acme: House):
    for path in ("/api/v1/departments", f"/api/v1/departments/{acme.departments['legal'].pk}"):
        tag = send("GET", path, acme.owner_key)["etag"]
        again = send("GET", path, acme.owner_key, if_none_match=tag)
        assert (again.status_code, again.content) == (304, b"")
        assert send("GET", path, acme.owner_key, if_none_match='"other"').status_code == 200
