"""The management plane of policies: drafts are made and tried, one is put in force, none is ever changed. And the
engine for personal data itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, Value, When
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.actions import Action
from audit.services import record
from tenants.api.lists import Filter, target_of
from tenants.api.moments import EARLIEST, LATEST
from tenants.api.problems import TooLarge, Unavailable
from tenants.api.views import ManagementView, ReadView
from tenants.four_eyes import author
from tenants.isolation.scope import REASON_LENGTH

from . import effect, redact, simulation
from .activation import activate
from .comparison import UNSAID, differences
from .conditions import Context
from .drafts import next_version
from .errors import NotInForce, RulesError, VaultGone
from .models import Policy, PolicyState
from .pii.data import PiiRules
from .pii.errors import Blocked, DetectorFailed, MediaRefused, PiiRefused, TextTooLarge
from .rules import combine, resolve
from .serializers import (
    DifferencesSerializer,
    InEffectSerializer,
    PolicySerializer,
    RedactionSerializer,
    RestorationSerializer,
    SimulationSerializer,
    acting,
    label,
    placed,
)

Done = TypeVar("Done")


def _done(work: Callable[[], Done]) -> Done:
    """Runs the engine; what it refuses becomes an answer."""
    try:
        return work()
    except TextTooLarge as error:
        raise TooLarge(str(error)) from error
    except (Blocked, MediaRefused) as error:
        raise exceptions.PermissionDenied(str(error)) from error
    except DetectorFailed as error:
        raise Unavailable(str(error)) from error
    except VaultGone as error:
        raise exceptions.NotFound(str(error)) from error
    except (PiiRefused, RulesError) as error:
        raise exceptions.ValidationError(str(error)) from error


class PolicyView(mixins.CreateModelMixin, ReadView):
    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {
        **{name: name for name in ("name", "state", "scope")},
        "target": target_of("department", "key"),
    }
    searched = ("name",)
    orderings = ("name", "version", "state", "created_at")
    granted = "policy"
    unkept = frozenset({"simulate"})
    rights: ClassVar[dict[str, str]] = {
        "list": "policies.view",
        "retrieve": "policies.view",
        "create": "policies.change",
        "differences": "policies.view",
        "in_effect": "policies.view",
        "activate": "policies.change",
        "simulate": "policies.change",
    }

    def perform_create(self, serializer: Any) -> None:
        version = next_version(serializer.validated_data["name"], self.caller.tenant)
        serializer.save(version=version, written_by=author(self.caller))

    def _named(self) -> Any:
        """Of the versions of one name, the one in force, else the latest."""
        name = self.kwargs[self.lookup_field]
        found = _by_name(self.filter_queryset(self.get_queryset()), name, self.caller.tenant).first()
        if found is None:
            raise exceptions.NotFound("There is no such object.")
        return found

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str = "") -> Response:
        """Puts a policy in force; the one before it for the same scope and target is archived."""
        try:
            return Response(self.get_serializer(activate(self.get_object(), self.caller)).data)
        except NotInForce as error:
            raise exceptions.PermissionDenied(str(error)) from error

    @extend_schema(request=SimulationSerializer, responses=OpenApiTypes.OBJECT)
    @action(detail=False, methods=["post"])
    def simulate(self, request: Request) -> Response:
        """What a policy or a draft would change: on a text, on messages, or on the calls since a time."""
        wanted = SimulationSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        draft = self._draft(values)
        if "since" in values:
            since = min(max(values["since"], EARLIEST), LATEST)
            found = _done(lambda: simulation.simulate_since(since, draft, self.caller.tenant))
        else:
            tried = values["text"] if "text" in values else values["messages"]
            found = _done(lambda: simulation.simulate_on(tried, draft, self.caller.tenant))
        record(Action.POLICY_SIMULATE, object_type="policy", object_id=str(draft.id), detail={"name": draft.name})
        return Response(found)

    @extend_schema(
        parameters=[OpenApiParameter("with", str, description="Another version's id; else the one in force.")],
        responses=DifferencesSerializer,
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def differences(self, request: Request, pk: str = "") -> Response:
        """Where a version differs from another one, place by place."""
        policy = self.get_object()
        others = effect.comparable(policy, self.get_queryset())
        wanted = request.query_params.get("with", "")
        usual = None if wanted else effect.usual(policy, others)
        against = next((row for row in others if str(row.pk) == wanted), usual)
        if wanted and against is None:
            raise exceptions.ValidationError({"with": f"{wanted!r} is no version that this policy is compared with."})
        found = differences(against.rules, policy.rules) if against is not None else []
        rows = [{"place": row.place, "before": _said(row.before), "after": _said(row.after)} for row in found]
        said = {"policy": label(policy), "with": label(against) if against is not None else None, "differences": rows}
        return Response(said)

    @extend_schema(responses=InEffectSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path="in-effect", pagination_class=None)
    def in_effect(self, request: Request, pk: str = "") -> Response:
        """What holds where a version is in force: which policy said so last, and which of them locked it."""
        policy = self.get_object()
        held = _done(lambda: effect.in_effect(policy))
        rows = [
            {
                "place": row.place,
                "value": row.value,
                "set_by": acting(row.by),
                "locked_by": acting(row.locked) if row.locked is not None else None,
            }
            for row in held
        ]
        return Response({"policy": label(policy), "rules": rows})

    def _draft(self, values: dict[str, Any]) -> simulation.Draft:
        if "rules" in values:
            scope, target = placed(values.get("applies_to"), self.caller)
            return simulation.Draft(scope, target, values["rules"])
        policy = _policy(values["policy"], self.caller.tenant)
        scope, target = policy.scope, policy.target
        if "applies_to" in values:
            scope, target = placed(values["applies_to"], self.caller)
        return simulation.Draft(scope, target, policy.rules, policy.pk, policy.name, policy.version)


class RedactView(ManagementView):
    """Personal data out of a text or messages, by the policy in force or the one that is named."""

    serializer_class = RedactionSerializer
    rights: ClassVar[dict[str, str]] = {"create": "models.call"}

    @extend_schema(request=RedactionSerializer, responses={200: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        wanted = RedactionSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        rules = _done(lambda: self._rules(values.get("policy")))
        vault = redact.vault_for(self.caller, values.get("scope") or "request")
        name = "text" if "text" in values else "messages"
        work = redact.redact_text if name == "text" else redact.redact_messages
        found = _done(lambda: work(values[name], rules, vault))
        kept = redact.keep(vault, self.caller)
        counts: dict[str, int] = {}
        for entity in found.entities:
            counts[entity["type"]] = counts.get(entity["type"], 0) + 1
        record(Action.TEXT_REDACT, object_type="vault", object_id=str(kept.id), detail={"entities": counts})
        answer = {name: found.value, "entities": found.entities, "vault": str(kept.id)}
        return Response({**answer, "expires_at": kept.expires_at.isoformat().replace("+00:00", "Z")})

    def _rules(self, reference: str | None) -> PiiRules:
        """As they hold for a call from this address. Raises RulesError when no policy is in force."""
        if reference:
            policy = _policy(reference, self.caller.tenant)
            found = combine(f"{policy.pk}@{policy.version}", policy.name, [policy.rules])
        else:
            found = resolve(simulation.in_force(self.caller.tenant), self.caller.department, self.caller.key)
        found = found.at(Context(self.request.META.get("REMOTE_ADDR", ""), claims=self.caller.claims))
        if found.refusal:
            raise exceptions.PermissionDenied(found.refusal)
        return found.pii


class RestoreView(ManagementView):
    """The originals behind a text's placeholders, for whoever had them redacted."""

    serializer_class = RestorationSerializer
    rights: ClassVar[dict[str, str]] = {"create": "models.call"}
    unkept = frozenset({"create"})

    @extend_schema(request=RestorationSerializer, responses={200: OpenApiTypes.OBJECT})
    def create(self, request: Request) -> Response:
        wanted = RestorationSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        try:
            vault = UUID(values["vault"])
        except ValueError:
            raise exceptions.NotFound(str(VaultGone())) from None
        purpose = request.headers.get("X-Audit-Reason", "").strip()[:REASON_LENGTH]
        return Response({"text": _done(lambda: redact.restore(values["text"], vault, self.caller, purpose))})

    def check_right(self, action: str) -> None:
        """Those who may call models restore their own; those who may reveal, any."""
        if action not in self.rights or not self.caller.may("reveal.use"):
            super().check_right(action)


def _said(value: Any) -> Any:
    return None if value is UNSAID else value


def _policy(reference: str, tenant: UUID) -> Policy:
    """A policy by id or name: of a name's versions the one in force, else the latest."""
    try:
        found = Policy.objects.filter(pk=UUID(reference)).first()
    except ValueError:
        found = _by_name(Policy.objects.all(), reference, tenant).first()
    if found is None:
        raise exceptions.ValidationError({"policy": f"There is no policy {reference!r}."})
    return found


def _by_name(rows: QuerySet[Policy], name: str, tenant: UUID) -> QuerySet[Policy]:
    def first(**place: Any) -> Case:
        return Case(When(**place, then=Value(0)), default=Value(1), output_field=IntegerField())

    ranked = rows.filter(name=name).alias(own=first(tenant_id=tenant), active=first(state=PolicyState.ACTIVE))
    return ranked.order_by("own", "active", "-version")
