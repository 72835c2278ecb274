"""The console's page of invitations: whom a place is held for, and whether the mail went out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from tenants import invitations
from tenants.errors import TenantsError
from tenants.models import Department, Invitation
from tenants.roles import Role, may_give

from . import cells
from . import forms as inputs
from .pages import TenantAdmin, state_reason
from .places import FIRST_PLACE, PlaceForm

#: state -> how it reads, and its tone
STATES = {
    "open": ("waiting", "note"),
    "accepted": ("accepted", "good"),
    "expired": ("expired", "warn"),
    "unsent": ("not sent", "bad"),
}


class InvitationForm(PlaceForm):
    """Somebody who is invited into the open tenant."""

    email = inputs.email("E-mail address")

    field_order = ("email", "role", "clearance", "departments", "reason")


@admin.register(Invitation)
class InvitationPage(TenantAdmin):
    rights = "memberships"
    heading = "Invitations"
    add_text = "Invite"
    deletable = True
    refusals = (TenantsError,)
    lead = "A mail brings a link that works once, for seven days; who opens it chooses a password and belongs here."
    empty = ("Nobody is invited", "Invite the first person; they need nothing but an e-mail address.")
    list_display = ("invited", "state", "place", "cleared", "sent", "expires")
    list_display_links = ("invited",)
    search_fields = ("email",)
    search_help_text = "An address"
    ordering = ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(require_POST(self.resend_view))
        return [path("<path:object_id>/resend/", again, name="tenants_invitation_resend"), *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        """Nobody changes what somebody above them is invited to."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_give(self.member(request).role, obj.role))

    @admin.display(description="address", ordering="email")
    def invited(self, found: Invitation) -> SafeString:
        return cells.words(found.email, f"by {found.inviter.get('name') or 'somebody'}")

    @admin.display(description="state")
    def state(self, found: Invitation) -> SafeString:
        word, tone = STATES[invitations.state(found)]
        return cells.label(word, tone, found.error)

    @admin.display(description="role", ordering="role")
    def place(self, found: Invitation) -> SafeString:
        return cells.label(found.get_role_display(), "note" if found.role == Role.OWNER else "plain")

    @admin.display(description="clearance", ordering="clearance")
    def cleared(self, found: Invitation) -> str:
        return found.get_clearance_display()

    @admin.display(description="sent", ordering="sent_at")
    def sent(self, found: Invitation) -> SafeString:
        return cells.moment(found.sent_at)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, found: Invitation) -> SafeString:
        return cells.moment(found.expires_at)

    def consequences(self, obj: Invitation) -> list[str]:
        if obj.accepted_at is not None:
            return [f"{obj.email} stays in the tenant; only this line goes."]
        return [f"The link that {obj.email} has stops working at once."]

    def delete_model(self, request: HttpRequest, obj: Invitation) -> None:
        invitations.revoke(obj)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = InvitationForm(self.member(request), request.POST or None, initial=FIRST_PLACE)
        if form.is_valid() and (made := self.invite(request, form)) is not None:
            return self.handed_out(request, *made)
        lead = "They get a mail with a link, choose a name and a password, or sign in if they have an account."
        return inputs.form_page(self, request, form, title="Invite a person", submit="Invite", lead=lead)

    def invite(self, request: HttpRequest, form: forms.Form) -> tuple[Invitation, str] | None:
        data = form.cleaned_data
        state_reason(data.pop("reason"))
        origin = request.build_absolute_uri("/")
        return inputs.attempt(form, lambda: invitations.invite(**data, origin=origin))

    def handed_out(self, request: HttpRequest, made: Invitation, link: str) -> HttpResponse:
        """The mail is on its way; or, where none is sent, the only page that ever shows the link."""
        if not link:
            messages.success(request, f"{made.email} is invited; the mail is on its way.")
            return HttpResponseRedirect(reverse("admin:tenants_invitation_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{made.email} is invited",
            "link": link,
            "list": reverse("admin:tenants_invitation_changelist"),
        }
        page = TemplateResponse(request, "console/link_made.html", context)
        page["Cache-Control"] = "no-store"
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """An invitation. It is not changed: it is taken back and made anew, or sent again."""
        found = self.found(request, object_id)
        names = dict(Department.objects.values_list("pk", "name"))
        facts = [
            ("State", self.state(found)),
            ("Role", self.place(found)),
            ("Clearance", self.cleared(found)),
            ("Departments", cells.labels(names[place] for place in found.departments if place in names)),
            ("Invited by", found.inviter.get("name") or "somebody"),
            ("Invited", cells.moment(found.created_at)),
            ("Mail sent", self.sent(found)),
            ("Expires", self.expires(found)),
            ("Accepted", cells.moment(found.accepted_at)),
            *([("Mail server said", found.error)] if found.error else []),
        ]
        posts, links = [], []
        if self.has_change_permission(request, found):
            if found.accepted_at is None:
                posts = [("Send again", reverse("admin:tenants_invitation_resend", args=[found.pk]))]
            links = [("Take back…", reverse("admin:tenants_invitation_delete", args=[found.pk]), "danger")]
        return self.facts_page(request, found, found.email, facts, links, posts)

    def resend_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        found = self.found(request, object_id)
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        try:
            return self.handed_out(request, found, invitations.resend(found))
        except TenantsError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("admin:tenants_invitation_change", args=[found.pk]))

    def found(self, request: HttpRequest, object_id: str) -> Invitation:
        found: Invitation | None = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such invitation here.")
        return found
