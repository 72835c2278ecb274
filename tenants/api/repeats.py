"""`Idempotency-Key`: a POST that is sent again is answered again and not done again.

The answer is kept in the transaction of what it tells of, so there is never one without the other; an advisory lock of
that transaction tells a second sender that the first is still at it, and ends with it, whatever becomes of it. Answers
are sealed: one may hold a key that is shown once. What was refused is not kept: nothing was done, so that it may be
tried again.
"""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import blake2b

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework import exceptions

from tenants.data import Caller
from tenants.models import KeptAnswer
from tenants.sealing import seal, unseal

LIFETIME = timedelta(hours=24)
LONGEST = 255
#: headers of an answer that are kept with it
HEADERS = ("Content-Type", "ETag", "Location")


class StillRunning(exceptions.APIException):
    """A request with this Idempotency-Key is being answered at this moment."""

    status_code = 409
    default_code = "idempotency_key_in_use"
    default_detail = __doc__


class UsedOtherwise(exceptions.APIException):
    """This Idempotency-Key was used for another request: another address or another body."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = __doc__


def answer_before(caller: Caller, request: HttpRequest, key: str) -> HttpResponse | None:
    """What the same request was answered; None when it is new, which is then this transaction's to do.

    Raises StillRunning, UsedOtherwise; ValidationError for what is no key.
    """
    if not 1 <= len(key) <= LONGEST or not key.isprintable():
        raise exceptions.ValidationError({"Idempotency-Key": f"Must be 1 to {LONGEST} printable characters."})
    if not _lock(caller, key):
        raise StillRunning
    rows = KeptAnswer.objects.filter(principal=_principal(caller), key=key)
    found = rows.filter(expires_at__gt=timezone.now()).first()
    if found is None:
        rows.delete()
        return None
    if bytes(found.fingerprint) != _fingerprint(request):
        raise UsedOtherwise
    headers, body = _opened(found, caller)
    return HttpResponse(body, status=found.status, headers={**headers, "Idempotency-Replayed": "true"})


def keep(caller: Caller, request: HttpRequest, key: str, answer: HttpResponse) -> None:
    """Keeps an answer beside what it tells of, and drops those whose time is over."""
    now = timezone.now()
    KeptAnswer.objects.filter(expires_at__lte=now).delete()
    head = {name: answer[name] for name in HEADERS if answer.has_header(name)}
    KeptAnswer.objects.create(
        principal=_principal(caller),
        key=key,
        fingerprint=_fingerprint(request),
        status=answer.status_code,
        sealed=_sealed(json.dumps(head).encode() + b"\n" + answer.content, caller, key),
        expires_at=now + LIFETIME,
    )


def _lock(caller: Caller, key: str) -> bool:
    number = blake2b(f"{caller.tenant}\0{_principal(caller)}\0{key}".encode(), digest_size=8).digest()
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [int.from_bytes(number, "big", signed=True)])
        return bool(cursor.fetchone()[0])


def _principal(caller: Caller) -> str:
    return f"{caller.actor['type']}:{caller.actor['id']}"


def _fingerprint(request: HttpRequest) -> bytes:
    """32 keyed bytes that say what was asked. A form is taken part by part: its boundary is made up anew each time."""
    digest = blake2b(key=settings.ANSWER_KEY, digest_size=32)
    digest.update(f"{request.path.rstrip('/')}?{request.META.get('QUERY_STRING', '')}\0".encode())
    if not (request.content_type or "").startswith("multipart/"):
        digest.update(request.body)
        return digest.digest()
    for name, values in sorted(request.POST.lists()):
        digest.update(json.dumps([name, values]).encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            digest.update(json.dumps([name, file.name, file.size]).encode())
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)
    return digest.digest()


def _bound(caller: Caller, key: str) -> bytes:
    return caller.tenant.bytes + f"{_principal(caller)}\0{key}".encode()


def _sealed(plain: bytes, caller: Caller, key: str) -> bytes:
    return seal(settings.ANSWER_KEY, plain, _bound(caller, key))


def _opened(found: KeptAnswer, caller: Caller) -> tuple[dict[str, str], bytes]:
    plain = unseal(settings.ANSWER_KEY, found.sealed, _bound(caller, found.key))
    head, _, body = plain.partition(b"\n")
    return json.loads(head), body
