"""The management plane of budgets and usage."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.lists import Filter, target_of
from tenants.api.moments import moment
from tenants.api.views import FullView, ManagementView

from .errors import UnknownGroup
from .models import Budget, BudgetScope
from .reports import budget_states, usage
from .serializers import BudgetSerializer


class BudgetView(FullView):
    queryset = Budget.objects.all()
    serializer_class = BudgetSerializer
    filters: ClassVar[dict[str, Filter]] = {
        "scope": "scope",
        "target": target_of("department", "user", "key", "model"),
        "period": "period",
    }
    orderings = ("scope", "period", "limit", "created_at")
    granted = "budget"
    passing = ("spent", "reserved", "remaining", "renews_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "budgets.view",
        "retrieve": "budgets.view",
        "create": "budgets.change",
        "partial_update": "budgets.change",
        "destroy": "budgets.change",
    }

    def get_queryset(self) -> QuerySet[Budget]:
        """All for those who manage money; else those of the own departments, of oneself and of one's own key.

        To whom no budget is shown at all it is refused, and not hidden.
        """
        budgets = super().get_queryset()
        if self.caller.may("budgets.all") or not self.caller.may("budgets.view"):
            return budgets
        mine = Q(scope=BudgetScope.DEPARTMENT, target__in=self.caller.belongs_to)
        mine |= Q(pk__in=self.caller.grants.shown(self.granted))
        for scope, own in ((BudgetScope.KEY, self.caller.key), (BudgetScope.USER, self.caller.user)):
            if own is not None:
                mine |= Q(scope=scope, target=own)
        return budgets.filter(mine)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
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
