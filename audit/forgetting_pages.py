"""The console's pages about forgetting and keeping: erasure requests, and the legal holds that win over them."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from tenants.console import cells
from tenants.console import forms as fields
from tenants.console.pages import TenantAdmin
from tenants.data import Caller
from tenants.services import caller_of_member

from . import erasure, tasks
from .errors import NotErased, NotHeld
from .models import ErasureRequest, ErasureState, Hold, SubjectType

ERASURE_STATES = {
    ErasureState.FOUND: ("to be decided", "warn"),
    ErasureState.ERASED: ("erased", "good"),
    ErasureState.FAILED: ("failed", "bad"),
}


class ErasureForm(forms.Form):
    """Who is to be forgotten."""

    subject_type = fields.choice(
        "Who is meant by",
        choices=[
            (SubjectType.EMAIL, "an e-mail address"),
            (SubjectType.PHONE, "a telephone number"),
            (SubjectType.NAME, "a name"),
            (SubjectType.ID, "another identifier"),
            (SubjectType.USER, "a person of this tenant, for their calls"),
            (SubjectType.KEY, "an API key, for its calls"),
        ],
    )
    value = fields.text(
        "Value",
        max_length=300,
        help_text="As it stands in texts. It is kept encrypted until the request is carried out, and then forgotten.",
    )
    why = fields.text("Reason", max_length=1000)
    keep_documents = fields.tick("Keep documents that name them")


@admin.register(ErasureRequest)
class ErasurePage(TenantAdmin):
    """Requests to be forgotten: asked for, searched by a worker, looked at, carried out, certified."""

    rights = "erasures"
    heading = "Erasure requests"
    lead = (
        "Whatever is kept of a person is searched for and shown before anything is removed. The history still verifies."
    )
    empty = ("Nobody has asked to be forgotten", "Begin a request: first it only shows what is kept of a person.")
    add_text = "New request"
    list_display = ("asked", "who", "standing", "counted", "made_by", "executed_by")
    list_display_links = ("asked",)
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        carried_out = self.admin_site.admin_view(require_POST(self.execute_view))
        return [path("<uuid:pk>/execute/", carried_out, name="audit_erasure_execute"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ErasureForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given, caller = form.cleaned_data, self.caller(request)
            subject = given["subject_type"], given["value"]
            made = fields.attempt(
                form, lambda: erasure.ask(*subject, given["why"], given["keep_documents"], caller), NotErased
            )
            if made is not None:
                step = partial(tasks.dispatch_erasure, caller.tenant, made.pk, ErasureState.SEARCHING)
                transaction.on_commit(step)
                messages.success(request, "What is kept of them is being searched for. Nothing is removed yet.")
                return HttpResponseRedirect(reverse("admin:audit_erasurerequest_change", args=[made.pk]))
        return fields.form_page(self, request, form, title="New erasure request", submit="Search")

    def caller(self, request: HttpRequest) -> Caller:
        """The person as the services see a caller."""
        found = caller_of_member(request)
        assert found is not None  # whoever gets here has a place in the open tenant
        return found

    @admin.display(description="asked for")
    def asked(self, request: ErasureRequest) -> SafeString:
        return cells.moment(request.created_at)

    @admin.display(description="who")
    def who(self, request: ErasureRequest) -> SafeString:
        return cells.words(request.get_subject_type_display(), request.subject_hash[:8])

    @admin.display(description="state")
    def standing(self, request: ErasureRequest) -> SafeString:
        text, tone = ERASURE_STATES.get(ErasureState(request.state), (request.state, "plain"))
        return cells.label(text, tone)

    @admin.display(description="found")
    def counted(self, request: ErasureRequest) -> SafeString:
        return cells.counts(request.found)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One request: what was found, what is held, and the button that removes it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404("There is no request with this id here.")
        facts = [
            ("State", self.standing(found)),
            ("What went wrong", found.error),
            ("Who", self.who(found)),
            ("Reason", found.reason),
            ("Documents that name them", "are kept" if found.keep_documents else "are removed"),
            ("Found", cells.counts(found.found) if found.found else "nothing"),
            ("Kept by legal holds", cells.counts(found.held) if found.held else ""),
            ("Removed", cells.counts(found.erased) if found.erased else ""),
            ("Where", cells.lines(trace_words(trace) for trace in found.traces) if found.traces else ""),
            ("Asked for by", found.made_by),
            ("Carried out by", found.executed_by),
            ("Asked for", self.asked(found)),
            ("Carried out", cells.moment(found.finished_at) if found.finished_at else ""),
        ]
        place = reverse("admin:audit_erasure_execute", args=[found.pk])
        count = sum(found.found.values()) - sum(found.held.values())
        posts = [(f"Remove {count:,} for good", place)] if found.state == ErasureState.FOUND else []
        certificate = f"/api/v1/erasure-requests/{found.pk}/certificate"
        links = [("Certificate", certificate, "")] if found.certificate else []
        rows = [(name, value) for name, value in facts if value]
        at_work = found.state in (ErasureState.SEARCHING, ErasureState.ERASING)
        return self.facts_page(request, found, "Erasure request", rows, links=links, danger=posts, again=at_work)

    def execute_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Carries a request out, when it may be."""
        if not self.may(request, "change"):
            raise PermissionDenied
        found = ErasureRequest.objects.filter(pk=pk).first()
        if found is None:
            raise Http404("There is no request with this id here.")
        caller = self.caller(request)
        try:
            erasure.execute(found, caller)
        except NotErased as error:
            messages.error(request, str(error))
        else:
            transaction.on_commit(partial(tasks.dispatch_erasure, caller.tenant, pk, ErasureState.ERASING))
            messages.success(request, "It is being removed. The certificate appears here when it is done.")
        return HttpResponseRedirect(reverse("admin:audit_erasurerequest_change", args=[pk]))


class HoldForm(forms.Form):
    """What is held; without any mark, everything is."""

    name = fields.text("Name", max_length=120, help_text="Of the matter: no two in force share one.")
    why = fields.text("Reason", max_length=1000)
    actor = fields.text("Actor", required=False, max_length=80, help_text="The id of a person or key.")
    request_id = fields.text("Request", required=False, max_length=40, help_text="The id of one call.")
    since = fields.moment("From", required=False)
    until = fields.moment("Up to, not included", required=False)

    def filter(self) -> dict[str, str]:
        """As a hold keeps it."""
        given = self.cleaned_data
        marks = {"actor": given["actor"], "request_id": given["request_id"]}
        times = {"from": given["since"], "to": given["until"]}
        return {
            **{name: value for name, value in marks.items() if value},
            **{name: value.isoformat() for name, value in times.items() if value},
        }


@admin.register(Hold)
class HoldPage(TenantAdmin):
    """Legal holds: placed here, released here, never removed."""

    rights = "holds"
    heading = "Legal holds"
    lead = "What a hold fits is removed by nothing while it stands: not by retention, not by an erasure."
    empty = ("Nothing is held", "Place a hold before what a dispute is about is removed.")
    add_text = "Place a hold"
    list_display = ("name", "why", "fits", "standing", "placed", "made_by")
    list_display_links = ("name",)
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        released = self.admin_site.admin_view(require_POST(self.release_view))
        return [path("<uuid:pk>/release/", released, name="audit_hold_release"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = HoldForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            made = fields.attempt(
                form, lambda: self.placed_hold(given["name"], given["why"], form.filter(), request), NotHeld
            )
            if made is not None:
                messages.success(request, "It is held from now on.")
                return HttpResponseRedirect(reverse("admin:audit_hold_changelist"))
        return fields.form_page(self, request, form, title="Place a hold", submit="Place the hold")

    def placed_hold(self, name: str, why: str, marks: dict[str, str], request: HttpRequest) -> Hold:
        """Raises NotHeld for a name that a hold in force has."""
        if Hold.objects.filter(name=name, released_at=None).exists():
            raise NotHeld(f"There is a hold of the name {name!r} in force already.")
        return Hold.objects.create(name=name, reason=why, filter=marks, made_by=str(request.user)[:200])

    @admin.display(description="reason")
    def why(self, hold: Hold) -> SafeString:
        return cells.words(hold.reason)

    @admin.display(description="fits")
    def fits(self, hold: Hold) -> SafeString:
        return cells.lines(f"{name}: {value}" for name, value in hold.filter.items()) if hold.filter else everything()

    @admin.display(description="state")
    def standing(self, hold: Hold) -> SafeString:
        return cells.label("released", "plain") if hold.released_at else cells.label("in force", "warn")

    @admin.display(description="placed")
    def placed(self, hold: Hold) -> SafeString:
        return cells.moment(hold.created_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        hold = self.get_object(request, unquote(object_id))
        if hold is None:
            raise Http404("There is no hold with this id here.")
        facts = [
            ("State", self.standing(hold)),
            ("Reason", hold.reason),
            ("Fits", self.fits(hold)),
            ("Placed", self.placed(hold)),
            ("Placed by", hold.made_by),
            ("Released", cells.moment(hold.released_at) if hold.released_at else ""),
        ]
        posts = [] if hold.released_at else [("Release", reverse("admin:audit_hold_release", args=[hold.pk]))]
        rows = [(name, value) for name, value in facts if value]
        return self.facts_page(request, hold, f"Hold: {hold.name}", rows, posts=posts)

    def release_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ends a hold; it stays on record."""
        if not self.may(request, "change"):
            raise PermissionDenied
        if not Hold.objects.filter(pk=pk, released_at=None).update(released_at=timezone.now()):
            raise Http404("There is no such hold in force.")
        messages.success(request, "The hold is released: what it kept may be removed again.")
        return HttpResponseRedirect(reverse("admin:audit_hold_changelist"))


def everything() -> SafeString:
    return cells.words("everything")


def trace_words(trace: dict[str, Any]) -> SafeString:
    """Where somebody was found, in words: what, when, and what keeps it."""
    held = f"held by {', '.join(trace['held'])}" if trace["held"] else ""
    return cells.words(f"{trace['label'] or trace['kind']}, {trace['time'][:16].replace('T', ' ')} UTC", held)
