"""Whatever the OpenAPI document lets one send, the running server answers as the document says, and never breaks.

A short walk by default; `CUSTOMHOUSE_SCHEMA_EXAMPLES=100` walks as long as one likes, at random.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import requests
import schemathesis
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as walk
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import SchemathesisError
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.api import test_attack
from tests.conftest import House
from tests.dataplane.conftest import Server

DOCUMENT = schemathesis.openapi.from_path(settings.BASE_DIR / "docs" / "reference" / "openapi.yaml")
OPERATIONS = {found.ok().label: found.ok() for found in DOCUMENT.get_all_operations()}
LONG = int(os.environ.get("CUSTOMHOUSE_SCHEMA_EXAMPLES", "0"))
WALK = walk(
    max_examples=LONG or 3,
    derandomize=not LONG,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

#: fields of bodies that name something of Acme's; half of what is sent does
NAMED = {
    "budget": "budgets",
    "collection": "collections",
    "deployment": "deployments",
    "provider": "providers",
    "user": "users",
}


@schemathesis.serializer("application/x-ndjson")
def json_lines(_: Any, value: Any) -> Any:
    """Lines as they were generated, most of them none."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


things = test_attack.things  # one of everything that Acme has


class Caller:
    """Sends what was generated, about things that are there."""

    def __init__(self, server: Server, key: str, known: dict[str, str]) -> None:
        self._things, self._session = known, requests.Session()
        self._server, self.sent = server, 0
        self._session.headers["authorization"] = f"Bearer {key}"

    def send(self, case: Any) -> None:
        """One request, and whether its answer is as the document says."""
        self.sent += 1
        path = case.operation.path
        kind = path.split("/{")[0].removeprefix("/api/v1/")
        # What is deleted is gone for all that comes after: mostly something that never was.
        if "{" in path and (case.method != "DELETE" or self.sent % 5 == 0):
            name = path.partition("{")[2].partition("}")[0]
            case.path_parameters[name] = self._things[kind]
        if isinstance(case.body, dict) and self.sent % 2:
            self._name(case.body)
        answer = case.call_and_validate(base_url=self._server.root, session=self._session, checks=CHECKS, timeout=30)
        self._clean(kind, answer)

    def _name(self, body: dict[str, Any]) -> None:
        for field, value in body.items():
            if field in NAMED:
                body[field] = self._things[NAMED[field]]
            elif field in ("department", "target"):
                body[field] = "legal"
            elif isinstance(value, list):
                for inner in value:
                    if isinstance(inner, dict):
                        self._name(inner)

    def _clean(self, kind: str, answer: Any) -> None:
        """What the platform offers is offered to all tenants; nothing of it stays."""
        if answer.status_code == 201 and kind in ("providers", "deployments", "models", "policies"):
            self._session.delete(f"{self._server.root}/api/v1/{kind}/{answer.json()['id']}", timeout=30)


@pytest.fixture(scope="module")
def callers(server: Server, acme: House, things: dict[str, str]) -> dict[str, Caller]:
    with scope(PLATFORM):
        _, platform = make_key(name="walker", department=None, role="owner", clearance=3)
    return {"owner": Caller(server, acme.owner_key, things), "platform": Caller(server, platform, things)}


@pytest.mark.timeout(3600 if LONG else 120)
@pytest.mark.parametrize("who", ["owner", "platform"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_a_route_answers_as_the_document_says(callers: dict[str, Caller], label: str, who: str):
    operation = OPERATIONS[label]
    for mode in GenerationMode:

        @given(case=operation.as_strategy(generation_mode=mode))
        @WALK
        def ask(case: Any) -> None:
            callers[who].send(case)

        try:
            ask()
        except SchemathesisError:  # nothing that could be sent there is wrong
            assert mode is GenerationMode.NEGATIVE


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer sk-ch-wrong"}])
def test_no_route_answers_whom_it_does_not_know(server: Server, header: dict[str, str]):
    for operation in OPERATIONS.values():
        case = operation.Case(path_parameters={"id": "x", "request_id": "x"})
        answer = case.call(base_url=server.root, headers=header)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code == 401, operation.label
