"""The sorts of objects that a file knows, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from rest_framework import serializers

from billing.models import Price
from billing.views import BudgetView
from gateway.credentials import open_credential
from gateway.models import Deployment, Model, Provider
from gateway.views import DeploymentView, ModelView, PriceView, ProviderView
from policies.activation import archive
from policies.models import Policy, PolicyScope, PolicyState
from policies.views import PolicyView
from retrieval.models import Document, default_chunking
from retrieval.views import CollectionView
from tenants import identity
from tenants.api.fields import plain
from tenants.data import Caller
from tenants.models import Membership, Tenant
from tenants.services import add_person
from tenants.views import DepartmentView, IdentityProviderView, MembershipView, TenantView, WebhookView
from tenants.webhooks import open_secret

from .calls import ask, view_of
from .changes import Part
from .errors import Path, Problem, Refused, spelled
from .kinds import Kind, Rows, Values
from .names import Names, target, targeted

#: what exists on one installation alone, so that no file carries it from one to another
KEY = "key"


class TenantKind(Kind):
    """The tenant itself; the platform makes and changes it."""

    word, section, view, identity = "tenant", "tenants", TenantView, ("slug",)
    usual: ClassVar[Values] = {"rpm": None, "tpm": None, "four_eyes": False, "require_second_factor": False}
    #: of the tenant that was made last
    owner_key = ""

    def create(self, data: Values, path: Path) -> None:
        if "name" not in data:
            raise Refused(Problem(path, "A new tenant needs a name."))
        made = ask(self.view, self.caller, "create", data)
        self.owner_key = made["owner_key"]
        more = {name: data[name] for name in data if name not in ("slug", "name")}
        if more:
            self.change(Tenant.objects.get(pk=made["id"]), more)

    def one(self, slug: str) -> Rows:
        """The tenant of a slug, if there is one."""
        found = Tenant.objects.filter(slug=slug)
        return Rows(((self.key(self.shown(row)), row) for row in found), self.unique)


class DepartmentKind(Kind):
    word, section, view, identity = "department", "departments", DepartmentView, ("slug",)


class MembershipKind(Kind):
    """Somebody's place. A person who is new has the name that stands here, and no password."""

    word, section, view, identity = "membership of", "memberships", MembershipView, ("user",)
    also, unread = ("name",), ("name",)
    usual: ClassVar[Values] = {"name": "", "clearance": "internal", "departments": []}

    def rows(self) -> Iterable[Membership]:
        places = Membership.objects.filter(tenant_id=self.caller.tenant)
        return places.select_related("user").prefetch_related("departments").order_by("user__email")

    def shown(self, row: Membership) -> Values:
        shown = super().shown(row)
        return {**shown, "user": row.user.email, "name": row.user.name, "departments": sorted(shown["departments"])}

    def value(self, name: str, value: Any) -> Any:
        if name == "user":
            return str(serializers.EmailField().run_validation(value)).lower()
        if name == "name":
            return serializers.CharField(max_length=200, allow_blank=True).run_validation(value)
        found = super().value(name, value)
        return sorted(found) if name == "departments" else found

    def create(self, data: Values, path: Path) -> None:
        place = {name: value for name, value in data.items() if name not in ("user", "name")}
        serializer = view_of(self.view, self.caller).get_serializer(data=place, partial=True)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        if "role" not in values:
            raise Refused(Problem(path, "A new membership needs a role."))
        email, name = self.value("user", data["user"]), data.get("name", "")
        add_person(email, name, values["role"], values.get("clearance", 1), values.get("departments", ()))

    def exported(self, row: Membership) -> Values | None:
        said = super().exported(row) or {}
        return {name: said[name] for name in ("user", "name", "role", "clearance", "departments") if name in said}


class IdentityProviderKind(Kind):
    word, section, view = "identity provider", "identity_providers", IdentityProviderView
    secrets = ("client_secret",)
    usual: ClassVar[Values] = {
        "protocol": "oidc",
        "sso_url": "",
        "certificates": "",
        "jwks_url": "",
        "user_claim": "sub",
        "email_trusted": False,
        "members_only": False,
        "department_claim": "",
        "departments": {},
        "department": None,
        "role_claim": "",
        "roles": {},
        "role": "member",
        "clearance_claim": "",
        "clearances": {},
        "clearance": "internal",
        "limits": {"rpm": None, "tpm": None},
        "clock_skew": 60,
        "active": True,
        "sign_in": False,
        "makes_members": False,
        "client_id": "",
        "scopes": "openid email profile",
    }

    def secret_of(self, row: Any, name: str) -> str:
        return identity.open_secret(row)

    def differs(self, before: Any, after: Any) -> bool:
        """The order of departments counts: the first one that a token gives pays."""
        ordered = isinstance(before, dict) and isinstance(after, dict) and list(before) != list(after)
        return super().differs(before, after) or ordered

    def value(self, name: str, value: Any) -> Any:
        found = super().value(name, value)
        if name == "certificates" and isinstance(found, str):
            return found.strip()
        return self.usual["limits"] | dict(found or {}) if name == "limits" else found


class ProviderKind(Kind):
    word, section, view = "provider", "providers", ProviderView
    also, secrets = ("tenants",), ("api_key",)
    usual: ClassVar[Values] = {"base_url": "", "vendor": "", "region": "", "self_hosted": False, "tenants": None}

    def shown(self, row: Provider) -> Values:
        shared = None if row.shared_with is None else Tenant.objects.filter(pk__in=row.shared_with)
        slugs = None if shared is None else sorted(shared.values_list("slug", flat=True))
        return {**super().shown(row), "tenants": slugs}

    def value(self, name: str, value: Any) -> Any:
        found = super().value(name, value)
        return sorted(found) if name == "tenants" and found is not None else found

    def secret_of(self, row: Provider, name: str) -> str:
        return open_credential(row.credential, row.tenant_id, row.pk)


class DeploymentKind(Kind):
    word, section, view = "deployment", "deployments", DeploymentView
    usual: ClassVar[Values] = {
        "capabilities": [],
        "max_concurrency": 100,
        "timeout_s": 120.0,
        "first_token_timeout_s": None,
        "max_output_tokens": None,
        "max_input_tokens": None,
    }

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.providers = Names(Provider, caller)

    def rows(self) -> Iterable[Deployment]:
        return Deployment.objects.filter(tenant_id=self.caller.tenant).select_related("provider").order_by("id")

    def shown(self, row: Deployment) -> Values:
        return {**super().shown(row), "provider": self.providers.label(row.provider)}

    def value(self, name: str, value: Any) -> Any:
        if name == "provider" and isinstance(value, str):
            return self.providers.label(self.providers.find(value))
        return super().value(name, value)

    def sent(self, name: str, value: Any) -> Any:
        return str(self.providers.find(value).pk) if name == "provider" and isinstance(value, str) else value


class ModelKind(Kind):
    """An alias with its routes; of equal priority, in the order of the file."""

    word, section, view, also = "model", "models", ModelView, ("deployments",)
    usual: ClassVar[Values] = {"strategy": "priority"}

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.deployments = Names(Deployment, caller)

    def rows(self) -> Iterable[Model]:
        found = Model.objects.filter(tenant_id=self.caller.tenant)
        return found.prefetch_related("routes__deployment").order_by("id")

    def shown(self, row: Model) -> Values:
        routes = sorted(row.routes.all(), key=lambda route: (route.priority, route.pk))
        return {**super().shown(row), "deployments": [self._route(route.deployment, route) for route in routes]}

    def _route(self, deployment: Deployment, route: Any) -> Values:
        return {"deployment": self.deployments.label(deployment), "weight": route.weight, "priority": route.priority}

    def value(self, name: str, value: Any) -> Any:
        if name != "deployments":
            return super().value(name, value)
        read = self.fields[name].run_validation(self.sent(name, value))
        found = [{**route, "deployment": self.deployments.label(route["deployment"])} for route in read]
        twice = [one["deployment"] for number, one in enumerate(found) if one["deployment"] in _named(found[:number])]
        if twice:
            raise serializers.ValidationError(f"The deployment {twice[0]} stands here twice.")
        return sorted(found, key=lambda route: route["priority"])

    def sent(self, name: str, value: Any) -> Any:
        if name != "deployments" or not isinstance(value, list):
            return value
        return [self._sent(route) for route in value]

    def _sent(self, route: Any) -> Any:
        """A deployment's name alone is a route as well."""
        route = {"deployment": route} if isinstance(route, str) else route
        if not isinstance(route, dict) or not isinstance(route.get("deployment"), str):
            return route
        return {**route, "deployment": str(self.deployments.find(route["deployment"]).pk)}


def _named(routes: list[Values]) -> list[str]:
    return [route["deployment"] for route in routes]


class PriceKind(Kind):
    """What a deployment costs. Without `valid_from` it is what is to hold now; prices are history and never go."""

    word, section, view = "price of", "prices", PriceView
    identity = ("deployment", "kind", "valid_from")

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.deployments = Names(Deployment, caller)
        self._said: dict[tuple[Any, ...], Path] = {}

    def rows(self) -> Iterable[Price]:
        return Price.objects.filter(tenant_id=self.caller.tenant).order_by("deployment_id", "kind", "valid_from")

    def found(self) -> Rows:
        """Each is looked up by itself: an installation has thousands."""
        return Rows((), unique=False)

    def exported(self, row: Price) -> Values | None:
        deployment = Deployment.objects.filter(pk=row.deployment_id).first()
        if deployment is None:
            return None
        since = row.valid_from.isoformat().replace("+00:00", "Z")
        amount = plain(row.per_million)
        named = self.deployments.label(deployment)
        return {"deployment": named, "kind": row.kind, "per_million": amount, "valid_from": since}

    def settle(self, data: Mapping[str, Any], path: Path, rows: Rows, part: Part) -> None:
        wanted = self._read(data, path)
        deployment, kind, amount = wanted["deployment"], wanted["kind"], wanted["per_million"]
        key = (deployment.pk, kind, wanted.get("valid_from"))
        if key in self._said:
            raise Refused(Problem(path, f"It stands at {spelled(self._said[key])} already."))
        self._said[key] = path
        thing = f"{self.word} {self.deployments.label(deployment)}, {kind}"
        same = Price.objects.filter(tenant_id=self.caller.tenant, deployment_id=deployment.pk, kind=kind)
        since: datetime | None = wanted.get("valid_from")
        holding = same.filter(valid_from__lte=since or timezone.now()).order_by("-valid_from").first()
        if since is not None and holding is not None and holding.valid_from != since:
            holding = None
        if holding is not None and holding.per_million == amount:
            return
        if holding is not None and since is not None:
            said = f"It is {plain(holding.per_million)} from then on, and no price changes: say a later valid_from."
            raise Refused(Problem((*path, "per_million"), said))
        body = {**data, "deployment": str(deployment.pk), "valid_from": (since or timezone.now()).isoformat()}
        ask(self.view, self.caller, "create", body)
        values = {"per_million": plain(amount)} | ({"valid_from": data["valid_from"]} if since else {})
        if holding is None:
            part.made(thing, values)
        else:
            part.changed(thing, {"per_million": plain(holding.per_million)}, values)

    def _read(self, data: Mapping[str, Any], path: Path) -> Values:
        problems = [
            Problem(path, f"It has no {name}.") for name in ("deployment", "kind", "per_million") if name not in data
        ]
        if problems:
            raise Refused(*problems)
        named = data["deployment"]
        try:
            sent = str(self.deployments.find(named).pk) if isinstance(named, str) else named
        except ObjectDoesNotExist as error:
            raise Refused(Problem((*path, "deployment"), str(error))) from None
        serializer = view_of(self.view, self.caller).get_serializer(data={**data, "deployment": sent}, partial=True)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def removable(self, row: Any) -> bool:
        return False


class PolicyKind(Kind):
    """A policy by its name and place; a row is all of its versions, the newest first. Rules that differ are a new
    version, which is put in force; where the tenant asks for four eyes it stays a draft.
    """

    word, section, view = "policy", "policies", PolicyView
    identity = ("name", "applies_to")
    also = ("active",)
    usual: ClassVar[Values] = {"active": True}

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.models = Names(Model, caller)
        self._in_force: dict[tuple[str, str], Path] = {}
        #: without a place a policy is for the whole tenant, or for all of them
        self.widest = {"scope": PolicyScope.PLATFORM if caller.is_platform else PolicyScope.TENANT, "target": None}

    def rows(self) -> Iterable[list[Policy]]:
        found: dict[tuple[Any, ...], list[Policy]] = {}
        for policy in Policy.objects.filter(tenant_id=self.caller.tenant).order_by("name", "-version"):
            found.setdefault((policy.name, policy.scope, policy.target), []).append(policy)
        return found.values()

    def shown(self, row: list[Policy]) -> Values:
        """As the version in force says it; without one, the newest."""
        active = next((policy for policy in row if policy.state == PolicyState.ACTIVE), None)
        one = active or row[0]
        named = targeted(one.scope, one.target, self.models, Model) if one.target else None
        place = {"scope": one.scope, "target": named}
        return {"name": one.name, "applies_to": place, "rules": one.rules, "active": active is not None}

    def exported(self, row: list[Policy]) -> Values | None:
        shown = super().exported(row) or {}
        if shown["applies_to"]["scope"] == KEY or ("active" in shown and row[0].state == PolicyState.ARCHIVED):
            return None
        if shown["applies_to"] == self.widest:
            del shown["applies_to"]
        return shown

    def key(self, values: Values) -> tuple[Any, ...]:
        place = values["applies_to"]
        return values["name"], str(place["scope"]), place["target"]

    def meant(self, data: Mapping[str, Any], path: Path) -> Values:
        problem = "It has no rules." if "rules" not in data else ""
        if problem:
            raise Refused(Problem(path, problem))
        return super().meant({"applies_to": dict(self.widest), "active": True, **data}, path)

    def value(self, name: str, value: Any) -> Any:
        if name == "active":
            return serializers.BooleanField().run_validation(value)
        if name != "applies_to":
            return super().value(name, value)
        place = self.fields[name].run_validation(value)
        scope, named = place["scope"], place.get("target")
        if scope not in (PolicyScope.DEPARTMENT, PolicyScope.KEY):
            return {"scope": scope, "target": None}
        found = targeted(scope, target(scope, named or "", self.models), self.models, Model)
        return {"scope": scope, "target": found}

    def settle(self, data: Mapping[str, Any], path: Path, rows: Rows, part: Part) -> None:
        after = self.meant(data, path)
        self._alone_in_force(after, path)
        versions: list[Policy] = rows.take(self.key(after), path) or []
        active = next((one for one in versions if one.state == PolicyState.ACTIVE), None)
        latest = versions[0] if versions else None
        before = active if after["active"] else latest
        if before is not None and before.rules == after["rules"]:
            return
        draft = latest if latest and latest.state == PolicyState.DRAFT and latest.rules == after["rules"] else None
        fresh = draft or self._drafted(after)
        if not after["active"]:
            self._say(part, fresh, before or latest, after, "a draft")
        elif Tenant.objects.get(pk=self.caller.tenant).four_eyes:
            part.note(
                f"policy {fresh} stays a draft: the tenant asks for four eyes, so that somebody puts it in force."
            )
            if draft is None:
                self._say(part, fresh, active or latest, after, "a draft")
        else:
            place = Policy.objects.filter(tenant_id=fresh.tenant_id, scope=fresh.scope, target=fresh.target)
            for other in place.filter(state=PolicyState.ACTIVE).exclude(name=fresh.name):
                part.removed(f"policy {other}", f"archived: {fresh} takes its place")
            ask(self.view, self.caller, "activate", None, fresh)
            self._say(part, fresh, active or (latest if latest != fresh else None), after, "put in force")

    def _alone_in_force(self, after: Values, path: Path) -> None:
        place = (str(after["applies_to"]["scope"]), str(after["applies_to"]["target"]))
        if after["active"] and self._in_force.setdefault(place, path) != path:
            said = f"{spelled(self._in_force[place])} is in force for the same scope and target: only one can be."
            raise Refused(Problem(path, said))

    def _drafted(self, after: Values) -> Policy:
        scope, named = after["applies_to"]["scope"], after["applies_to"]["target"]
        aim = str(target(scope, named, self.models)) if named else None
        body = {"name": after["name"], "applies_to": {"scope": scope, "target": aim}, "rules": after["rules"]}
        return Policy.objects.get(pk=ask(self.view, self.caller, "create", body)["id"])

    def _say(self, part: Part, fresh: Policy, before: Policy | None, after: Values, more: str) -> None:
        if before is None:
            part.made(f"policy {fresh}", {"applies_to": after["applies_to"], "rules": after["rules"]}, more)
        else:
            part.changed(f"policy {fresh}", {"rules": before.rules}, {"rules": after["rules"]}, more)

    def removable(self, row: list[Policy]) -> bool:
        """Versions stay, as they do in the API; what ends is that one is in force."""
        return row[0].scope != KEY and self._active(row) is not None

    def _active(self, row: list[Policy]) -> Policy | None:
        """As it is by now: another may have taken its place."""
        return Policy.objects.filter(pk__in=[one.pk for one in row], state=PolicyState.ACTIVE).first()

    def remove(self, row: list[Policy]) -> str:
        active = self._active(row)
        if active is not None:
            archive(active, self.caller)
        return "archived"


class BudgetKind(Kind):
    """A limit; what is spent of it stays spent."""

    word, section, view, unique = "budget of", "budgets", BudgetView, False
    identity = ("scope", "target", "period")
    usual: ClassVar[Values] = {"target": None, "warn_at": []}

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.models = Names(Model, caller)

    def shown(self, row: Any) -> Values:
        aim = targeted(row.scope, row.target, self.models, Model) if row.target else None
        limits = {"limit": plain(row.limit), "warn_at": [plain(share) for share in row.warn_at]}
        return {"scope": row.scope, "target": aim, "period": row.period, **limits}

    def exported(self, row: Any) -> Values | None:
        return None if row.scope == KEY else super().exported(row)

    def meant(self, data: Mapping[str, Any], path: Path) -> Values:
        found = super().meant({"target": None, **data}, path)
        if found["scope"] == "tenant":
            return {**found, "target": None}
        try:
            aim = target(found["scope"], found["target"] or "", self.models)
        except ObjectDoesNotExist as error:
            raise Refused(Problem((*path, "target"), str(error))) from None
        return {**found, "target": targeted(found["scope"], aim, self.models, Model)}

    def value(self, name: str, value: Any) -> Any:
        if name == "warn_at":
            return [plain(Decimal(share)) for share in self.fields[name].run_validation(value)]
        return super().value(name, value)

    def _body(self, data: Values) -> Values:
        if data.get("target") and data.get("scope") == "model":
            data = {**data, "target": str(target("model", data["target"], self.models))}
        return super()._body(data)

    def title(self, values: Values) -> str:
        whose = "the tenant" if values["scope"] == "tenant" else f"{values['scope']} {values['target']}"
        return f"{self.word} {whose} by {values['period']}"

    def removable(self, row: Any) -> bool:
        return bool(row.scope != KEY)


class CollectionKind(Kind):
    word, section, view, fixed = "collection", "collections", CollectionView, ("embedding_model", "chunking")
    usual: ClassVar[Values] = {
        "department": None,
        "classification": "public",
        "embedding_model": "",
        "chunking": default_chunking(),
        "synonyms": [],
    }

    def value(self, name: str, value: Any) -> Any:
        found = super().value(name, value)
        return default_chunking() | found if name == "chunking" and isinstance(found, dict) else found

    def remove(self, row: Any) -> str:
        count = Document.objects.filter(collection=row).count()
        super().remove(row)
        return f"with {count} documents"


class WebhookKind(Kind):
    """An address that is told what happens. Its secret is known to both sides, so that a new one needs one."""

    word, section, view, unique = "webhook", "webhooks", WebhookView, False
    identity, secrets = ("url",), ("secret",)
    usual: ClassVar[Values] = {"active": True}

    def shown(self, row: Any) -> Values:
        return {"url": row.url, "events": sorted(row.events), "active": row.active}

    def value(self, name: str, value: Any) -> Any:
        found = super().value(name, value)
        return sorted(found) if name == "events" else found

    def secret_of(self, row: Any, name: str) -> str:
        return open_secret(row)

    def create(self, data: Values, path: Path) -> None:
        if "secret" not in data:
            raise Refused(Problem(path, "A new webhook needs a secret, which its receiver checks signatures with."))
        super().create(data, path)


#: of the platform as of a tenant
KINDS: tuple[type[Kind], ...] = (
    DepartmentKind,
    MembershipKind,
    IdentityProviderKind,
    ProviderKind,
    DeploymentKind,
    ModelKind,
    PriceKind,
    PolicyKind,
    BudgetKind,
    CollectionKind,
    WebhookKind,
)
