"""The console: Django's admin site, grown up. One site for tenant and policy work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth import REDIRECT_FIELD_NAME, SESSION_KEY
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.sites import UnfoldAdminSite

from retrieval import search_page
from tenants.console import roles
from tenants.console.member import member_of
from tenants.isolation import PLATFORM, Scope, scope
from tenants.isolation.middleware import TENANT_KEY
from tenants.models import Tenant, User
from tenants.services import must_set_up_factor, scope_of_member
from tenants.sessions import confinement, is_proven

from . import forgotten, joining, overview, passkey_pages, playground, provider_sign_in, second_factor
from .related import Charge, KeyUse, charges_of, names_of, own_deployments, prices_of, use_of_keys
from .sign_in import may_try, record_of_session, record_refusal


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the navigation. `page` is a registered model's label, and the line is shown to those who may view it;
    or the name of a page that is no list of objects, for those who have `right` ('': everybody).
    """

    title: str
    icon: str
    page: str
    query: str = ""
    right: str | None = None


#: The groups of the navigation, and the question that each answers.
NAVIGATION: dict[str, tuple[Item, ...]] = {
    "": (
        Item("Overview", "space_dashboard", "index", right=""),
        Item("Playground", "science", "playground", right=playground.RIGHT),
        Item("Search", "search", "retrieval_search", right=search_page.RIGHT),
    ),
    "Calls & evidence": (
        Item("Calls", "swap_horiz", "audit.event", "area=calls"),
        Item("Audit trail", "history", "audit.event"),
        Item("Evidence", "verified", "audit.seal"),
        Item("Exports", "download", "audit.export"),
        Item("Erasure requests", "person_remove", "audit.erasurerequest"),
        Item("Legal holds", "gavel", "audit.hold"),
    ),
    "Policies": (Item("Policies", "policy", "policies.policy"),),
    "Models & routes": (
        Item("Models", "alt_route", "gateway.model"),
        Item("Deployments", "deployed_code", "gateway.deployment"),
        Item("Providers", "cloud", "gateway.provider"),
    ),
    "Documents": (
        Item("Documents", "description", "retrieval.document"),
        Item("Collections", "folder", "retrieval.collection"),
    ),
    "People & keys": (
        Item("Departments", "account_tree", "tenants.department"),
        Item("People", "group", "tenants.membership"),
        Item("Invitations", "mail", "tenants.invitation"),
        Item("API keys", "key", "tenants.apikey"),
        Item("Grants", "lock_open", "tenants.grant"),
        Item("Identity providers", "badge", "tenants.identityprovider"),
        Item("Provisioning (SCIM)", "sync", "tenants.groupmapping"),
        Item("Roles", "table_view", "roles", right=roles.RIGHT),
    ),
    "Budgets & costs": (
        Item("Usage", "monitoring", "billing.usage"),
        Item("Budgets", "savings", "billing.budget"),
        Item("Requests", "add_card", "billing.budgetrequest"),
        Item("Alerts", "notifications_active", "billing.notice"),
        Item("Reports", "summarize", "billing.report"),
        Item("Schedules", "schedule_send", "billing.reportschedule"),
        Item("Reconciliation", "balance", "billing.reconciliation"),
        Item("Re-rating", "published_with_changes", "billing.rerating"),
        Item("Prices", "sell", "billing.price"),
    ),
    "Organisation": (Item("Tenants", "domain", "tenants.tenant"),),
}

#: Teal, dark enough for white text (5.5:1) and bright enough on dark ground (7:1).
PRIMARY = {
    "50": "oklch(98.4% .014 180.72)",
    "100": "oklch(95.3% .051 180.801)",
    "200": "oklch(91% .096 180.426)",
    "300": "oklch(85.5% .138 181.071)",
    "400": "oklch(77.7% .152 181.912)",
    "500": "oklch(72% .13 182.503)",
    "600": "oklch(50% .094 186.391)",
    "700": "oklch(43.7% .078 188.216)",
    "800": "oklch(38.6% .063 188.416)",
    "900": "oklch(32% .053 188.416)",
    "950": "oklch(27.7% .046 192.524)",
}


def _must_sign_in_again(request: HttpRequest) -> bool:
    """Whether the session is from before the person had the second factor that they have now."""
    return isinstance(request.user, User) and not is_proven(request.session, request.user)


class Console(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """One site for tenant and policy work. Who sees what is decided by role, in the tenant that is open."""

    site_title = site_header = "Customhouse"
    index_title = "Overview"
    index_template = "console/overview.html"
    login_template = "console/sign_in.html"
    logout_template = "console/signed_out.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whoever is signed in and has a place in the open tenant may enter."""
        return member_of(request) is not None

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Signing in by address and password; whoever has a second factor is asked for it on the next page."""
        if request.method != "POST":
            if SESSION_KEY in request.session and must_set_up_factor(request):
                return HttpResponseRedirect(reverse("admin:own_factor"))
            return super().login(request, {"again": _must_sign_in_again(request), **(extra_context or {})})  # type: ignore[no-any-return]
        email = request.POST.get("username", "").strip()
        context = {**self.each_context(request), "title": "Sign in", "app_path": request.get_full_path()}
        if not may_try(request, email):
            return TemplateResponse(request, self.login_template, {**context, "too_often": True}, status=429)
        onward = self._onward(request)
        with scope(Scope(login=email)):
            form = self.login_form(request, data=request.POST)
            person = form.get_user() if form.is_valid() else None
        if person is not None:
            return second_factor.enter(request, person, onward)
        record_refusal(request, email)
        return TemplateResponse(request, self.login_template, {**context, "form": form, "next": onward})

    def _onward(self, request: HttpRequest) -> str:
        """Where somebody wanted to go, if that is here."""
        wanted: str = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
        safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
        return wanted if safe else reverse("admin:index")

    @method_decorator(never_cache)
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Signing out, which is recorded as well."""
        if request.method == "POST" and request.user.is_authenticated:
            record_of_session(request, "session.close")
        page: HttpResponse = super().logout(request, extra_context)
        return page

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("open/<uuid:tenant>/", self.admin_view(require_POST(self.open_tenant)), name="open_tenant"),
            path("invitation/<str:token>/", never_cache(joining.open_link), name="open_invitation"),
            path("invitation/", self.join, name="join"),
            path("forgotten/", self.forgotten, name="forgotten"),
            path("password/<uuid:person>/<str:token>/", never_cache(forgotten.open_link), name="open_password_link"),
            path("password/", self.new_password, name="new_password"),
            path("second-factor/", self.second_factor, name="second_factor"),
            path("second-factor/begin/", never_cache(require_POST(second_factor.ask_passkey)), name="ask_passkey"),
            path("passkey/begin/", never_cache(require_POST(passkey_pages.begin_alone)), name="begin_passkey"),
            path("passkey/", self.passkey, name="passkey"),
            path("sign-in/<slug:tenant>/", self.sign_in_of, name="sign_in_of"),
            path("sign-in/<slug:tenant>/<uuid:provider>/", self.provider_back, name="provider_back"),
            # What comes to it comes from the provider's site; the request that it must answer stands for the token.
            path("sign-in/<slug:tenant>/saml/", csrf_exempt(self.saml_back), name="saml_back"),
            path("sign-in/<slug:tenant>/saml/metadata/", provider_sign_in.saml_metadata, name="saml_metadata"),
            path("playground/", self.admin_view(self.playground), name="playground"),
            path("playground/call/", self.admin_view(playground.call), name="playground_call"),
            path("search/", self.admin_view(self.search_documents), name="retrieval_search"),
            path("search/judge/", self.admin_view(search_page.judge), name="retrieval_judge"),
            path("roles/", self.admin_view(self.roles), name="roles"),
            path("account/second-factor/", self.own_factor, name="own_factor"),
            path("account/passkeys/begin/", self.begin_own_passkey, name="begin_own_passkey"),
        ]
        unused = {"app_list", "search"}  # the groups of the navigation are the pages' order; search is the lists' own
        return own + [url for url in super().get_urls() if getattr(url, "name", None) not in unused]

    @method_decorator(never_cache)
    def forgotten(self, request: HttpRequest) -> HttpResponse:
        """A link for whoever has forgotten their password."""
        return forgotten.ask(request, self.each_context(request))

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def new_password(self, request: HttpRequest) -> HttpResponse:
        """A new password, for whoever has opened their link."""
        return forgotten.choose(request, self.each_context(request))

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def join(self, request: HttpRequest) -> HttpResponse:
        """An invitation, for whoever has opened its link."""
        return joining.join(request, self.each_context(request))

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """The second step of signing in."""
        return second_factor.ask(request, self.each_context(request))

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    def own_factor(self, request: HttpRequest) -> HttpResponse:
        """The signed-in person's own second factor."""
        return second_factor.own(request, self.each_context(request))

    @method_decorator(never_cache)
    def passkey(self, request: HttpRequest) -> HttpResponse:
        """Signing in with a passkey alone."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:login"))
        return passkey_pages.sign_in(request, self._onward(request), self._sign_in_context(request))

    @method_decorator(never_cache)
    @method_decorator(sensitive_post_parameters())
    @method_decorator(require_POST)
    def begin_own_passkey(self, request: HttpRequest) -> HttpResponse:
        """The beginning of a new passkey of the signed-in person."""
        return second_factor.begin_passkey(request)

    def playground(self, request: HttpRequest) -> HttpResponse:
        """What happens to this prompt?"""
        return playground.page(request, self.each_context(request))

    def roles(self, request: HttpRequest) -> HttpResponse:
        """Who may do what?"""
        return roles.page(request, self.each_context(request))

    def search_documents(self, request: HttpRequest) -> HttpResponse:
        """What would a model be given?"""
        return search_page.page(request, self.each_context(request))

    @method_decorator(never_cache)
    def sign_in_of(self, request: HttpRequest, tenant: str) -> HttpResponse:
        """A tenant's own page to sign in on."""
        return provider_sign_in.page(request, tenant, self._onward(request), self._sign_in_context(request))

    @method_decorator(never_cache)
    def provider_back(self, request: HttpRequest, tenant: str, provider: UUID) -> HttpResponse:
        """Where an identity provider sends people back to."""
        return provider_sign_in.back(request, tenant, provider, self._sign_in_context(request))

    @method_decorator(never_cache)
    def saml_back(self, request: HttpRequest, tenant: str) -> HttpResponse:
        """Where a SAML provider has people bring its response."""
        return provider_sign_in.saml_back(request, tenant, self._sign_in_context(request))

    def _sign_in_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.each_context(request), "app_path": reverse("admin:login")}

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One's own password, for those who have signed in with it."""
        if confinement(request.session) is not None:
            raise PermissionDenied("Your identity provider signs you in; there is no password to change here.")
        page: HttpResponse = super().password_change(request, extra_context)
        return page

    def open_tenant(self, request: HttpRequest, tenant: UUID) -> HttpResponse:
        """Opens another of the person's tenants (for the platform's people: any), which that tenant's trail records."""
        before = request.session.get(TENANT_KEY)
        request.session[TENANT_KEY] = str(tenant)
        opened = scope_of_member(request)
        if opened is None or opened.tenant != tenant:
            request.session[TENANT_KEY] = before
            raise Http404("There is no such tenant.")
        record_of_session(request, "tenant.open")
        return HttpResponseRedirect(reverse("admin:index"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The overview."""
        member = member_of(request)
        assert member is not None
        page: TemplateResponse = super().index(
            request, {**overview.figures(self, request, member), **(extra_context or {})}
        )
        return page

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Empty: the navigation lists the pages."""
        return []

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page gets: the look, the navigation and who is looking."""
        context = super().each_context(request)
        member = member_of(request)
        return {
            **context,
            "site_title": self.site_title,
            "site_header": self.site_header,
            "member": member,
            "vouched": confinement(request.session) is not None,
            "heading": self._heading(request),
            "colors": {**context["colors"], "primary": PRIMARY},
            "styles": [static("console/console.css")],
            "scripts": [static("console/console.js")],
            "site_favicons": [{"rel": "icon", "href": static("console/mark.svg"), "type": "image/svg+xml"}],
            "site_url": None,
            "platform_id": PLATFORM,
        }

    def _heading(self, request: HttpRequest) -> str:
        """The name of the page that is shown, or whose object is."""
        place = getattr(request.resolver_match, "url_name", None) or ""
        page = self.page(place.rpartition("_")[0].replace("_", ".", 1))
        return page.heading_of(request) if page is not None else ""

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The navigation's groups with the lines that this person may see."""
        groups = []
        for title, items in NAVIGATION.items():
            lines = [self._item(request, item) for item in items if self._may_see(request, item)]
            if lines:
                groups.append({"title": title, "items": lines})
        return groups

    def _may_see(self, request: HttpRequest, item: Item) -> bool:
        if item.right is not None:
            member = member_of(request)
            return not item.right or (member is not None and member.may(item.right))
        found = self.page(item.page)
        return found is not None and found.has_module_permission(request)

    def page(self, name: str) -> Any:
        """The registered page of a model's label, None when there is none."""
        return next((page for model, page in self._registry.items() if model._meta.label_lower == name), None)

    def _item(self, request: HttpRequest, item: Item) -> dict[str, Any]:
        place = f"{item.page.replace('.', '_')}_changelist" if item.right is None else item.page
        url, query = reverse(f"admin:{place}"), item.query
        here = request.path == url if url == reverse("admin:index") else request.path.startswith(url)
        if here and url.endswith("/event/"):  # two lines show the same list: the calls, and everything
            here = (request.GET.get("area") == "calls") is (query == "area=calls")
        return {"title": item.title, "icon": item.icon, "link": f"{url}?{query}" if query else url, "active": here}

    # What pages of lower apps show of higher ones: they ask the site, which knows all.

    def use_of_keys(self, ids: Iterable[UUID]) -> dict[UUID, KeyUse]:
        """Calls, cost and last use of keys in the last 30 days."""
        return use_of_keys(ids)

    def names_of(self, kind: str, ids: Iterable[UUID] | None = None) -> dict[UUID, str]:
        """The names of one kind of object (related.NAMED) by id; without ids, of all."""
        return names_of(kind, ids)

    def prices_of(self, ids: Iterable[UUID]) -> dict[UUID, dict[str, Decimal]]:
        """What a million tokens cost at deployments now, in US dollars by kind."""
        return prices_of(ids)

    def charges_of(self, request_id: UUID, *, prices: bool) -> list[Charge]:
        """What the ledger holds of a call, attempt by attempt and kind by kind."""
        return charges_of(request_id, prices=prices)

    def own_deployments(self) -> dict[UUID, str]:
        """The names of the open tenant's own deployments by id."""
        return own_deployments()

    def tenants(self) -> list[Tenant]:
        """All tenants that the platform's people may open."""
        with scope(PLATFORM):
            return list(Tenant.objects.all())
