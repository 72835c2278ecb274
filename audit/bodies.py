"""What went out and came back in a call, where the policy has it kept: apart from the trail, encrypted, for some days.

Each body has a key of its own, encrypted under the tenant's; without that key nobody reads it again, wherever its bytes
are still stored. AES-256-GCM over deflated JSON; associated data say whose body it is.
"""

from __future__ import annotations

import os
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.utils import timezone

from tenants.data import Caller
from tenants.sealing import seal, unseal

from .data import Held
from .errors import BodyGone
from .holds import keepers
from .models import Body

#: bodies for the journal: one parameter ($1), a JSON array of one tenant's rows
BODIES = (Path(__file__).parent / "sql" / "bodies.sql").read_text()
#: what of a body is masked, and what is not
MASKED, ORIGINALS = ("sent", "said"), ("request", "answer")
_KEY = 32
_AT_ONCE = 200


def body_row(caller: Caller, request: UUID, mode: str, days: int, content: Mapping[str, Any]) -> dict[str, Any]:
    """A row for BODIES, which is kept for so many days.

    `content`: `sent` and `said` as they went out and came back; in full mode `request` and `answer` as well, as the
    client wrote and read them.
    """
    key, whose = os.urandom(_KEY), caller.tenant.bytes + request.bytes
    plain = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    return {
        "id": request,
        "mode": mode,
        "actor_id": caller.actor_id,
        "user_id": caller.user,
        "department_id": caller.department,
        "key": b64encode(seal(_tenant_key(caller.tenant), key, whose)).decode(),
        "sealed": b64encode(seal(key, zlib.compress(plain, 1), whose)).decode(),
        "days": days,
    }


def content_of(body: Body) -> dict[str, Any]:
    """What a body holds. Raises BodyGone when its key is no longer there, or another installation's."""
    whose = body.tenant_id.bytes + body.pk.bytes
    try:
        key = unseal(_tenant_key(body.tenant_id), body.key, whose)
        found: dict[str, Any] = orjson.loads(zlib.decompress(unseal(key, body.sealed, whose)))
    except InvalidTag:
        raise BodyGone from None
    return found


def every_body() -> Iterator[Body]:
    """All bodies of the open tenant, oldest first, some hundreds in memory."""
    last = UUID(int=0)
    while found := list(Body.objects.filter(pk__gt=last).order_by("pk")[:_AT_ONCE]):
        yield from found
        last = found[-1].pk


def purge() -> int:
    """Removes the open tenant's bodies whose days are over, unless a legal hold keeps them; returns how many."""
    keep, removed = keepers(), 0
    expired = Body.objects.filter(expires_at__lte=timezone.now()).defer("sealed")
    last = UUID(int=0)
    while found := list(expired.filter(pk__gt=last).order_by("pk")[:_AT_ONCE]):
        last = found[-1].pk
        gone = [body.pk for body in found if not held(body, keep)]
        removed += Body.objects.filter(pk__in=gone).delete()[0]
    return removed


def held(body: Body, keep: Held) -> tuple[str, ...]:
    """The names of the legal holds that keep a body: by its key, or by the person behind it."""
    people = sorted({body.actor_id, str(body.user_id or body.actor_id)})
    marks = {"time": body.created_at, "department": body.department_id, "request_id": body.pk}
    return tuple(dict.fromkeys(name for actor in people for name in keep(actor=actor, **marks)))


@lru_cache(maxsize=1024)
def _tenant_key(tenant: UUID) -> bytes:
    return blake2b(b"bodies\0" + tenant.bytes, key=settings.BODIES_KEY, digest_size=_KEY).digest()
