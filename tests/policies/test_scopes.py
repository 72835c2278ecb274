"""How far the same value has the same stand-in: one request, one conversation, one tenant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from policies.errors import PoliciesError
from policies.pii.data import PiiRules, Scope
from policies.rules import combine
from policies.scopes import conversation_of, vault_of_call
from tenants.services import caller_of_key
from tests.conftest import House

EMAIL = ("EMAIL_ADDRESS", "a@b.example")


def said(*texts: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)], **more}


@pytest.fixture
def caller(acme: House):
    return caller_of_key(acme.keys["developer"])


def stand_in(caller: Any, scope: Scope, body: dict[str, Any]) -> str:
    vault = vault_of_call(caller, scope, body)
    assert vault is not None
    return vault.placeholder(*EMAIL)


def test_a_conversation_is_known_by_how_it_begins(caller):
    first = said("Hello, I am Ann.")
    later = said("Hello, I am Ann.", "Hello Ann.", "What next?")
    other = said("Hello, I am Bob.")
    assert stand_in(caller, Scope.CONVERSATION, first) == stand_in(caller, Scope.CONVERSATION, later)
    assert stand_in(caller, Scope.CONVERSATION, first) != stand_in(caller, Scope.CONVERSATION, other)


def test_a_name_goes_before_how_it_begins(caller):
    one = said("Hello", metadata={"conversation_id": "c-1"})
    same = said("Something else", metadata={"conversation_id": "c-1"})
    other = said("Hello", metadata={"conversation_id": "c-2"})
    assert stand_in(caller, Scope.CONVERSATION, one) == stand_in(caller, Scope.CONVERSATION, same)
    assert stand_in(caller, Scope.CONVERSATION, one) != stand_in(caller, Scope.CONVERSATION, other)


def test_scopes_share_nothing_with_each_other_or_with_others(caller):
    body = said("Hello")
    stranger = replace(caller, key=uuid4(), user=None)
    foreign = replace(caller, tenant=uuid4())
    tenants = {stand_in(one, Scope.TENANT, body) for one in (caller, stranger)}
    assert len(tenants) == 1
    conversations = {stand_in(one, Scope.CONVERSATION, body) for one in (caller, stranger)}
    assert len(tenants | conversations | {stand_in(foreign, Scope.TENANT, body)}) == 4


@pytest.mark.parametrize("body", [{"input": "x"}, {"messages": []}, {"messages": "x"}, said("\ud800")])
def test_what_is_no_conversation_is_a_request_of_its_own(caller, body):
    assert conversation_of(body) == ""
    assert vault_of_call(caller, Scope.CONVERSATION, body) is None
    assert vault_of_call(caller, Scope.REQUEST, body) is None
    assert vault_of_call(caller, Scope.TENANT, body) is not None


def test_a_policy_says_it_and_a_locked_one_is_only_tightened():
    assert PiiRules.parse({}).scope == Scope.REQUEST
    assert PiiRules.parse({"scope": "tenant"}).scope == Scope.TENANT
    with pytest.raises(PoliciesError, match=r"pii\.scope: must be one of request, conversation, tenant"):
        combine("x@1", "x", [{"pii": {"scope": "world"}}])
    for wide, narrow, holds in (
        ("tenant", "request", "request"),
        ("conversation", "tenant", "conversation"),
        (None, "tenant", "request"),
    ):
        documents = [{"pii": {"scope": wide} if wide else {}, "locked": ["pii"]}, {"pii": {"scope": narrow}}]
        assert combine("x@1", "x", documents).pii.scope == holds
    assert combine("x@1", "x", [{"pii": {"scope": "request"}}, {"pii": {"scope": "tenant"}}]).pii.scope == "tenant"
