"""What a page of the console is: an admin whose rights come from the role table and whose rows come from the wall."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import PermissionDenied
from django.db import connection, models, transaction
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from tenants.isolation import current

from .member import Member, grants_of, member_of

REASON_LENGTH = 300


def state_reason(reason: str) -> None:
    """Says why the changes that follow in this transaction are made; the audit trail keeps it."""
    with connection.cursor() as cursor:
        cursor.execute("select set_config('app.reason', %s, true)", [reason.strip()[:REASON_LENGTH]])


class ScopedForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A form which also checks the constraints that hold within one tenant.

    Django leaves out a constraint when one of its columns is no field of the form, as the tenant never is.
    """

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # a hook that the stubs leave out
        for constraint in self._meta.model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint) and "tenant" in constraint.fields:
                self._check(constraint)

    def _check(self, constraint: models.UniqueConstraint) -> None:
        names = [name for name in constraint.fields if name != "tenant"]
        if constraint.condition is not None or not all(name in self.cleaned_data for name in names):
            return
        values = {name: self.cleaned_data[name] for name in names}
        model = self._meta.model
        if model._default_manager.filter(tenant_id=current(), **values).exclude(pk=self.instance.pk).exists():
            self.add_error(names[0], f"There is already a {model._meta.verbose_name} with this {names[0]}.")


class PlainReferences:
    """References are chosen from a list, without the small windows in which others could be added."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class TenantAdmin(PlainReferences, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """A page about one kind of object of the open tenant.

    Rights are `<rights>.view` and `<rights>.change` of the role table: what a role may not see does not exist for it,
    what it may not do is not offered. No queryset filters by tenant; the database does.
    """

    rights: ClassVar[str] = ""
    #: The kind of these objects, where rights on single ones are granted and denied.
    granted: ClassVar[str] = ""
    #: What these objects are as holders of grants: "department", "user" or "key".
    holder: ClassVar[str] = ""
    deletable: ClassVar[bool] = False
    addable: ClassVar[bool] = True
    #: Errors of the app's services whose message is for people.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    #: The page's name; without one, the objects' name in the plural.
    heading: ClassVar[str] = ""
    #: What an empty list says: a heading, and the next step.
    empty: ClassVar[tuple[str, str]] = ("Nothing here yet", "")
    #: One sentence under the heading of the list.
    lead: ClassVar[str] = ""

    form = ScopedForm
    actions = None
    show_full_result_count = False
    list_per_page = 50
    view_on_site = False
    change_list_template = "console/list.html"
    change_form_after_template = "console/grants_told.html"
    delete_confirmation_template = "console/delete.html"
    #: The text of the list's button.
    add_text: ClassVar[str] = "Add"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Without what is denied to the person; where the role shows nothing, only what is granted."""
        found: models.QuerySet[Any] = super().get_queryset(request)
        if not self.granted:
            return found
        grants = grants_of(request)
        found = found.exclude(pk__in=hidden) if (hidden := grants.hidden(self.granted)) else found
        return found if self.by_role(request, "view") else found.filter(pk__in=grants.shown(self.granted))

    def by_role(self, request: HttpRequest, verb: str) -> bool:
        """Whether the person's role has `<rights>.<verb>` in the open tenant."""
        member = member_of(request)
        return member is not None and member.may(f"{self.rights}.{verb}")

    def may(self, request: HttpRequest, verb: str, obj: Any = None) -> bool:
        """Whether the person may do that: by role or, to an object of a kind that is granted, by a grant on it."""
        by_role = self.by_role(request, verb)
        if not self.granted:
            return by_role
        if obj is not None:
            return grants_of(request).allow(self.granted, obj.pk, verb, by_role=by_role)
        return by_role or (verb == "view" and bool(grants_of(request).shown(self.granted)))

    def member(self, request: HttpRequest) -> Member:
        """The person in the open tenant, on pages that nobody reaches without one."""
        found = member_of(request)
        assert found is not None
        return found

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.addable and self.may(request, "change")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change", obj) and self.is_own(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.deletable and self.has_change_permission(request, obj)

    def heading_of(self, request: HttpRequest) -> str:
        """The name of the page, in the navigation's words."""
        return self.heading or str(capfirst(self.opts.verbose_name_plural))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page: HttpResponse = super().changelist_view(
            request, {"title": self.heading_of(request), **(extra_context or {})}
        )
        return page

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *rest: Any, **more: Any
    ) -> HttpResponse:
        """A form has one button; the object's name is the page's."""
        found = context.get("original")
        context.update(show_save_and_add_another=False, show_save_and_continue=False)
        if found is not None:
            context["title"] = self.title_of(found)
            context["grants_told"] = self.grants_told(request, found.pk)
        page: HttpResponse = super().render_change_form(request, context, *rest, **more)
        return page

    def title_of(self, found: Any) -> str:
        """An object's name, as the title of its page."""
        return str(found)

    def grants_told(self, request: HttpRequest, identity: UUID) -> SafeString:
        """What is granted or denied on an object, or to whoever it is, for those who may see that."""
        kind = self.holder or self.granted
        grants = self.admin_site.page("tenants.grant") if kind else None
        return grants.told(request, kind, identity) if grants is not None else SafeString("")

    def is_own(self, request: HttpRequest, obj: Any) -> bool:
        """Whether an object belongs to the open tenant: the platform's shared ones are read, not changed."""
        return obj is None or getattr(obj, "tenant_id", None) == self.member(request).tenant.pk

    def facts_page(
        self,
        request: HttpRequest,
        obj: Any,
        title: str,
        facts: Iterable[tuple[str, object]],
        links: Iterable[tuple[str, str, str]] = (),
        posts: Iterable[tuple[str, str]] = (),
        danger: Iterable[tuple[str, str]] = (),
        again: bool = False,
    ) -> HttpResponse:
        """An object that is looked at: names and values, and where to go from here.

        `links` are text, address and kind of button; `posts` are buttons (text, address) that change something,
        `danger` those that remove. `again`: somebody is working on it, so the page looks again by itself.
        """
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "title": title,
            "facts": facts,
            "links": links,
            "posts": posts,
            "danger": danger,
            "again": again,
        }
        return TemplateResponse(request, "console/facts.html", context)

    def consequences(self, obj: Any) -> Iterable[str]:
        """Sentences that tell what deleting `obj` does, in numbers."""
        return ()

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        extra = {"consequences": list(self.consequences(found)), "title": f"Remove {found}?", **(extra_context or {})}
        state_reason(request.POST.get("reason", ""))
        try:
            with transaction.atomic():
                page: HttpResponse = super().delete_view(request, object_id, extra)
        except self.refusals as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        return page

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """What is not in the open tenant does not exist."""
        raise Http404(f"There is no {opts.verbose_name} with this id here.")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An object's history is the audit trail."""
        return HttpResponseRedirect(f"{reverse('admin:audit_event_changelist')}?object_id={unquote(object_id)}")

    # The audit trail records every change where it happens: in the database. Django's own log stays empty.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None


class ReadOnlyAdmin(TenantAdmin):
    """A page that shows and never changes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def counted(rows: models.QuerySet[Any], reference: str) -> Coalesce:
    """How many of `rows` refer to a listed object: `annotate(keys=counted(ApiKey.objects.all(), "department"))`.

    Grouping the list itself does not do: the tables' primary keys are (tenant_id, id), of which Django knows the id.
    """
    grouped = rows.order_by().filter(**{reference: models.OuterRef("pk")}).values(reference)
    return Coalesce(models.Subquery(grouped.annotate(counted=models.Count("pk")).values("counted")), 0)
