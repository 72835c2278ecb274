"""The management plane of the audit trail: events, what proves them, and exports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.mixins import CreateModelMixin, DestroyModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from tenants.api import problems
from tenants.api.lists import Filter
from tenants.api.moments import moment
from tenants.api.views import ManagementView, ReadView
from tenants.data import Caller
from tenants.isolation import Scope

from . import erasure, exports, health, history, parts, receipts, tasks
from .bodies import MASKED, content_of
from .errors import BodyGone, NotErased
from .evidence import Wanted
from .models import (
    Body,
    ErasureRequest,
    ErasureState,
    Event,
    Export,
    ExportFormat,
    ExportState,
    Hold,
    Leaf,
    Seal,
    SealKey,
)
from .serializers import ErasureSerializer, ErasureShown, ExportSerializer, HoldSerializer
from .services import AREAS, Action, narrowed, record, search

FILTERS = ("request_id", "actor", "action", "decision", "department", "from", "to", "cursor", "limit")


def own(caller: Caller) -> dict[str, Any]:
    """What `search` and `narrowed` take for a caller: nothing for those who may see all."""
    if caller.may("events.all"):
        return {}
    actors = [str(own) for own in (caller.key, caller.user) if own]
    return {"actors": actors, "areas": AREAS.get(caller.role, ())}


class EventView(ManagementView):
    """Events, newest first. Those who may not see all see what they or their area did."""

    rights: ClassVar[dict[str, str]] = {"list": "events.view"}

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in FILTERS], responses=OpenApiTypes.OBJECT
    )
    def list(self, request: Request) -> Response:
        asked = request.query_params
        try:
            page = search(
                request_id=UUID(asked["request_id"]) if asked.get("request_id") else None,
                actor=asked.get("actor") or None,
                action=asked.get("action") or None,
                decision=asked.get("decision") or None,
                department=asked.get("department") or None,
                since=moment(request, "from"),
                until=moment(request, "to"),
                cursor=asked.get("cursor") or None,
                limit=int(asked.get("limit") or 100),
                **own(self.caller),
            )
        except ValueError:
            raise exceptions.ValidationError(
                "request_id must be an id, limit a number, cursor one of an answer."
            ) from None
        if self.caller.may("events.all"):  # who reads what others did is on record, with what they looked for
            record(Action.EVENT_READ, detail={"filters": {name: asked[name] for name in FILTERS if name in asked}})
        return Response(
            {"next": self._address(page.next), "previous": self._address(page.previous), "results": page.results}
        )

    def _address(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        kept = {name: value for name, value in self.request.query_params.items() if name != "cursor"}
        return self.request.build_absolute_uri("?" + urlencode({**kept, "cursor": cursor}))


class HealthView(ManagementView):
    """How calls went lately: how fast they were answered, and how each deployment did, of the newest 10,000."""

    rights: ClassVar[dict[str, str]] = {"list": "routes.view"}

    @extend_schema(
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="Since when; else the last 15 minutes.")
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def list(self, request: Request) -> Response:
        since = moment(request, "from") or timezone.now() - health.LATELY
        whose = own(self.caller).get("actors")
        rows = shown_health(health.deployments(since, whose))
        return Response({"from": since, "latency_ms": {"p95": health.latency(since, whose)}, "results": rows})


def shown_health(deployments: Iterable[health.Health]) -> list[dict[str, Any]]:
    """How deployments did, as the API says it."""
    return [
        {
            "deployment": one.deployment,
            "state": "failing" if one.failing else "answers",
            "answered": one.answered,
            "failed": one.failed,
            "latency_ms": {"p50": one.median_ms, "p95": one.slow_ms},
            "answered_at": one.answered_at,
            "failed_at": one.failed_at,
            "error": one.error or None,
        }
        for one in deployments
    ]


class ReceiptView(ManagementView):
    """A request's receipt, for `verify_customhouse.py` to verify; those who may not see all get their own."""

    rights: ClassVar[dict[str, str]] = {"retrieve": "events.view"}
    lookup_field = "request_id"

    def get_object(self) -> tuple[UUID, ...]:
        """The ids of the request's events that the caller may see."""
        try:
            asked = UUID(self.kwargs["request_id"])
        except ValueError:
            raise exceptions.NotFound("There is no such request.") from None
        events = narrowed(Event.objects.filter(request_id=asked), **own(self.caller))
        found = tuple(events.values_list("id", flat=True))
        if not found:
            raise exceptions.NotFound("There is no such request.")
        return found

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, request_id: str) -> Response:
        made = receipts.receipt(self.caller.tenant, UUID(request_id), self.get_object())
        record(Action.RECEIPT_READ, object_type="request", object_id=request_id)
        return Response(made)


class SealView(ReadView):
    """Seals, newest first, by id or number; proofs over the tree that they sign (RFC 6962)."""

    queryset = Seal.objects.all()
    rights: ClassVar[dict[str, str]] = {
        "list": "events.all",
        "retrieve": "events.all",
        "inclusion": "events.all",
        "consistency": "events.all",
    }

    def _named(self) -> Seal:
        return self._numbered(self.kwargs["pk"])

    def _numbered(self, number: str) -> Seal:
        found = self.queryset.filter(number=int(number)).first() if number.isdecimal() and len(number) < 19 else None
        if found is None:
            raise exceptions.NotFound("There is no such seal.")
        return found

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([shown(seal) for seal in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(shown(self.get_object()))

    @extend_schema(parameters=[OpenApiParameter("event", OpenApiTypes.UUID)], responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def inclusion(self, request: Request, **kwargs: Any) -> Response:
        """That an event is in what the seal signed."""
        seal = self.get_object()
        try:
            leaf = Leaf.objects.filter(pk=UUID(request.query_params.get("event", ""))).first()
        except ValueError:
            raise exceptions.ValidationError({"event": "Must be the id of an event."}) from None
        if leaf is None or leaf.position >= seal.size:
            raise exceptions.NotFound("This seal covers no such event.")
        proof = [one.hex() for one in history.inclusion(leaf.position, seal.size)]
        return Response(
            {
                "event": str(leaf.pk),
                "position": leaf.position,
                "hash": bytes(leaf.hash).hex(),
                "proof": proof,
                "seal": shown(seal),
            }
        )

    @extend_schema(parameters=[OpenApiParameter("first", OpenApiTypes.INT)], responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def consistency(self, request: Request, **kwargs: Any) -> Response:
        """That what the seal signed begins with what an earlier one (`first`, its number) signed."""
        second = self.get_object()
        number = request.query_params.get("first", "")
        first = self._numbered(number) if number else None
        if first is None or first.number > second.number:
            raise exceptions.ValidationError({"first": "Must be the number of an earlier seal."})
        proof = [one.hex() for one in history.consistency(first.size, second.size)]
        return Response({"first": shown(first), "second": shown(second), "proof": proof})


class SealKeyView(ManagementView):
    """The public keys that sign seals, oldest first, each introduced by the one before."""

    rights: ClassVar[dict[str, str]] = {"list": "events.view"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request) -> Response:
        keys = [json.loads(line) for line in SealKey.objects.values_list("line", flat=True)]
        return Response({"next": None, "previous": None, "results": keys})


class ExportView(ReadView):
    """Exports of the trail: asked for by POST, then looked at until `state` is `succeeded` and `download` is there."""

    queryset = Export.objects.all()
    serializer_class = ExportSerializer
    rights: ClassVar[dict[str, str]] = {
        "list": "exports.change",
        "retrieve": "exports.change",
        "create": "exports.change",
        "download": "exports.change",
    }

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([self._shown(export) for export in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._shown(self.get_object()))

    @extend_schema(responses={202: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        wanted = Wanted(values.get("since"), values.get("until"), values.get("request_id"))
        made = exports.ask(wanted, values["format"], self.caller.name)
        transaction.on_commit(partial(tasks.dispatch, self.caller.tenant, made.pk))
        return Response(self._shown(made), status=202)

    @extend_schema(responses={(200, kind): OpenApiTypes.BINARY for _, kind in exports.NAMES.values()})
    @action(detail=True)
    def download(self, request: Request, **kwargs: Any) -> StreamingHttpResponse:
        """The file; each download is recorded."""
        export: Export = self.get_object()
        if export.state != ExportState.SUCCEEDED:
            raise problems.Conflict(f"There is no file: the export is {export.state}.")
        record(Action.EXPORT_READ, object_type="export", object_id=str(export.pk))
        ending, kind = exports.NAMES[ExportFormat(export.format)]
        answer = StreamingHttpResponse(streamed(request, export, self.caller.scope()), content_type=kind)
        answer["Content-Length"] = str(export.size)
        answer["Content-Disposition"] = f'attachment; filename="customhouse-{export.pk}.{ending}"'
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "no-store"
        return answer

    def _shown(self, export: Export) -> dict[str, Any]:
        ready = export.state == ExportState.SUCCEEDED
        place = f"/api/v1/audit/exports/{export.pk}/download"
        return {
            "id": str(export.pk),
            "format": export.format,
            "from": export.since,
            "to": export.until,
            "request_id": str(export.request_id) if export.request_id else None,
            "state": export.state,
            "error": export.error or None,
            "download": self.request.build_absolute_uri(place) if ready else None,
            "records": export.records if ready else None,
            "size": export.size if ready else None,
            "sha256": export.digest or None,
            "made_by": export.made_by,
            "created_at": export.created_at,
            "expires_at": export.expires_at,
        }


class HoldView(CreateModelMixin, DestroyModelMixin, ReadView):
    """Legal holds. DELETE releases one: it ends, and stays on record."""

    queryset = Hold.objects.all()
    serializer_class = HoldSerializer
    rights: ClassVar[dict[str, str]] = {
        "list": "holds.change",
        "retrieve": "holds.change",
        "create": "holds.change",
        "destroy": "holds.change",
    }

    def perform_create(self, serializer: BaseSerializer[Hold]) -> None:
        serializer.save(made_by=self.caller.name[:200])

    def perform_destroy(self, instance: Hold) -> None:
        Hold.objects.filter(pk=instance.pk, released_at=None).update(released_at=timezone.now())


class BodyView(ManagementView):
    """What went out and came back in a call, where the policy had it kept; addressed by the request's id.

    Those who see the call see it masked. The originals need the right to reveal and a purpose (`X-Audit-Reason`).
    """

    queryset = Body.objects.all()
    rights: ClassVar[dict[str, str]] = {"retrieve": "events.view"}

    def get_queryset(self) -> QuerySet[Body]:
        own = [str(identity) for _, identity in self.caller.principals]
        mine = Q(actor_id__in=own) | Q(user_id=self.caller.user) if self.caller.user else Q(actor_id__in=own)
        return Body.objects.all() if self.caller.may("events.all") else Body.objects.filter(mine)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        body: Body = self.get_object()
        try:
            content = content_of(body)
        except BodyGone as error:
            raise exceptions.NotFound(str(error)) from error
        purpose = request.headers.get("X-Audit-Reason", "").strip()
        revealed = bool(purpose) and self.caller.may("reveal.use") and not content.keys() <= set(MASKED)
        action = Action.BODY_REVEAL if revealed else Action.BODY_READ
        record(action, reason=purpose, object_type="request", object_id=str(body.pk))
        shown = content if revealed else {name: content.get(name) for name in MASKED}
        return Response(
            {
                "request_id": str(body.pk),
                "mode": body.mode,
                "created_at": body.created_at,
                "expires_at": body.expires_at,
                **shown,
            }
        )


class ErasureView(CreateModelMixin, DestroyModelMixin, ReadView):
    """Requests to be forgotten. A worker searches; once `state` is `found`, look at what was found and `execute`.

    DELETE withdraws a request that was not carried out.
    """

    queryset = ErasureRequest.objects.all()
    serializer_class = ErasureShown
    filters: ClassVar[dict[str, Filter]] = {"state": "state"}
    passing = ("state", "error", "found", "held", "erased", "traces", "changed_at", "finished_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "erasures.change",
        "retrieve": "erasures.change",
        "create": "erasures.change",
        "destroy": "erasures.change",
        "execute": "erasures.change",
        "certificate": "erasures.change",
    }

    @extend_schema(request=ErasureSerializer)
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = ErasureSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        subject, keep = values["subject"], values["documents"] == "keep"
        try:
            made = erasure.ask(subject["type"], subject["value"], values["reason"], keep, self.caller)
        except NotErased as error:
            raise exceptions.ValidationError({"subject": str(error)}) from error
        self._hand_over(made.pk, ErasureState.SEARCHING)
        made.refresh_from_db()
        return Response(self.get_serializer(made).data, status=201)

    def perform_destroy(self, instance: ErasureRequest) -> None:
        if instance.state in (ErasureState.ERASING, ErasureState.ERASED):
            raise problems.Conflict(f"This request cannot be withdrawn: it is {instance.state}.")
        instance.delete()

    @extend_schema(request=None, responses={202: ErasureShown})
    @action(detail=True, methods=["post"])
    def execute(self, request: Request, **kwargs: Any) -> Response:
        """Removes what was found. Where the tenant asks for four eyes, by somebody else than who asked."""
        found: ErasureRequest = self.get_object()
        try:
            erasure.execute(found, self.caller)
        except NotErased as error:
            raise problems.Conflict(str(error)) from error
        self._hand_over(found.pk, ErasureState.ERASING)
        found.refresh_from_db()
        return Response(self.get_serializer(found).data, status=202)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def certificate(self, request: Request, **kwargs: Any) -> Response:
        """What was removed, signed with the keys that sign seals (`audit/seal-keys`)."""
        found: ErasureRequest = self.get_object()
        try:
            signed = erasure.certificate_of(found)
        except NotErased as error:
            raise problems.Conflict(str(error)) from error
        record(Action.CERTIFICATE_READ, object_type="erasure_request", object_id=str(found.pk))
        return Response(signed)

    def _hand_over(self, request: UUID, state: ErasureState) -> None:
        transaction.on_commit(partial(tasks.dispatch_erasure, self.caller.tenant, request, state))


def shown(seal: Seal) -> dict[str, Any]:
    """A seal as it was signed, and its id."""
    return {"id": str(seal.pk), **json.loads(seal.line)}


def streamed(request: Request, export: Export, opened: Scope) -> Iterator[bytes] | AsyncIterator[bytes]:
    """A file part by part: under ASGI, Django would gather a plain iterator in memory first."""
    found = parts.contents(export, opened)
    return in_threads(found) if isinstance(request._request, ASGIRequest) else found


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    try:
        while chunk := await sync_to_async(partial(next, chunks, b""))():
            yield chunk
    finally:
        await sync_to_async(lambda: connection.close())()  # looked up there: each thread has its own
