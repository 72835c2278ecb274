"""The management plane of the audit trail: reading only."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.moments import moment
from tenants.api.views import ManagementView

from .services import AREAS, search

FILTERS = ("request_id", "actor", "action", "decision", "department", "from", "to", "cursor", "limit")


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
                **self._own(),
            )
        except ValueError:
            raise exceptions.ValidationError(
                "request_id must be an id, limit a number, cursor one of an answer."
            ) from None
        return Response(
            {"next": self._address(page.next), "previous": self._address(page.previous), "results": page.results}
        )

    def _own(self) -> dict[str, Any]:
        if self.caller.may("events.all"):
            return {}
        actors = [str(own) for own in (self.caller.key, self.caller.user) if own]
        return {"actors": actors, "areas": AREAS.get(self.caller.role, ())}

    def _address(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        kept = {name: value for name, value in self.request.query_params.items() if name != "cursor"}
        return self.request.build_absolute_uri("?" + urlencode({**kept, "cursor": cursor}))
