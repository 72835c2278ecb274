"""How far a stand-in reaches: in one request, one conversation, or a whole tenant the same value has the same one.

Each scope has a secret of its own, from the tenant's key; a request's is drawn at random, so that nothing links two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from tenants.data import Caller

from .pii.data import Scope
from .pii.vault import Vault


def vault_of(caller: Caller, scope: str, conversation: str = "") -> Vault | None:
    """An empty vault of a scope; None for a request's, which needs no secret of ours.

    A conversation without a name cannot be told from others, and is taken for a request.
    """
    if scope == Scope.REQUEST or (scope == Scope.CONVERSATION and not conversation):
        return None
    whose = "" if scope == Scope.TENANT else f"{principal(caller)}\0{conversation}"
    question = f"{scope == Scope.TENANT}\0{whose}".encode("utf-8", "surrogatepass")
    secret = blake2b(question, key=tenant_key(caller.tenant), digest_size=32).digest()
    return Vault(secret, hash_key=settings.VAULT_KEY)


def vault_of_call(caller: Caller, scope: Scope, body: Mapping[str, Any]) -> Vault | None:
    """An empty vault for a call; None where it is the request's own, which is the usual case and costs nothing."""
    if scope is Scope.REQUEST:
        return None
    return vault_of(caller, scope, conversation_of(body) if scope is Scope.CONVERSATION else "")


def conversation_of(body: Mapping[str, Any]) -> str:
    """What a chat's turns have in common: the name that the client gives it (`metadata.conversation_id`), else how it
    begins, up to the first thing that a user says; '' for what is no chat.
    """
    metadata = body.get("metadata")
    named = metadata.get("conversation_id") if isinstance(metadata, dict) else None
    if isinstance(named, str) and named:
        return f"named {named}"
    messages = body.get("messages")
    if not isinstance(messages, list):
        return ""
    first = next((n for n, said in enumerate(messages) if isinstance(said, dict) and said.get("role") == "user"), None)
    if first is None:
        return ""
    try:
        return "begins " + blake2b(orjson.dumps(messages[: first + 1]), digest_size=16).hexdigest()
    except TypeError:  # half of a character, which JSON cannot say
        return ""


def principal(caller: Caller) -> str:
    """The person behind a key, so that any of their keys is of their scopes; else the key."""
    return f"user:{caller.user}" if caller.user is not None else f"key:{caller.key}"


@lru_cache(maxsize=4096)
def tenant_key(tenant: UUID) -> bytes:
    """32 bytes that are this tenant's alone."""
    return blake2b(b"vault\0" + tenant.bytes, key=settings.VAULT_SEAL_KEY, digest_size=32).digest()
