"""The playground: what happens to this prompt? A call of the signed-in person through the same pipeline as all others.

It is governed, charged and recorded as any call; only what it tells is more: before the answer's events come one that
says what left the house, and one that says who answers. No key is in the browser: the session says who calls, and with
what rights. Whoever may change a key may try it here without its secret; the trail says that they did.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from gateway.data import Call
from gateway.errors import GatewayError, InvalidRequest, PolicyViolation, RequestTooLarge, Unavailable
from gateway.models import Model
from gateway.pipeline import Stream
from gateway.runtime import Runtime, running
from gateway.surfaces import openai_chat
from policies.models import Policy, PolicyState
from retrieval.models import Collection
from tenants.console.member import Member, member_of, visible_keys
from tenants.data import Caller
from tenants.errors import DirectoryUnavailable, UnknownCredential
from tenants.ids import uuid7
from tenants.models import ApiKey
from tenants.services import calling_member, could_make
from tenants.snapshot import Snapshot

from .sign_in import address

PAGE = "console/playground.html"
RIGHT = "playground.use"
MOST_DRAFTS = 50


def page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """What to ask, and of whom."""
    caller = _caller(request)
    member = member_of(request)
    assert member is not None
    choices = {
        "title": "Playground",
        "models": _models(caller),
        "keys": _keys(member),
        "drafts": _drafts(member),
        "simulate_url": reverse("policy-simulate"),
        "collections": list(Collection.objects.order_by("name")) if member.may("documents.search") else [],
        "call_url": reverse("admin:playground_call"),
        "calls_url": reverse("admin:audit_event_changelist") + "?area=calls&request_id=",
        "base_url": request.build_absolute_uri("/v1"),
    }
    return TemplateResponse(request, PAGE, context | choices)


@require_POST
def call(request: HttpRequest) -> HttpResponseBase:
    """One chat call, in OpenAI's form; answered by events: `sent`, `answering`, then those that any client gets."""
    caller, runtime = _caller(request), running()
    try:
        if runtime is None:
            raise Unavailable(
                "This server shows pages and answers no calls. Open the console at the gateway's address."
            )
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.REQUEST_MAX_BYTES:
            raise RequestTooLarge(f"The request body is larger than {settings.REQUEST_MAX_BYTES} bytes.")
        parsed = openai_chat.parse(_streamed(request.body), uuid7(), client_ip=address(request))
        key = _key(request)
    except GatewayError as error:
        return HttpResponse(orjson.dumps(error.body()), content_type="application/json", status=error.status)
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    member = member_of(request)
    assert member is not None
    email = "" if member.visiting else request.user.get_username()
    if key is not None:
        parsed = replace(parsed, tried_by=member.user)
    return StreamingHttpResponse(_events(runtime, Player(caller, email, key), parsed), headers=headers)


@dataclass(frozen=True, slots=True)
class Player:
    """Who tries a prompt: a person (`email` of the member; a visitor from the platform has none here), perhaps with a
    key's rights in the place of their own.
    """

    caller: Caller
    email: str
    key: UUID | None

    async def identify(self, runtime: Runtime, client_ip: str) -> tuple[Caller, Snapshot]:
        """The caller, whose place is watched while the answer runs. Raises UnknownCredential, DirectoryUnavailable."""
        if self.key is not None:
            return await runtime.snapshots.key(self.caller.tenant, self.key, client_ip)
        if self.email:
            return await runtime.snapshots.member(self.caller, self.email)
        return self.caller, await runtime.snapshots.of(self.caller.tenant)


def _caller(request: HttpRequest) -> Caller:
    caller = calling_member(request)
    if caller is None or not caller.may(RIGHT):
        raise PermissionDenied("Your role does not try prompts here.")
    return caller


def _models(caller: Caller) -> list[str]:
    """The models that may answer this person in words: none that only embed or rerank, none that was denied them."""
    capabilities = "routes__deployment__capabilities"
    talk = Q(**{f"{capabilities}__contains": ["chat"]}) | Q(**{capabilities: []})
    return sorted({model.name for model in Model.objects.filter(talk) if caller.may_call(model.name, model.pk)})


def _keys(member: Member) -> list[ApiKey]:
    """The keys that this person may try: those that they may renew, and so could have the secret of."""
    if not member.may("keys.change"):
        return []
    found = visible_keys(member) if member.may("keys.all") else ApiKey.objects.filter(user_id=member.user)
    alive = found.filter(revoked_at=None).exclude(expires_at__lte=timezone.now())
    return could_make(alive.select_related("department").order_by("name"))


def _key(request: HttpRequest) -> UUID | None:
    """The key that was chosen, None for oneself. Raises InvalidRequest for one that is not this person's to try."""
    asked = request.GET.get("key")
    if not asked:
        return None
    member = member_of(request)
    for key in _keys(member) if member is not None else ():
        if str(key.pk) == asked:
            return key.pk
    raise InvalidRequest("There is no such key for you to try. Load the page again and choose another.", param="key")


def _drafts(member: Member) -> list[Policy]:
    """Policies that are not in force yet: with one of them, what would leave is shown and nothing does."""
    if not member.may("policies.change"):
        return []
    drafts = Policy.objects.filter(tenant_id=member.tenant.pk, state=PolicyState.DRAFT)
    return list(drafts.order_by("name", "-version")[:MOST_DRAFTS])


def _streamed(body: bytes) -> bytes:
    """The call as a stream that ends with its usage, whatever was asked; what is no object is left to the parser."""
    try:
        asked = json.loads(body)
    except ValueError:
        return body
    return (
        orjson.dumps({**asked, "stream": True, "stream_options": {"include_usage": True}})
        if isinstance(asked, dict)
        else body
    )


async def _events(runtime: Runtime, player: Player, asked: Call) -> AsyncIterator[bytes]:
    """What is told of the call, in order. A refusal is an event as well: the page is there already."""
    stream: Stream | None = None
    try:
        caller, snapshot = await player.identify(runtime, asked.client_ip)
        answer = await runtime.pipeline.answer(asked, caller, snapshot)
        assert isinstance(answer, Stream)
        stream = answer
        told = await asyncio.to_thread(stream.told)
        yield _event("sent", {"request_id": str(asked.id), **told})
        first = await stream.start(lambda gone: None)
        yield _event("answering", {"model": stream.model})
        yield first
        async for block in stream.rest():
            yield block
        yield stream.last
        yield _event("done", {"steps": stream.steps})
    except UnknownCredential as error:
        yield _event("refused", {"request_id": str(asked.id), **PolicyViolation(str(error)).body()})
    except DirectoryUnavailable as error:
        yield _event("refused", {"request_id": str(asked.id), **Unavailable(str(error)).body()})
    except GatewayError as error:
        yield _event("refused", {"request_id": str(asked.id), **error.body()})
    finally:
        if stream is not None:
            await stream.close()


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
