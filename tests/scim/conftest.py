"""An identity provider of Acme's and one of Globex's, each with a key that is for provisioning alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest
from django.test import Client

from tenants.isolation import scope
from tenants.models import Membership, ScimUser
from tests.api.test_attack import call
from tests.conftest import House

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass
class Directory:
    """What an identity provider sends to one tenant."""

    house: House
    key: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        head = {"authorization": f"Bearer {self.key}", **{name.replace("_", "-"): v for name, v in headers.items()}}
        return Client().generic(method, f"/scim/v2{path}", data, "application/scim+json", headers=head)

    def add(self, name: str = "", /, **more: Any) -> dict[str, Any]:
        """A user, made; without a name some new one."""
        name = name or f"{token_hex(5)}@{self.house.slug}.example"
        body = {"schemas": [CORE + "User"], "userName": name, "active": True, **more}
        answer = self.ask("POST", "/Users", body)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def group(self, name: str, *members: dict[str, Any]) -> dict[str, Any]:
        body = {"schemas": [CORE + "Group"], "displayName": name, "members": [{"value": one["id"]} for one in members]}
        answer = self.ask("POST", "/Groups", body)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def change(self, path: str, *operations: dict[str, Any], status: int = 200) -> Any:
        answer = self.ask("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None

    def read(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def names(self, filter: str) -> list[str]:
        """The user names of those whom a filter leaves."""
        answer = self.ask("GET", "/Users?" + _query(filter=filter, count="200"))
        assert answer.status_code == 200, answer.content
        return [one["userName"] for one in answer.json()["Resources"]]

    def place(self, user: dict[str, Any]) -> Membership | None:
        """A user's place in the tenant."""
        with scope(self.house.id):
            row = ScimUser.objects.select_related("membership__user").get(pk=user["id"])
            return row.membership

    def gets(self, user: dict[str, Any]) -> tuple[str, int, set[str]] | None:
        """Role, clearance and departments of a user's place."""
        with scope(self.house.id):
            place = Membership.objects.filter(provisioned=user["id"]).first()
            return place and (place.role, place.clearance, {one.slug for one in place.departments.all()})

    def maps(self, group: str, **gives: Any) -> dict[str, Any]:
        answer = call("post", "/api/v1/group-mappings", self.house.owner_key, {"group": group, **gives})
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found


def _query(**parameters: str) -> str:
    from urllib.parse import urlencode

    return urlencode(parameters)


def directory(house: House) -> Directory:
    body = {"name": "Okta", "role": "owner", "scopes": ["scim.use"]}
    answer = call("post", "/api/v1/api-keys", house.owner_key, body)
    assert answer.status_code == 201, answer.content
    return Directory(house, answer.json()["key"])


@pytest.fixture(scope="module")
def okta(acme: House) -> Directory:
    """Acme's identity provider."""
    return directory(acme)


@pytest.fixture(scope="module")
def entra(globex: House) -> Directory:
    """Globex's identity provider."""
    return directory(globex)
