"""The console's pages about what happened: the calls, the whole trail, and what proves it."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import Lag
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.paginator import InfinitePaginator

from tenants.console import cells
from tenants.console.filters import ChoiceFilter, DatesFilter, TextFilter
from tenants.console.member import Member, visible_keys
from tenants.console.pages import REASON_LENGTH, ReadOnlyAdmin, ScopedForm, TenantAdmin
from tenants.console.periods import start_of
from tenants.models import Department
from tenants.roles import Role

from . import call_page, exports, forgetting_pages, receipts, services, tasks, verify
from .bodies import MASKED, content_of
from .errors import BodyGone
from .evidence import Wanted
from .models import Body, Event, Export, ExportFormat, ExportState, Seal
from .services import AREAS, first_id

BODY_PARTS = {
    "request": "What the client wrote",
    "answer": "What the client read",
    "sent": "What left the house",
    "said": "What came back",
}
__all__ = ["forgetting_pages"]  # registers its own

#: How actions read, where their own words would read badly.
THINGS = {
    "api_key": "API key",
    "api_key_department": "API key's department",
    "membership": "Person's place",
    "membership_department": "Person's department",
    "event": "Audit trail",
}
VERBS = {
    "create": "created",
    "update": "changed",
    "delete": "removed",
    "open": "opened",
    "close": "closed",
    "revoke": "revoked",
    "read": "read",
    "ready": "ready",
    "fail": "failed",
}


def visible_events(member: Member) -> QuerySet[Event]:
    """The events that a role shows: all, those of its area, or those of one's own calls and doings."""
    if member.may("events.all"):
        return Event.objects.all()
    own = Q(actor_id=str(member.user))
    for area in AREAS.get(member.role, ()):
        own |= Q(action__startswith=area)
    if member.role in (Role.DEVELOPER, Role.MEMBER):
        own |= Q(actor_id__in=[str(key) for key in visible_keys(member).values_list("id", flat=True)])
    return Event.objects.filter(own)


def headline(action: str) -> str:
    """`api_key.create` as `API key created`."""
    thing, _, verb = action.partition(".")
    return f"{THINGS.get(thing, thing.replace('_', ' ').capitalize())} {VERBS.get(verb, verb.replace('_', ' '))}"


class AreaFilter(ChoiceFilter):
    title, parameter_name = "what", "area"
    choices_shown: ClassVar = [
        ("calls", "Calls, by their end"),
        ("call", "Calls, each step"),
        ("api_key", "API keys"),
        ("policy", "Policies"),
        ("membership", "People's places"),
        ("department", "Departments"),
        ("budget", "Budgets"),
        ("tenant", "Tenants"),
        ("session", "Sign-ins"),
    ]

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        if value == "calls":  # one line for each call: how it ended
            return queryset.filter(action__in=("call.outcome", "call.refused"))
        return queryset.filter(action__startswith=f"{value}.")


class ActionFilter(TextFilter):
    title, parameter_name = "action", "action"

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(action=value)


class DecisionFilter(ChoiceFilter):
    title, parameter_name = "decision", "decision"
    choices_shown: ClassVar = [("allow", "Allowed"), ("deny", "Denied")]

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(decision=value)


class FoundFilter(ChoiceFilter):
    title, parameter_name = "personal data", "found"
    choices_shown: ClassVar = [("entities", "Something was found")]

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.exclude(entities={})


class ActorFilter(TextFilter):
    title, parameter_name = "actor (name or id)", "actor"

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(Q(actor_id=value) | Q(actor_name__iexact=value))


class DepartmentFilter(ChoiceFilter):
    title, parameter_name = "department", "department"

    def offered(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(str(one.pk), one.name) for one in Department.objects.all()]

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(department_id=value) if is_id(value) else queryset.none()


class RequestFilter(TextFilter):
    title, parameter_name = "request id", "request_id"

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(request_id=value) if is_id(value) else queryset.none()


class ObjectFilter(TextFilter):
    title, parameter_name = "object id", "object_id"

    def narrow(self, queryset: QuerySet[Event], value: str) -> QuerySet[Event]:
        return queryset.filter(object_id=value)


class TimesFilter(DatesFilter):
    def narrow_by_id(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """Ids rise with time: the primary key finds the beginning."""
        return queryset.filter(id__gte=first_id(start_of(self.since))) if self.since else queryset


def is_id(text: object) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True


@admin.register(Event)
class EventPage(ReadOnlyAdmin):
    rights = "events"
    heading = "Audit trail"
    lead = "Every decision and every change, written in the same transaction as what it describes."
    empty = (
        "Nothing is recorded here yet",
        "Calls and changes appear by themselves. Make a first call with an API key.",
    )
    list_display = ("at", "what", "verdict", "who", "where", "found", "charged", "call")
    list_display_links = ("at",)
    list_filter = (
        TimesFilter,
        AreaFilter,
        DecisionFilter,
        DepartmentFilter,
        FoundFilter,
        ActorFilter,
        ActionFilter,
        RequestFilter,
        ObjectFilter,
    )
    list_filter_submit = True
    search_fields = ("id",)
    search_help_text = "An id, an actor's name, or a model"
    ordering = ("-id",)
    sortable_by = ()
    paginator = InfinitePaginator

    def heading_of(self, request: HttpRequest) -> str:
        return "Calls" if request.GET.get("area") == "calls" else self.heading

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list. Whoever reads what others did is recorded as well, with what they looked for."""
        if self.may(request, "all"):
            services.record("event.read", detail={"filters": dict(request.GET.items())})
        return super().changelist_view(request, extra_context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return visible_events(self.member(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Exact words only: the trail is long, and a substring would read all of it."""
        word = search_term.strip()
        if not word:
            return queryset, False
        wanted = Q(actor_name__iexact=word) | Q(model=word) | Q(deployment=word) | Q(object_id=word) | Q(actor_id=word)
        wanted |= Q(action=word)
        if is_id(word):
            wanted |= Q(request_id=word) | Q(id=word)
        return queryset.filter(wanted), False

    @admin.display(description="time")
    def at(self, event: Event) -> SafeString:
        return cells.moment(event.time)

    @admin.display(description="what")
    def what(self, event: Event) -> SafeString:
        return cells.words(headline(event.action), event.reason.replace("_", " "))

    @admin.display(description="decision")
    def verdict(self, event: Event) -> SafeString:
        return cells.label("allowed", "good") if event.decision == "allow" else cells.label("denied", "bad")

    @admin.display(description="who")
    def who(self, event: Event) -> SafeString:
        return cells.words(event.actor_name or "–", event.actor_type)

    @admin.display(description="model")
    def where(self, event: Event) -> SafeString:
        return cells.words(event.model, event.deployment) if event.model else cells.NOTHING

    @admin.display(description="personal data")
    def found(self, event: Event) -> SafeString:
        return cells.counts(event.entities)

    @admin.display(description="cost")
    def charged(self, event: Event) -> SafeString:
        return cells.money(event.cost)

    @admin.display(description="request")
    def call(self, event: Event) -> SafeString:
        return cells.short_id(event.request_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One event, opened: what was decided and why, the call's other events, and what a change changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        event = self.get_object(request, unquote(object_id))
        if event is None:
            raise Http404("There is no event with this id here.")
        services.record("event.read", object_type="event", object_id=str(event.pk))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": event,
            "title": headline(event.action),
            "sentence": services.sentence(event.action) if services.known(event.action) else "",
            "facts": self.facts(event),
            "changes": changes(event.detail),
            "detail": cells.document(more(event.detail)) if more(event.detail) else None,
            "passages": self.passages(request, event),
            "chain": self.chain(request, event),
            "steps": steps(event.detail.get("steps")),
            **self.body(request, event),
            **self.call_told(request, event),
        }
        return TemplateResponse(request, "console/event.html", context)

    def get_urls(self) -> list[URLPattern]:
        shown = self.admin_site.admin_view(require_POST(self.body_view))
        receipt = self.admin_site.admin_view(self.receipt_view)
        return [
            path("<uuid:event>/body/", shown, name="audit_event_body"),
            path("<uuid:event>/receipt/", receipt, name="audit_event_receipt"),
            *super().get_urls(),
        ]

    def call_told(self, request: HttpRequest, event: Event) -> dict[str, Any]:
        """Of a call: where it went, what it cost line by line, and whether its record is sealed."""
        if event.request_id is None:
            return {}
        member = self.member(request)
        told: dict[str, Any] = {"receipt_link": reverse("admin:audit_event_receipt", args=[event.pk])}
        if event.action == "call.outcome" and member.may("usage.view"):
            charges = self.admin_site.charges_of(event.request_id, prices=member.may("prices.view"))
            told["charges"] = [call_page.shown(charge) for charge in charges]
        if event.action in ("call.outcome", "call.refused") and member.may("routes.view"):
            told["way"] = call_page.way(event.deployment, event.detail)
        if member.may("events.all"):
            seal = call_page.seal_of(event.pk)
            told |= {"sealing": True, "seal": seal}
            if seal is not None:
                told["seal_link"] = reverse("admin:audit_seal_change", args=[seal.pk])
                told["seal_verify"] = reverse("admin:audit_seal_verify", args=[seal.pk])
        return told

    def receipt_view(self, request: HttpRequest, event: UUID) -> HttpResponse:
        """A call's receipt as a file, for `verify_customhouse.py`: of the events that this person may see."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).filter(pk=event).first()
        if found is None or found.request_id is None:
            raise Http404("There is no call with this event here.")
        seen = tuple(self.get_queryset(request).filter(request_id=found.request_id).values_list("pk", flat=True))
        made = receipts.receipt(found.tenant_id, found.request_id, seen)
        services.record("receipt.read", object_type="request", object_id=str(found.request_id))
        answer = JsonResponse(made, json_dumps_params={"indent": 1})
        answer["Content-Disposition"] = f'attachment; filename="receipt-{found.request_id}.json"'
        return answer

    def body(self, request: HttpRequest, event: Event) -> dict[str, Any]:
        """Whether the call's prompt and answer were kept, and until when."""
        found = Body.objects.filter(pk=event.request_id).defer("sealed").first() if event.request_id else None
        if found is None:
            return {}
        return {
            "kept_until": cells.moment(found.expires_at),
            "body_link": reverse("admin:audit_event_body", args=[event.pk]),
            "may_reveal": found.mode == "full" and self.member(request).may("reveal.use"),
        }

    def body_view(self, request: HttpRequest, event: UUID) -> HttpResponse:
        """What went out and came back in a call: masked, or with its originals for a purpose. Recorded either way."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).filter(pk=event).first()
        if found is None or found.request_id is None:
            raise Http404("There is no call with this event here.")
        body = Body.objects.filter(pk=found.request_id).first()
        if body is None:
            raise Http404("Nothing is kept of this call.")
        purpose, wanted = request.POST.get("purpose", "").strip(), "reveal" in request.POST
        if wanted and not (purpose and self.member(request).may("reveal.use")):
            messages.error(request, "To see the originals, say what for.")
            return HttpResponseRedirect(reverse("admin:audit_event_change", args=[found.pk]))
        try:
            content = content_of(body)
        except BodyGone as gone:
            messages.error(request, str(gone))
            return HttpResponseRedirect(reverse("admin:audit_event_change", args=[found.pk]))
        revealed = wanted and not content.keys() <= set(MASKED)
        services.record(
            "body.reveal" if revealed else "body.read",
            reason=purpose[:REASON_LENGTH],
            object_type="request",
            object_id=str(body.pk),
        )
        names = ("request", "answer", "sent", "said") if revealed else MASKED
        parts = [(BODY_PARTS[name], cells.document(content[name])) for name in names if content.get(name) is not None]
        title = "Prompt and answer" if revealed else "Prompt and answer, masked"
        link = ("Back to the call", reverse("admin:audit_event_change", args=[found.pk]), "")
        return self.facts_page(request, found, title, parts, links=[link])

    def facts(self, event: Event) -> list[tuple[str, object]]:
        """The event's filled columns in the order in which an auditor asks."""
        department = Department.objects.filter(pk=event.department_id).first() if event.department_id else None
        rows: list[tuple[str, object]] = [
            ("Decision", self.verdict(event)),
            ("Reason", event.reason.replace("_", " ")),
            ("Time", cells.moment(event.time)),
            ("Actor", cells.words(event.actor_name or "–", event.actor_type)),
            ("Actor id", cells.short_id(event.actor_id) if event.actor_id else ""),
            ("Department", str(department or "")),
            ("Object", event.object_type.replace("_", " ")),
            ("Object id", cells.short_id(event.object_id) if event.object_id else ""),
            ("Request", cells.short_id(event.request_id) if event.request_id else ""),
            ("Policy", self.policy(event)),
            ("Model", event.model),
            ("Deployment", event.deployment),
            ("Region", event.region),
            ("Personal data", cells.counts(event.entities) if event.entities else ""),
            ("Tokens", cells.counts({k.replace("_", " "): v for k, v in event.tokens.items() if isinstance(v, int)})),
            ("Cost", cells.money(event.cost) if event.cost is not None else ""),
            ("Latency", f"{event.latency_ms:,.1f} ms" if event.latency_ms is not None else ""),
            ("Event id", cells.short_id(event.pk)),
            ("Sequence", f"{event.seq:,}"),
        ]
        return [(name, value) for name, value in rows if value and value != cells.NOTHING]

    def policy(self, event: Event) -> SafeString | str:
        """The policy's name and version, with a link; events carry its id and version."""
        found, _, _ = event.policy.partition("@")
        named = self.admin_site.names_of("policy", [UUID(found)]) if is_id(found) else {}
        if not named:
            return event.policy
        return cells.link(reverse("admin:policies_policy_change", args=[found]), named[UUID(found)])

    def passages(self, request: HttpRequest, event: Event) -> list[str]:
        """The passages in words; titles only for those who may read documents, as far as the wall lets them."""
        named = [one["document"] for one in event.passages if isinstance(one, dict) and is_id(one.get("document"))]
        titles = {}
        if named and self.member(request).may("documents.view"):
            titles = self.admin_site.names_of("document", [UUID(one) for one in named])
        return [passage(one, {str(key): title for key, title in titles.items()}) for one in event.passages]

    def chain(self, request: HttpRequest, event: Event) -> list[dict[str, Any]]:
        """The events of the same call, in order, each with its distance from the first."""
        if event.request_id is None:
            return []
        found = sorted(self.get_queryset(request).filter(request_id=event.request_id), key=lambda one: one.seq)
        start = found[0].time if found else event.time
        return [
            {
                "headline": headline(one.action),
                "verdict": self.verdict(one),
                "reason": one.reason.replace("_", " "),
                "after": after(one.time - start),
                "link": reverse("admin:audit_event_change", args=[one.pk]),
                "here": one.pk == event.pk,
            }
            for one in found
        ]


@admin.register(Seal)
class SealPage(ReadOnlyAdmin):
    """Seals as a chain. For those who may see the whole trail."""

    rights = "events"
    heading = "Evidence"
    lead = (
        "Each seal signs all records up to it and holds the hash of the one before: what is changed or cut off shows."
    )
    empty = ("Nothing is sealed yet", "The first seal is made within a minute of the first event.")
    list_display = ("place", "at", "covers", "added", "head", "signers")
    list_display_links = ("place",)
    search_fields = ("number",)
    search_help_text = "A seal's number"
    ordering = ("-number",)
    sortable_by = ()
    paginator = InfinitePaginator

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "all")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "all")

    def get_urls(self) -> list[URLPattern]:
        checked = self.admin_site.admin_view(require_POST(self.verify_view))
        return [path("<uuid:seal>/verify/", checked, name="audit_seal_verify"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Seal]:
        before = Window(Lag("size", default=0), order_by=F("number").asc())
        found: QuerySet[Seal] = super().get_queryset(request).annotate(before=before)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Seal], search_term: str
    ) -> tuple[QuerySet[Seal], bool]:
        word = search_term.strip()
        return (queryset.filter(number=int(word)) if word.isdecimal() and len(word) < 19 else queryset), False

    @admin.display(description="seal")
    def place(self, seal: Seal) -> str:
        return f"No. {seal.number:,}"

    @admin.display(description="time")
    def at(self, seal: Seal) -> SafeString:
        return cells.moment(seal.time)

    @admin.display(description="records")
    def covers(self, seal: Seal) -> SafeString:
        return cells.count(seal.size)

    @admin.display(description="new")
    def added(self, seal: Seal) -> SafeString:
        return cells.count(seal.size - seal.before)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="root")
    def head(self, seal: Seal) -> SafeString:
        return cells.short_id(bytes(seal.root).hex())

    @admin.display(description="signed by")
    def signers(self, seal: Seal) -> SafeString:
        return cells.lines(cells.short_id(given["key"]) for given in json.loads(seal.line)["signatures"])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One seal, opened: what it says, to be kept elsewhere, and whether it still holds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        seal = self.get_object(request, unquote(object_id))
        if seal is None:
            raise Http404("There is no seal with this id here.")
        return self.facts_page(
            request,
            seal,
            f"Seal No. {seal.number:,}",
            [
                ("Time", self.at(seal)),
                ("Records from the first on", self.covers(seal)),
                ("New in this seal", cells.count(seal.size - self.before(seal))),
                ("Signed by", self.signers(seal)),
                ("The seal itself", cells.document(json.loads(seal.line))),
            ],
            links=[("Save this seal", f"/api/v1/audit/seals/{seal.number}", "")],
            posts=[("Verify its records", reverse("admin:audit_seal_verify", args=[seal.pk]))],
        )

    def before(self, seal: Seal) -> int:
        """How many records the seal before covers."""
        return Seal.objects.filter(number=seal.number - 1).values_list("size", flat=True).first() or 0

    def verify_view(self, request: HttpRequest, seal: UUID) -> HttpResponse:
        """Verifies one seal with the records that it added, and says what was found."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Seal.objects.filter(pk=seal).first()
        if found is None:
            raise Http404("There is no seal with this id here.")
        report = verify.verify_seal(found.tenant_id, found.number)
        services.record("event.read", object_type="seal", object_id=str(found.pk), detail={"faults": report.faults})
        for sentence in report.faults:
            messages.error(request, f"False: {sentence}")
        if not report.faults:
            messages.success(request, f"True: {' '.join(report.facts)}")
        return HttpResponseRedirect(reverse("admin:audit_seal_change", args=[found.pk]))


class ExportForm(ScopedForm):
    """What is to be exported; without times and request, the whole trail."""

    class Meta:
        model = Export
        fields = ("format", "since", "until", "request_id")
        labels = {"since": "From", "until": "Up to", "request_id": "Request id"}
        help_texts = {
            "format": "An evidence pack holds proofs and a verifier; it needs neither us nor a network to be verified.",
            "since": "UTC; without it, from the first record on.",
            "until": "UTC, not included; without it, to this moment.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["format"].choices = FORMATS  # type: ignore[attr-defined]
        for name in ("since", "until", "request_id"):
            self.fields[name].required = False

    def clean(self) -> dict[str, Any] | None:
        found = super().clean()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and since >= until:
            self.add_error("until", "Must be later than the beginning.")
        return found


FORMATS = [
    (ExportFormat.PACK, "Evidence pack (zip)"),
    (ExportFormat.JSONL, "JSON Lines"),
    (ExportFormat.CSV, "CSV"),
    (ExportFormat.CEF, "CEF (syslog)"),
]
STATES = {
    ExportState.SUCCEEDED: ("ready", "good"),
    ExportState.FAILED: ("failed", "bad"),
    ExportState.EXPIRED: ("expired", "plain"),
}


@admin.register(Export)
class ExportPage(TenantAdmin):
    """Exports of the trail: asked for here, made by a worker, fetched here."""

    rights = "exports"
    heading = "Exports"
    lead = (
        "Packs and lists of the audit trail. Everything that happened is sealed first; files are kept for seven days."
    )
    empty = ("Nothing was exported yet", "Export an evidence pack: an auditor verifies it without us.")
    add_text = "Export"
    form = ExportForm
    list_display = ("asked", "kind", "extent", "standing", "count", "weight", "made_by", "fetch")
    list_display_links = ("asked",)
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Export, form: Any, change: bool) -> None:
        """Asks for the export; a worker makes it when this transaction is there."""
        member = self.member(request)
        made = exports.ask(Wanted(obj.since, obj.until, obj.request_id), obj.format, str(request.user))
        obj.pk = made.pk
        transaction.on_commit(partial(tasks.dispatch, member.tenant.pk, made.pk))

    def response_add(self, request: HttpRequest, obj: Export, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The export is being made. It appears below when it is ready.")
        return HttpResponseRedirect(reverse("admin:audit_export_changelist"))

    @admin.display(description="asked for")
    def asked(self, export: Export) -> SafeString:
        return cells.moment(export.created_at)

    @admin.display(description="format")
    def kind(self, export: Export) -> str:
        return "evidence pack" if export.format == ExportFormat.PACK else export.format.upper()

    @admin.display(description="records of")
    def extent(self, export: Export) -> SafeString:
        if export.request_id:
            return cells.short_id(export.request_id)
        times = [f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (export.since, export.until)]
        return cells.words(" – ".join(times) if any(times) else "everything")

    @admin.display(description="state")
    def standing(self, export: Export) -> SafeString:
        text, tone = STATES.get(ExportState(export.state), (export.state, "warn"))
        return cells.label(text, tone)

    @admin.display(description="records")
    def count(self, export: Export) -> SafeString:
        return cells.count(export.records) if self.is_ready(export) else cells.NOTHING

    @admin.display(description="size")
    def weight(self, export: Export) -> SafeString:
        return cells.size(export.size) if self.is_ready(export) else cells.NOTHING

    @admin.display(description="file")
    def fetch(self, export: Export) -> SafeString:
        return cells.link(download_of(export), "Download") if self.is_ready(export) else cells.NOTHING

    def is_ready(self, export: Export) -> bool:
        return export.state == ExportState.SUCCEEDED and export.expires_at > timezone.now()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_object(request, unquote(object_id))
        if export is None:
            raise Http404("There is no export with this id here.")
        facts = [
            ("State", self.standing(export)),
            ("Reason", export.error),
            ("Format", self.kind(export)),
            ("Records of", self.extent(export)),
            ("Records", self.count(export)),
            ("Size", self.weight(export)),
            ("SHA-256", export.digest),
            ("Asked for by", export.made_by),
            ("Asked for", self.asked(export)),
            ("Kept until", cells.moment(export.expires_at)),
        ]
        links = [("Download", download_of(export), "")] if self.is_ready(export) else []
        return self.facts_page(request, export, f"Export: {self.kind(export)}", facts, links=links)


def download_of(export: Export) -> str:
    """Where an export's file is fetched: the management API, which records it."""
    return f"/api/v1/audit/exports/{export.pk}/download"


def after(gap: timedelta) -> str:
    return f"+{gap.total_seconds() * 1000:,.0f} ms"


def changes(detail: dict[str, Any]) -> list[tuple[str, object, object]]:
    """What a change changed: column, before, after; of a creation or removal all columns."""
    before, now = detail.get("before") or {}, detail.get("after") or {}
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [(name.replace("_", " "), before.get(name), now.get(name)) for name in names]


def more(detail: dict[str, Any]) -> dict[str, Any]:
    told = ("before", "after", "steps", "route", "failed")
    return {name: value for name, value in detail.items() if name not in told}


def steps(took: Any) -> list[dict[str, Any]]:
    """How long the steps of a call took (pairs of name and milliseconds, in order), as bars side by side: percent."""
    if not took:
        return []
    whole, before, found = sum(ms for _, ms in took) or 1, 0.0, []
    for name, ms in took:
        found.append({"name": name, "ms": ms, "from": 100 * before / whole, "width": max(100 * ms / whole, 0.5)})
        before += ms
    return found


def passage(found: Any, titles: dict[str, str]) -> str:
    """A cited passage in words: the document's title, then page and section where they are known."""
    if not isinstance(found, dict):
        return str(found)
    document = found.get("document")
    named = document if isinstance(document, dict) else found
    title = (
        titles.get(str(document))
        or named.get("title")
        or named.get("external_id")
        or document
        or found.get("chunk_id")
        or "untitled"
    )
    parts = [str(title), f"page {found['page']}" if found.get("page") else "", str(found.get("section") or "")]
    return ", ".join(part for part in parts if part)
