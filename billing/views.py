"""The management plane of budgets, usage and reports."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from audit.services import Action, record
from tenants.api import problems
from tenants.api.lists import Filter, flag, target_of
from tenants.api.moments import moment
from tenants.api.views import FullView, ManagementView, ReadView
from tenants.data import Caller
from tenants.isolation import PLATFORM

from . import jobs, reconciliation, requests, rerating, tasks
from .errors import InvoiceUnreadable, RequestRefused, UnknownGroup
from .forecasts import forecasts
from .formats import NAMES
from .models import (
    Budget,
    BudgetRequest,
    BudgetScope,
    Discount,
    ExchangeRate,
    Notice,
    Reconciliation,
    Report,
    ReportFormat,
    ReportKind,
    ReportSchedule,
    ReportState,
    Rerating,
)
from .reports import budget_states, usage
from .serializers import (
    BudgetRequestSerializer,
    BudgetSerializer,
    DiscountSerializer,
    ExchangeRateSerializer,
    ReconciliationSerializer,
    ReportScheduleSerializer,
    ReportSerializer,
    ReratingSerializer,
    shown_discount,
    shown_notice,
    shown_rate,
    shown_reconciliation,
    shown_report,
    shown_request,
    shown_rerating,
    wanted_of,
)


def budgets_shown_to(caller: Caller) -> QuerySet[Budget]:
    """All for those who manage money; else those of the own departments, of oneself and of one's own key.

    To whom no budget is shown at all it is refused, and not hidden.
    """
    budgets = Budget.objects.all()
    if caller.may("budgets.all") or not caller.may("budgets.view"):
        return budgets
    mine = Q(scope=BudgetScope.DEPARTMENT, target__in=caller.belongs_to)
    mine |= Q(pk__in=caller.grants.shown("budget"))
    for scope, own in ((BudgetScope.KEY, caller.key), (BudgetScope.USER, caller.user)):
        if own is not None:
            mine |= Q(scope=scope, target=own)
    return budgets.filter(mine)


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
    passing = ("spent", "reserved", "remaining", "renews_at", "forecast", "runs_out_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "budgets.view",
        "retrieve": "budgets.view",
        "create": "budgets.change",
        "partial_update": "budgets.change",
        "destroy": "budgets.change",
    }

    def get_queryset(self) -> QuerySet[Budget]:
        return budgets_shown_to(self.caller)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        states = budget_states([budget.pk for budget in page])
        known = {"states": states, "forecasts": forecasts(page, states)}
        serializer = self.get_serializer(page, many=True, context={**self.get_serializer_context(), **known})
        return self.get_paginated_response(serializer.data)


def own_usage(caller: Caller) -> dict[str, Any]:
    """What `usage` takes for those who may not see all: their department's usage, or their own."""
    if caller.may("usage.all"):
        return {}
    if caller.role == "developer":
        return {"departments": list(caller.departments or ())}
    return {"keys": [caller.key]} if caller.key else {"users": [caller.user]}


class UsageView(ManagementView):
    """Tokens and cost, by any of department, user, key, model, deployment, collection and day."""

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
            return Response(usage(groups, since, until, **own_usage(self.caller)))
        except UnknownGroup as error:
            raise exceptions.ValidationError({"group_by": str(error)}) from error


class ReportView(ReadView):
    """Reports: asked for by POST, then looked at until `state` is `succeeded` and `download` is there."""

    queryset = Report.objects.all()
    serializer_class = ReportSerializer
    filters: ClassVar[dict[str, Filter]] = {"kind": "kind", "state": "state"}
    rights: ClassVar[dict[str, str]] = {
        "list": "reports.view",
        "retrieve": "reports.view",
        "create": "reports.make",
        "download": "reports.view",
    }

    def get_queryset(self) -> QuerySet[Report]:
        """All for those who manage money, else those of the own departments; compliance for who may read the trail."""
        reports = super().get_queryset()
        if not self.caller.may("usage.all"):
            reports = reports.filter(department_id__in=self.caller.belongs_to)
        if not self.caller.may("events.all"):
            reports = reports.exclude(kind=ReportKind.COMPLIANCE)
        return reports

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([self._shown(report) for report in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._shown(self.get_object()))

    @extend_schema(responses={202: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = wanted_of(asked.validated_data)
        if not self.caller.may("events.all" if wanted.kind == ReportKind.COMPLIANCE else "reports.change"):
            raise exceptions.PermissionDenied(f"The role {self.caller.role} may not make this kind of report.")
        made = jobs.ask(wanted, self.caller.name)
        transaction.on_commit(partial(tasks.dispatch, self.caller.tenant, made.pk))
        return Response(self._shown(made), status=202)

    @extend_schema(responses={(200, kind): OpenApiTypes.BINARY for _, kind in NAMES.values()})
    @action(detail=True)
    def download(self, request: Request, **kwargs: Any) -> HttpResponse:
        """The file; each download is recorded."""
        return download(self.get_object())

    def _shown(self, report: Report) -> dict[str, Any]:
        return shown_report(report, self.request.build_absolute_uri("/"))


def download(report: Report) -> HttpResponse:
    """A report's file as an answer, for the API and the console; recorded. Raises Conflict when there is none."""
    if report.state != ReportState.SUCCEEDED:
        raise problems.Conflict(f"There is no file: the report is {report.state}.")
    record(Action.REPORT_READ, object_type="report", object_id=str(report.pk))
    ending, kind = NAMES[ReportFormat(report.format)]
    answer = HttpResponse(jobs.contents(report), content_type=kind)
    name = f"{report.kind}-{report.since:%Y-%m-%d}-{report.until:%Y-%m-%d}.{ending}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer


class ReportScheduleView(FullView):
    """Reports that are made by themselves and sent by e-mail; webhooks are told of each as `report.ready`."""

    queryset = ReportSchedule.objects.all()
    serializer_class = ReportScheduleSerializer
    filters: ClassVar[dict[str, Filter]] = {"kind": "kind", "every": "every", "active": flag("active")}
    searched = ("name",)
    orderings = ("name", "next_at", "created_at")
    passing = ("next_at",)
    rights: ClassVar[dict[str, str]] = {
        "list": "reports.make",
        "retrieve": "reports.make",
        "create": "reports.change",
        "partial_update": "reports.change",
        "destroy": "reports.change",
    }

    def perform_create(self, serializer: BaseSerializer[ReportSchedule]) -> None:
        self._check_kind(serializer)
        serializer.save(made_by=self.caller.name[:200])

    def perform_update(self, serializer: BaseSerializer[ReportSchedule]) -> None:
        self._check_kind(serializer)
        serializer.save()

    def perform_destroy(self, instance: ReportSchedule) -> None:
        """What it made stays until it expires."""
        Report.objects.filter(schedule=instance).update(schedule=None)
        instance.delete()

    def _check_kind(self, serializer: BaseSerializer[ReportSchedule]) -> None:
        """Raises PermissionDenied: nobody has sent what they may not read."""
        kind = serializer.validated_data.get("kind") or (serializer.instance.kind if serializer.instance else "")
        if kind == ReportKind.COMPLIANCE and not self.caller.may("events.all"):
            raise exceptions.PermissionDenied(f"The role {self.caller.role} may not make this kind of report.")


class NoticeView(ReadView):
    """What people were told of, newest first: budgets past a threshold or out of room, days far from the usual."""

    queryset = Notice.objects.all()
    filters: ClassVar[dict[str, Filter]] = {"kind": "kind", "subject": "subject"}
    rights: ClassVar[dict[str, str]] = {"list": "budgets.all", "retrieve": "budgets.all"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([shown_notice(notice) for notice in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(shown_notice(self.get_object()))


class ReconciliationView(ReadView):
    """A vendor's export against the ledger: sent by POST, compared by a worker, read as lines or CSV."""

    queryset = Reconciliation.objects.defer("told", "lines")
    serializer_class = ReconciliationSerializer
    parser_classes = (JSONParser, MultiPartParser)
    filters: ClassVar[dict[str, Filter]] = {"vendor": "vendor", "state": "state"}
    rights: ClassVar[dict[str, str]] = {
        "list": "reconciliations.view",
        "retrieve": "reconciliations.view",
        "create": "reconciliations.change",
        "lines": "reconciliations.view",
        "download": "reconciliations.view",
    }

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([self._shown(row) for row in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._shown(self.get_object()))

    @extend_schema(responses={202: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        file = given.pop("file", None)
        try:
            made = reconciliation.ask(
                given.pop("csv"),
                given.pop("vendor"),
                file_name=file.name if file is not None else "",
                made_by=self.caller.name,
                **given,
            )
        except InvoiceUnreadable as error:
            raise exceptions.ValidationError({"file": str(error)}) from error
        transaction.on_commit(partial(tasks.dispatch_reconciliation, self.caller.tenant, made.pk))
        return Response(self._shown(made), status=202)

    @extend_schema(parameters=[OpenApiParameter("class", OpenApiTypes.STR)], responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def lines(self, request: Request, **kwargs: Any) -> Response:
        """By day, model and key; `class` narrows to one, the largest difference in cost comes first."""
        wanted = request.query_params.get("class")
        found = [one for one in self._made().lines or () if wanted in (None, "", one["class"])]
        return Response({"next": None, "previous": None, "results": found})

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    @action(detail=True)
    def download(self, request: Request, **kwargs: Any) -> HttpResponse:
        """All lines as CSV."""
        row = self._made()
        answer = HttpResponse(reconciliation.as_csv(row), content_type="text/csv; charset=utf-8")
        name = f"reconciliation-{row.vendor}-{row.first_day}-{row.last_day}.csv"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    def _made(self) -> Reconciliation:
        row: Reconciliation = self.get_object()
        if row.state != ReportState.SUCCEEDED:
            raise problems.Conflict(f"There is no result: the reconciliation is {row.state}.")
        return row

    def _shown(self, row: Reconciliation) -> dict[str, Any]:
        return shown_reconciliation(row, self.request.build_absolute_uri("/"))


class ReratingView(ReadView):
    """A period rated anew: POST makes a dry run, `apply` writes its corrections; the ledger itself never changes."""

    queryset = Rerating.objects.all()
    serializer_class = ReratingSerializer
    filters: ClassVar[dict[str, Filter]] = {"state": "state"}
    rights: ClassVar[dict[str, str]] = {
        "list": "reratings.view",
        "retrieve": "reratings.view",
        "create": "reratings.change",
        "apply": "reratings.change",
    }

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([shown_rerating(row) for row in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(shown_rerating(self.get_object()))

    @extend_schema(responses={202: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = rerating.ask(asked.validated_data["since"], asked.validated_data["until"], self.caller.name)
        transaction.on_commit(partial(tasks.dispatch_rerating, self.caller.tenant, made.pk))
        return Response(shown_rerating(made), status=202)

    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["post"])
    def apply(self, request: Request, **kwargs: Any) -> Response:
        """Corrects what differs when it is done, which may be more or less than the dry run saw."""
        row: Rerating = self.get_object()
        if not rerating.wish(row, self.caller.name):
            raise problems.Conflict(f"Only a dry run that is ready can be applied; this one is {row.state}.")
        transaction.on_commit(partial(tasks.dispatch_rerating, self.caller.tenant, row.pk))
        row.refresh_from_db()
        return Response(shown_rerating(row), status=202)


class PlatformsView(ManagementView):
    """What the platform alone adds, and nobody changes; tenants read what is theirs."""

    def check_right(self, action: str) -> None:
        super().check_right(action)
        if action == "create" and self.caller.tenant != PLATFORM:
            raise exceptions.PermissionDenied("Only the platform's operators add these.")


class DiscountView(PlatformsView):
    """What the platform's contracts take off statements. A later row takes the place of an earlier one."""

    queryset = Discount.objects.all()
    serializer_class = DiscountSerializer
    rights: ClassVar[dict[str, str]] = {"list": "prices.view", "create": "prices.change"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([shown_discount(row) for row in page])

    @extend_schema(responses={201: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        made = Discount.objects.create(shared_with=[given.pop("tenant").pk], **given)
        return Response(shown_discount(made), status=201)


class ExchangeRateView(PlatformsView):
    """What a US dollar is in other currencies, from a day on; for statements."""

    queryset = ExchangeRate.objects.all()
    serializer_class = ExchangeRateSerializer
    filters: ClassVar[dict[str, Filter]] = {"currency": "currency"}
    rights: ClassVar[dict[str, str]] = {"list": "prices.view", "create": "prices.change"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([shown_rate(row) for row in page])

    @extend_schema(responses={201: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response(shown_rate(ExchangeRate.objects.create(**asked.validated_data)), status=201)


class BudgetRequestView(ReadView):
    """Wishes that a budget be raised. `approve` raises it, `refuse` does not; nobody decides on their own."""

    queryset = BudgetRequest.objects.all()
    serializer_class = BudgetRequestSerializer
    filters: ClassVar[dict[str, Filter]] = {"state": "state"}
    rights: ClassVar[dict[str, str]] = {
        "list": "budgets.view",
        "retrieve": "budgets.view",
        "create": "budgets.view",
        "approve": "budgets.change",
        "refuse": "budgets.change",
    }

    def get_queryset(self) -> QuerySet[BudgetRequest]:
        """All for those who manage money, else one's own."""
        rows = super().get_queryset()
        return rows if self.caller.may("budgets.all") else rows.filter(asked_by_id=self._who())

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([shown_request(row) for row in page])

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(shown_request(self.get_object()))

    @extend_schema(responses={201: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        if not budgets_shown_to(self.caller).filter(pk=given["budget"].pk).exists():
            raise exceptions.ValidationError({"budget": "There is no such budget."})
        try:
            made = requests.ask(**given, asked_by=self.caller.name, asked_by_id=self._who())
        except RequestRefused as error:
            raise exceptions.ValidationError({"limit": str(error)}) from error
        return Response(shown_request(made), status=201)

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, **kwargs: Any) -> Response:
        return self._decide(True)

    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, **kwargs: Any) -> Response:
        return self._decide(False)

    def _decide(self, approve: bool) -> Response:
        try:
            row = requests.decide(self.get_object(), approve, decided_by=self.caller.name, decided_by_id=self._who())
        except RequestRefused as error:
            raise problems.Conflict(str(error)) from error
        return Response(shown_request(row))

    def _who(self) -> str:
        return str(self.caller.key or self.caller.user or "")


__all__ = [
    "BudgetRequestView",
    "BudgetView",
    "DiscountView",
    "ExchangeRateView",
    "NoticeView",
    "ReconciliationView",
    "ReportScheduleView",
    "ReportView",
    "ReratingView",
    "UsageView",
]
