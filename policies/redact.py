"""The engine for applications: personal data out of a text, and back into it, with a vault kept for a day in between.

A vault is sealed under the tenant's key and bound to whom it was made for. Somebody else opens it with the right to
reveal and for a purpose, and the trail says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from audit.actions import Action
from audit.services import record
from tenants.data import Caller
from tenants.ids import uuid7

from .errors import VaultGone
from .models import VaultEntry
from .pii.data import PiiRules, Scope, Source
from .pii.errors import TextTooLarge, VaultError
from .pii.redaction import REDACT_CHARACTERS, Pii
from .pii.vault import Vault
from .scopes import principal, tenant_key, vault_of

LIFETIME = timedelta(hours=24)
MOST_BYTES = 1_000_000
ROLES = {
    "system": Source.SYSTEM,
    "developer": Source.SYSTEM,
    "assistant": Source.ASSISTANT,
    "tool": Source.TOOL,
    "function": Source.TOOL,
}


@dataclass(frozen=True, slots=True)
class Redacted:
    """What may leave: a text or messages, where what stood, and the vault with which it is restored."""

    value: Any
    entities: list[dict[str, Any]]
    vault: Vault


@dataclass(frozen=True, slots=True)
class KeptVault:
    """A vault that is kept: by which id it is opened, and until when."""

    id: UUID
    expires_at: datetime


@lru_cache(maxsize=1)
def engine() -> Pii:
    """The one engine of this process."""
    return Pii(settings.CACHE_KEY, hash_key=settings.VAULT_KEY)


def redact_text(text: str, rules: PiiRules, vault: Vault) -> Redacted:
    """One text. Raises PiiRefused, DetectorFailed."""
    _check_size([text])
    found = engine().redact_text(text, rules, vault=vault)
    return Redacted(found.text, [asdict(entity) for entity in found.entities], vault)


def redact_messages(messages: list[Any], rules: PiiRules, vault: Vault) -> Redacted:
    """Messages as a chat has them, every string of them; entities say in which `message` (and `part`) they stand."""
    texts = list(_texts(messages))
    _check_size(text for *_, text in texts)
    masked = engine().mask_now({"messages": messages}, rules, vault=vault)
    entities = []
    for message, part, source, text in texts:
        for entity in engine().redact_text(text, rules, vault=vault, source=source).entities:
            place = {"message": message} if part is None else {"message": message, "part": part}
            entities.append({**asdict(entity), **place})
    return Redacted(masked.body["messages"], entities, vault)


def vault_for(caller: Caller, scope: str) -> Vault:
    """An empty vault: of this request alone, of the `tenant`, or of a conversation that has any other name.

    The same value has the same placeholder within its scope, and none in common with another scope.
    """
    kind = scope if scope in (Scope.REQUEST, Scope.TENANT) else Scope.CONVERSATION
    found = vault_of(caller, kind, f"named {scope}")
    return engine().vault() if found is None else found  # an empty vault is false


def keep(vault: Vault, caller: Caller) -> KeptVault:
    """Keeps a vault for whoever it was made for; those whose time is over are dropped."""
    now = timezone.now()
    VaultEntry.objects.filter(expires_at__lte=now).delete()
    identity = uuid7()
    made = VaultEntry.objects.create(
        id=identity,
        principal=principal(caller),
        sealed=vault.seal(tenant_key(caller.tenant), caller.tenant.bytes + identity.bytes),
        expires_at=now + LIFETIME,
    )
    return KeptVault(made.pk, made.expires_at)


def restore(text: str, vault: UUID, caller: Caller, purpose: str = "") -> str:
    """A text with its originals. Raises VaultGone for a vault that is not there for this caller."""
    _check_size([text])
    entry = VaultEntry.objects.filter(pk=vault, expires_at__gt=timezone.now()).first()
    if entry is None:
        raise VaultGone
    if entry.principal != principal(caller):
        if not caller.may("reveal.use"):
            raise VaultGone
        if not purpose:
            raise VaultGone("This vault was made for somebody else. To reveal it, say what for: X-Audit-Reason.")
        record(Action.VAULT_REVEAL, reason=purpose, object_type="vault", object_id=str(vault))
    else:
        record(Action.TEXT_RESTORE, object_type="vault", object_id=str(vault))
    try:
        return Pii.restore_text(text, opened(entry))
    except VaultError as error:
        raise VaultGone from error


def opened(entry: VaultEntry) -> Vault:
    """A kept vault. Raises VaultError when it was sealed under another key."""
    return Vault.open(bytes(entry.sealed), tenant_key(entry.tenant_id), entry.tenant_id.bytes + entry.pk.bytes)


def _texts(messages: list[Any]) -> Iterable[tuple[int, int | None, Source, str]]:
    """The texts of messages: (message, part, source, text)."""
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        source, content = ROLES.get(str(message.get("role")), Source.USER), message.get("content")
        if isinstance(content, str):
            yield number, None, source, content
        elif isinstance(content, list):
            for place, part in enumerate(content):
                if isinstance(part, dict) and isinstance(part.get("text"), str):
                    yield number, place, source, part["text"]


def _check_size(texts: Iterable[str]) -> None:
    """Raises TextTooLarge above a million characters or bytes."""
    size = 0
    for text in texts:
        size += max(len(text), len(text.encode("utf-8", "surrogatepass")))
        if size > MOST_BYTES:
            raise TextTooLarge(size, REDACT_CHARACTERS)
