"""Forgetting a person: what is kept of them is searched for, shown, removed, searched for once more, and certified.

    asked for ──► searching ──► found ──► erasing ──► erased
                      └──────────► failed ◄──┘

What holds personal data lies in several apps; each has an `Eraser`, named in the settings. Everything that may hold the
person is opened and read: that finds them also where no detector did. Events stay: they hold who acted and what was
decided, never what was said, and the history must still verify.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from tenants import four_eyes
from tenants.data import Caller
from tenants.isolation.scope import scope
from tenants.models import ApiKey, User
from tenants.sealing import seal, unseal

from . import keyring
from .actions import Action
from .bodies import content_of, every_body
from .bodies import held as held_body
from .data import Held, Subject, Trace
from .errors import BodyGone, NotErased
from .holds import keepers
from .models import Body, ErasureRequest, ErasureState, Seal, SubjectType
from .services import record

log = logging.getLogger("customhouse.erasure")

FORMAT = "customhouse-erasure/1"
#: Traces that a request shows; all are counted and removed.
SHOWN = 1000
#: A shorter value would be found everywhere.
SHORTEST = 3


class Eraser(Protocol):
    """Finds and removes one kind of thing in the open tenant."""

    kind: str

    def find(self, subject: Subject, held: Held) -> Iterable[Trace]:
        """Where the subject is."""
        ...

    def erase(self, identity: UUID) -> None:
        """Removes one of these."""
        ...


class BodyEraser:
    """Kept prompts and answers."""

    kind = "body"

    def find(self, subject: Subject, held: Held) -> Iterator[Trace]:
        for body in every_body():
            if self._names(body, subject):
                label = f"prompt and answer of a call ({body.mode})"
                yield Trace(self.kind, body.pk, body.created_at, label, held_body(body, held))

    def _names(self, body: Body, subject: Subject) -> bool:
        if subject.principals:
            return not subject.principals.isdisjoint({body.actor_id, str(body.user_id)})
        try:
            return subject.is_in_any(content_of(body))
        except BodyGone:
            return False

    def erase(self, identity: UUID) -> None:
        Body.objects.filter(pk=identity).delete()


def ask(type_: str, value: str, reason: str, keep_documents: bool, caller: Caller) -> ErasureRequest:
    """Writes a request down, in the open scope. Raises NotErased for a value that could mean anybody. Hand it to
    `tasks.dispatch_erasure` after the commit.
    """
    value = " ".join(value.split())
    digits = re.sub(r"\D", "", value)
    if len(value) < SHORTEST or (type_ == SubjectType.PHONE and len(digits) < 2 * SHORTEST):
        raise NotErased("This is too short: it would be found everywhere.")
    if type_ in (SubjectType.USER, SubjectType.KEY):
        subject_of(type_, value)
    made = ErasureRequest(
        subject_type=type_,
        subject_hash=_hash(caller.tenant, type_, value),
        reason=reason,
        keep_documents=keep_documents,
        made_by=caller.name[:200],
        makers=four_eyes.author(caller),
    )
    made.value = _seal(caller.tenant, made.pk, value)
    made.save(force_insert=True)
    return made


def subject_of(type_: str, value: str) -> Subject:
    """The subject that a request names, in the open scope. Raises NotErased for a person or key that is not there."""
    if type_ == SubjectType.KEY:
        found = ApiKey.objects.filter(Q(pk=value) if _is_id(value) else Q(public_id=value)).first()
        if found is None:
            raise NotErased("There is no such key here.")
        return Subject(type_, value, frozenset({str(found.pk)}))
    if type_ == SubjectType.USER:
        person = User.objects.filter(Q(pk=value) if _is_id(value) else Q(email__iexact=value)).first()
        if person is None:
            raise NotErased("There is no such person here.")
        keys = ApiKey.objects.filter(user=person.pk).values_list("pk", flat=True)
        return Subject(type_, value, frozenset({str(person.pk), *map(str, keys)}))
    return Subject(type_, value)


def look(tenant: UUID, request: UUID) -> None:
    """Searches for the subject of a request. What goes wrong leaves it failed, with the reason."""
    _carried_out(tenant, request, ErasureState.SEARCHING, _look)


def execute(request: ErasureRequest, caller: Caller) -> None:
    """Lets an erasure begin, in the open scope. Raises NotErased. Hand it to `tasks.dispatch_erasure` then."""
    if four_eyes.forbidden(request.makers, caller):
        raise NotErased("Four eyes: an erasure is carried out by somebody else than whoever asked for it.")
    changed = ErasureRequest.objects.filter(pk=request.pk, state=ErasureState.FOUND).update(
        state=ErasureState.ERASING, executed_by=caller.name[:200], changed_at=timezone.now()
    )
    if not changed:
        raise NotErased(f"Only what was found can be erased; this request is {request.state}.")


def erase(tenant: UUID, request: UUID) -> None:
    """Removes what is found of a request's subject, looks again, and certifies. Safe to run again."""
    _carried_out(tenant, request, ErasureState.ERASING, _erase)


def unfinished() -> list[tuple[UUID, str]]:
    """Requests of the open tenant on which somebody should be working, with their states."""
    open_ = ErasureRequest.objects.filter(state__in=[ErasureState.SEARCHING, ErasureState.ERASING])
    return list(open_.values_list("pk", "state"))


def _carried_out(tenant: UUID, request: UUID, state: ErasureState, step: Any) -> None:
    try:
        with scope(tenant):
            row = ErasureRequest.objects.select_for_update().filter(pk=request, state=state).first()
            if row is not None:
                step(tenant, row)
    except Exception as error:
        log.exception("erasure %s failed", request)
        message = str(error) if isinstance(error, NotErased) else type(error).__name__
        with scope(tenant):
            ErasureRequest.objects.filter(pk=request).update(
                state=ErasureState.FAILED, error=message[:300], changed_at=timezone.now()
            )


def _look(tenant: UUID, row: ErasureRequest) -> None:
    _note(row, _traces(tenant, row))
    row.state, row.changed_at = ErasureState.FOUND, timezone.now()
    row.save()


def _note(row: ErasureRequest, traces: list[Trace]) -> None:
    row.found = dict(Counter(trace.kind for trace in traces))
    row.held = dict(Counter(trace.kind for trace in traces if trace.held))
    row.traces = [trace.row() for trace in traces[:SHOWN]]


def _erase(tenant: UUID, row: ErasureRequest) -> None:
    traces = _traces(tenant, row)
    _note(row, traces)
    by_kind = {eraser.kind: eraser for eraser in _erasers(row)}
    gone: Counter[str] = Counter()
    for trace in traces:
        if not trace.held:
            by_kind[trace.kind].erase(trace.id)
            gone[trace.kind] += 1
    left = [trace for trace in _traces(tenant, row) if not trace.held]
    if left:
        raise NotErased(f"{len(left)} of {len(traces)} were still there afterwards; nothing was removed.")
    now = timezone.now()
    row.erased, row.state, row.changed_at, row.finished_at = dict(gone), ErasureState.ERASED, now, now
    row.value = None
    # titles of documents and the like may name the person
    row.traces = [{**trace.row(), "label": ""} for trace in traces[:SHOWN]]
    row.certificate = _certificate(tenant, row, now)
    row.save()
    record(
        Action.ERASURE_EXECUTE,
        object_type="erasure_request",
        object_id=str(row.pk),
        detail={"erased": row.erased, "held": row.held, "subject": row.subject_hash},
    )


def _traces(tenant: UUID, row: ErasureRequest) -> list[Trace]:
    subject = subject_of(row.subject_type, _open(tenant, row))
    held = keepers()
    return [trace for eraser in _erasers(row) for trace in eraser.find(subject, held)]


def _erasers(row: ErasureRequest) -> list[Eraser]:
    made: list[Eraser] = [import_string(path)() for path in settings.ERASERS]
    return [eraser for eraser in made if not (row.keep_documents and eraser.kind == "document")]


def _certificate(tenant: UUID, row: ErasureRequest, now: datetime) -> str:
    """What was done, signed with the keys that sign seals: one canonical line."""
    last = Seal.objects.first()
    body = {
        "format": FORMAT,
        "tenant": str(tenant),
        "request": str(row.pk),
        "subject": {"type": row.subject_type, "hash": row.subject_hash},
        "time": now.isoformat(),
        "found": row.found,
        "erased": row.erased,
        "held": row.held,
        "documents": "kept" if row.keep_documents else "erased",
        "seal": None if last is None else {"number": last.number, "root": bytes(last.root).hex()},
    }
    return keyring.sign(body, keyring.signers(tenant, now)).decode()


def certificate_of(request: ErasureRequest) -> dict[str, Any]:
    """A request's certificate. Raises NotErased when there is none."""
    if not request.certificate:
        raise NotErased(f"There is no certificate: the request is {request.state}.")
    found: dict[str, Any] = json.loads(request.certificate)
    return found


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _hash(tenant: UUID, type_: str, value: str) -> str:
    """What remains of a subject: the same for the same person, and nobody without the key can try names on it."""
    subject = f"{type_}\0{value.casefold()}".encode()
    return blake2b(tenant.bytes + subject, key=settings.ERASURE_KEY, digest_size=16).hexdigest()


def _seal(tenant: UUID, request: UUID, value: str) -> bytes:
    return seal(settings.ERASURE_KEY, value.encode(), tenant.bytes + request.bytes)


def _open(tenant: UUID, row: ErasureRequest) -> str:
    if row.value is None:
        raise NotErased("Who it was is no longer known here.")
    return unseal(settings.ERASURE_KEY, row.value, tenant.bytes + row.pk.bytes).decode()
