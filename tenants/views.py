"""The management plane of tenants, departments, people and keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from . import identity, invitations, second_factor, services, webhooks
from .api.lists import Filter, flag, refers_to, word_of
from .api.problems import Conflict
from .api.views import FullView, ManagementView, ReadView
from .errors import NotAllowed, Taken
from .isolation.scope import CLEARANCES
from .models import (
    ApiKey,
    ApiKeyDepartment,
    Department,
    Grant,
    GroupMapping,
    IdentityProvider,
    Invitation,
    Membership,
    Tenant,
    User,
    Webhook,
    WebhookDelivery,
)
from .roles import Role, given_by, rights_of
from .scim import provisioning
from .serializers import (
    ApiKeySerializer,
    CheckedSerializer,
    DeliverySerializer,
    DepartmentSerializer,
    GrantSerializer,
    GroupMappingSerializer,
    IdentityProviderSerializer,
    InvitationSerializer,
    MembershipSerializer,
    RoleSerializer,
    RotationSerializer,
    TenantSerializer,
    TokenCheckSerializer,
    UserSerializer,
    WebhookSerializer,
)


class TenantView(mixins.CreateModelMixin, mixins.UpdateModelMixin, ReadView):
    """The platform sees and makes tenants; everybody else sees their own."""

    queryset = Tenant.objects.all()
    serializer_class = TenantSerializer
    http_method_names = ["get", "post", "patch", "head", "options"]
    named_by = "slug"
    filters: ClassVar[dict[str, Filter]] = {"slug": "slug", "name": "name"}
    searched = ("slug", "name")
    orderings = ("slug", "name", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "tenants.view",
        "retrieve": "tenants.view",
        "create": "tenants.change",
        "partial_update": "tenants.change",
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if not self.caller.is_platform:
            raise exceptions.PermissionDenied("Only the platform makes tenants.")
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        try:
            tenant, key = services.make_tenant(values["slug"], values["name"])
        except Taken as error:
            raise Conflict(str(error)) from error
        return Response({**self.get_serializer(tenant).data, "owner_key": key}, status=201)


class DepartmentView(FullView):
    queryset = Department.objects.all()
    serializer_class = DepartmentSerializer
    named_by = "slug"
    filters: ClassVar[dict[str, Filter]] = {"slug": "slug", "name": "name"}
    searched = ("slug", "name")
    orderings = ("slug", "name")
    rights: ClassVar[dict[str, str]] = {
        "list": "departments.view",
        "retrieve": "departments.view",
        "create": "departments.change",
        "partial_update": "departments.change",
        "destroy": "departments.change",
    }


class UserView(mixins.CreateModelMixin, ReadView):
    """People who belong to the tenant. A new one belongs to it with their membership."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    named_by = "email__iexact"
    filters: ClassVar[dict[str, Filter]] = {"email": "email__iexact", "name": "name", "is_active": flag("is_active")}
    searched = ("email", "name")
    orderings = ("email", "name", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "users.view",
        "retrieve": "users.view",
        "create": "users.change",
        "reset_second_factor": "users.change",
    }

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.filter(memberships__tenant_id=self.caller.tenant)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        person = services.make_user(**serializer.validated_data)
        _allowed(lambda: services.add_person(person.email, person.name, Role.MEMBER, 0, []))
        return Response(self.get_serializer(person).data, status=201)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path="reset-second-factor")
    def reset_second_factor(self, request: Request, pk: str = "") -> Response:
        """Lets a person who lost their second factor sign in without it: codes and passkeys are removed.

        Their account was made in this tenant."""
        place = Membership.objects.select_related("user").get(tenant=self.caller.tenant, user=self.get_object())
        _allowed(lambda: second_factor.reset(place))
        return Response(status=204)


class MembershipView(FullView):
    queryset = Membership.objects.select_related("user").prefetch_related("departments")
    serializer_class = MembershipSerializer
    filters: ClassVar[dict[str, Filter]] = {
        "user": refers_to("user", "user_id"),
        "role": "role",
        "clearance": word_of(CLEARANCES, "clearance"),
        "department": refers_to("department", "departments"),
    }
    searched = ("user__email", "user__name")
    orderings = ("role", "clearance", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "memberships.view",
        "retrieve": "memberships.view",
        "create": "memberships.change",
        "partial_update": "memberships.change",
        "destroy": "memberships.change",
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        place = Membership.objects.filter(user=values["user"]).first()
        wanted = (values["role"], values["clearance"], values["departments"])
        if place is None:
            place = _allowed(lambda: services.add_person(values["user"].email, "", *wanted))
        else:
            place = _allowed(lambda: services.change_place(place, *wanted))
        return Response(self.get_serializer(place).data, status=201)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        place = self.get_object()
        serializer = self.get_serializer(place, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        role, clearance = values.get("role", place.role), values.get("clearance", place.clearance)
        departments = values.get("departments", list(place.departments.all()))
        return Response(
            self.get_serializer(_allowed(lambda: services.change_place(place, role, clearance, departments))).data
        )

    def perform_destroy(self, instance: Membership) -> None:
        _allowed(lambda: services.remove_person(instance))


def _accepted(value: str) -> Q:
    if value not in ("true", "false"):
        raise exceptions.ValidationError("Must be true or false.")
    return Q(accepted_at__isnull=value == "false")


class InvitationView(mixins.CreateModelMixin, mixins.DestroyModelMixin, ReadView):
    """Places that are held for whoever has an address: a mail brings them a link that works once, for seven days."""

    queryset = Invitation.objects.all()
    serializer_class = InvitationSerializer
    filters: ClassVar[dict[str, Filter]] = {
        "email": "email__iexact",
        "role": "role",
        "clearance": word_of(CLEARANCES, "clearance"),
        "accepted": _accepted,
    }
    searched = ("email",)
    orderings = ("email", "role", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "memberships.view",
        "retrieve": "memberships.view",
        "create": "memberships.change",
        "destroy": "memberships.change",
        "resend": "memberships.change",
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values, origin = serializer.validated_data, request.build_absolute_uri("/")
        made, link = _allowed(lambda: invitations.invite(**values, origin=origin))
        return Response(self._shown(made, link), status=201)

    @extend_schema(request=None, responses=InvitationSerializer)
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: str = "") -> Response:
        """A new link, for another seven days; the one before ends."""
        found = self.get_object()
        return Response(self._shown(found, _allowed(lambda: invitations.resend(found))))

    def perform_destroy(self, instance: Invitation) -> None:
        _allowed(lambda: invitations.revoke(instance))

    def _shown(self, invitation: Invitation, link: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.get_serializer(invitation).data
        return {**shown, "link": link} if link else shown


def _revoked(value: str) -> Q:
    """By whether a key has been revoked; one within its grace has not."""
    if value not in ("true", "false"):
        raise exceptions.ValidationError("Must be true or false.")
    ended = Q(revoked_at__lte=timezone.now())
    return ended if value == "true" else ~ended | Q(revoked_at=None)


class ApiKeyView(mixins.DestroyModelMixin, mixins.UpdateModelMixin, ReadView):
    queryset = ApiKey.objects.select_related("department")
    serializer_class = ApiKeySerializer
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    filters: ClassVar[dict[str, Filter]] = {
        "name": "name",
        "role": "role",
        "clearance": word_of(CLEARANCES, "clearance"),
        "department": refers_to("department", "department_id"),
        "user": refers_to("user", "user_id"),
        "revoked": _revoked,
    }
    searched = ("name", "public_id")
    orderings = ("name", "role", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "keys.view",
        "retrieve": "keys.view",
        "create": "keys.change",
        "partial_update": "keys.change",
        "destroy": "keys.change",
        "rotate": "keys.change",
    }

    def get_queryset(self) -> QuerySet[ApiKey]:
        """All keys for those who manage them; else the own department's, or one's own.

        To whom no key is shown at all it is refused, and not hidden.
        """
        keys = super().get_queryset()
        if self.caller.may("keys.all") or not self.caller.may("keys.view"):
            return keys
        own = Q(pk=str(self.caller.key)) | (Q(user_id=self.caller.user) if self.caller.user else Q(pk=None))
        if self.caller.role == Role.DEVELOPER:
            own |= Q(department_id__in=self.caller.departments or ())
        return keys.filter(own)

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if self.action == "list":
            further: dict[Any, list[ApiKeyDepartment]] = {}
            context["further"] = further
            for row in ApiKeyDepartment.objects.select_related("department"):
                further.setdefault(row.key_id, []).append(row)
        return context

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        limits = values.pop("limits", None) or {}
        values.setdefault("department", None)
        if values["department"] is None and not self.caller.may("keys.all"):
            values["department"] = Department.objects.filter(pk=str(self.caller.department)).first()
        return self._made(_allowed(lambda: services.make_key(**values, rpm=limits.get("rpm"), tpm=limits.get("tpm"))))

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = self.get_object()
        serializer = self.get_serializer(key, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        _allowed(lambda: services.change_key(key, dict(serializer.validated_data)))
        return Response(self.get_serializer(key).data)

    def perform_destroy(self, instance: ApiKey) -> None:
        services.revoke_key(instance)

    @extend_schema(request=RotationSerializer, responses={201: ApiKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str = "") -> Response:
        """A new key with the same rights; the old one works for `grace_seconds` more."""
        wanted = RotationSerializer(data=request.data or {})
        wanted.is_valid(raise_exception=True)
        key = self.get_object()
        return self._made(_allowed(lambda: services.rotate_key(key, wanted.validated_data["grace_seconds"])))

    def _made(self, made: tuple[ApiKey, str]) -> Response:
        return Response({**self.get_serializer(made[0]).data, "key": made[1]}, status=201)


class RoleView(ManagementView):
    """What each role may do, which roles it may hand out, and (for those who see people) how many have it here."""

    rights: ClassVar[dict[str, str]] = {"list": "tenants.view"}

    @extend_schema(responses=RoleSerializer(many=True))
    def list(self, request: Request) -> Response:
        people = services.people_by_role() if self.caller.may("memberships.view") else None
        found = [
            {
                "role": role.value,
                "rights": sorted(rights_of(role)),
                "gives": [given.value for given in given_by(role)],
                "people": None if people is None else people.get(role, 0),
            }
            for role in Role
        ]
        return Response({"count": len(found), "next": None, "previous": None, "results": found})


class GrantView(mixins.CreateModelMixin, mixins.DestroyModelMixin, ReadView):
    """Rights on single objects, for people, departments and keys: they widen a role or, denied, narrow it."""

    queryset = Grant.objects.all()
    serializer_class = GrantSerializer
    filters: ClassVar[dict[str, Filter]] = {
        "object_type": "object_type",
        "object_id": "object_id",
        "to_type": "to_type",
        "to_id": "to_id",
        "right": "right",
        "deny": flag("deny"),
    }
    orderings = ("object_type", "to_type", "right", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "grants.view",
        "retrieve": "grants.view",
        "create": "grants.change",
        "destroy": "grants.change",
    }

    def perform_create(self, serializer: Any) -> None:
        values = serializer.validated_data
        wanted = (*values["object"], *values["to"], values["right"])
        serializer.instance = _allowed(lambda: services.make_grant(*wanted, deny=values["deny"]))

    def perform_destroy(self, instance: Grant) -> None:
        services.take_back_grant(instance)


class WebhookView(FullView):
    """Addresses that are told what happens. Deliveries are signed as https://www.standardwebhooks.com says."""

    queryset = Webhook.objects.all()
    serializer_class = WebhookSerializer
    filters: ClassVar[dict[str, Filter]] = {"url": "url", "active": flag("active")}
    searched = ("url",)
    orderings = ("url", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "webhooks.view",
        "retrieve": "webhooks.view",
        "create": "webhooks.change",
        "partial_update": "webhooks.change",
        "destroy": "webhooks.change",
        "deliveries": "webhooks.view",
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        made, secret = webhooks.make_webhook(**serializer.validated_data)
        return Response({**self.get_serializer(made).data, "secret": secret}, status=201)

    def perform_update(self, serializer: Any) -> None:
        secret = serializer.validated_data.pop("secret", None)
        if secret is not None:
            serializer.instance.sealed = webhooks.seal_secret(secret, serializer.instance.pk)
        serializer.save()

    def perform_destroy(self, instance: Webhook) -> None:
        webhooks.remove_webhook(instance)

    @extend_schema(responses=DeliverySerializer(many=True))
    @action(detail=True)
    def deliveries(self, request: Request, pk: str = "") -> Response:
        """What was told, and how that went; newest first."""
        page = self.paginate_queryset(WebhookDelivery.objects.filter(webhook=self.get_object())) or []
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)


class IdentityProviderView(FullView):
    """Who vouches for the tenant's people: their tokens (JWT) then let them call `/v1` as a key does."""

    queryset = IdentityProvider.objects.select_related("department")
    serializer_class = IdentityProviderSerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {"name": "name", "issuer": "issuer", "active": flag("active")}
    searched = ("name", "issuer", "audience")
    orderings = ("name", "created_at")
    unkept = frozenset({"check"})
    rights: ClassVar[dict[str, str]] = {
        "list": "identity.view",
        "retrieve": "identity.view",
        "create": "identity.change",
        "partial_update": "identity.change",
        "destroy": "identity.change",
        "check": "identity.change",
    }

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = _allowed(lambda: identity.save(serializer.validated_data))

    def perform_update(self, serializer: Any) -> None:
        _allowed(lambda: identity.save(serializer.validated_data, serializer.instance))

    @extend_schema(request=TokenCheckSerializer, responses=CheckedSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str = "") -> Response:
        """Fetches the provider's keys and, where a token is sent, says whom it would let in, or why nobody."""
        asked = TokenCheckSerializer(data=request.data or {})
        asked.is_valid(raise_exception=True)
        return Response(
            CheckedSerializer(identity.check(self.get_object(), asked.validated_data["token"].strip())).data
        )


class GroupMappingView(FullView):
    """What groups of the identity provider, as SCIM brings them, give their members here."""

    queryset = GroupMapping.objects.select_related("department")
    serializer_class = GroupMappingSerializer
    named_by = "group__iexact"
    filters: ClassVar[dict[str, Filter]] = {
        "group": "group__iexact",
        "department": refers_to("department", "department_id"),
        "role": "role",
        "clearance": word_of(CLEARANCES, "clearance"),
    }
    searched = ("group",)
    orderings = ("group", "created_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "identity.view",
        "retrieve": "identity.view",
        "create": "identity.change",
        "partial_update": "identity.change",
        "destroy": "identity.change",
    }

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = self._saved(serializer)

    def perform_update(self, serializer: Any) -> None:
        self._saved(serializer)

    def _saved(self, serializer: Any) -> GroupMapping:
        found, given = serializer.instance, serializer.validated_data
        values = {name: given.get(name, getattr(found, name, None)) for name in self.named}
        made: GroupMapping = _allowed(lambda: provisioning.save_mapping(**values, found=found))
        return made

    #: what a mapping says
    named = ("group", "department", "role", "clearance")

    def perform_destroy(self, instance: GroupMapping) -> None:
        provisioning.remove_mapping(instance)


def _allowed(change: Any) -> Any:
    """Makes a change; what a service refuses becomes an answer."""
    try:
        return change()
    except NotAllowed as error:
        raise exceptions.PermissionDenied(str(error)) from error
    except Taken as error:
        raise Conflict(str(error)) from error


__all__ = [
    "ApiKeyView",
    "DepartmentView",
    "GrantView",
    "GroupMappingView",
    "IdentityProviderView",
    "InvitationView",
    "ManagementView",
    "MembershipView",
    "TenantView",
    "UserView",
    "WebhookView",
]
