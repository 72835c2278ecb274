"""The management plane of what all apps together tell."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from audit import health
from audit.views import own, shown_health
from billing.views import own_usage
from tenants.api.views import ManagementView

from .overview import PERIODS, STEPS_RIGHT, USUAL, Slot, first_steps, slots_of


class OverviewView(ManagementView):
    """Is all well, and what happened? Calls, cost (US dollars), masked data and refusals by hour or day (UTC), and how
    fast calls were; for those who know what is behind models, how deployments did in the last 15 minutes; for
    administrators of a new tenant, its first steps.
    """

    rights: ClassVar[dict[str, str]] = {"list": "events.view"}

    @extend_schema(
        parameters=[OpenApiParameter("period", OpenApiTypes.STR, enum=list(PERIODS), default=USUAL)],
        responses=OpenApiTypes.OBJECT,
    )
    def list(self, request: Request) -> Response:
        period = PERIODS.get(request.query_params.get("period", USUAL))
        if period is None:
            raise exceptions.ValidationError({"period": f"It is one of {', '.join(PERIODS)}."})
        actors = own(self.caller).get("actors")
        slots = slots_of(period, actors, own_usage(self.caller))
        whole = Slot(
            slots[0].begins,
            *(sum(getattr(slot, name) for slot in slots) for name in ("calls", "cost", "entities", "refused")),
        )
        told: dict[str, Any] = {
            "period": period.name,
            "slot": period.slot,
            "total": self._shown(whole),
            "slots": [{"begins": slot.begins, **self._shown(slot)} for slot in slots],
            "latency_ms": {"p95": health.latency(period.begin(), actors)},
            "deployments": None,
        }
        if self.caller.may(STEPS_RIGHT):
            told["first_steps"] = [{"step": step.title, "done": step.done} for step in first_steps()]
        if self.caller.may("routes.view"):
            told["deployments"] = shown_health(health.deployments(timezone.now() - health.LATELY, actors))
        return Response(told)

    def _shown(self, slot: Slot) -> dict[str, Any]:
        cost = f"{Decimal(slot.cost):f}" if self.caller.may("usage.view") else None
        return {"calls": slot.calls, "cost": cost, "entities": slot.entities, "refused": slot.refused}
