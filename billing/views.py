"""The management plane of budgets and usage."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.moments import moment
from tenants.api.views import FullView, ManagementView

from .errors import UnknownGroup
from .models import Budget
from .reports import budget_states, usage
from .serializers import BudgetSerializer


class BudgetView(FullView):
    queryset = Budget.objects.all()
    serializer_class = BudgetSerializer
    rights: ClassVar[dict[str, str]] = {
        "list": "budgets.view",
        "retrieve": "budgets.view",
        "create": "budgets.change",
        "partial_update": "budgets.change",
        "destroy": "budgets.change",
    }

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        states = budget_states([budget.pk for budget in page])
        serializer = self.get_serializer(page, many=True, context={**self.get_serializer_context(), "states": states})
        return self.get_paginated_response(serializer.data)


class UsageView(ManagementView):
    """Tokens and cost, by any of department, user, key, model, deployment and day."""

    rights: ClassVar[dict[str, str]] = {"list": "usage.view"}

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in ("group_by", "from", "to")],
        responses=OpenApiTypes.OBJECT,
    )
    def list(self, request: Request) -> Response:
        asked = request.query_params.get("group_by", "department,model")
        groups = [group for group in asked.split(",") if group]
        since, until = (moment(request, name) for name in ("from", "to"))
        try:
            return Response(usage(groups, since, until, **self._own()))
        except UnknownGroup as error:
            raise exceptions.ValidationError({"group_by": str(error)}) from error

    def _own(self) -> dict[str, Any]:
        """What those may see who may not see all: their department's usage, or their own."""
        if self.caller.may("usage.all"):
            return {}
        if self.caller.role == "developer":
            return {"departments": list(self.caller.departments or ())}
        return {"keys": [self.caller.key]} if self.caller.key else {"users": [self.caller.user]}


__all__ = ["BudgetView", "UsageView"]
