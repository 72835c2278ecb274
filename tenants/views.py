"""The management plane of tenants, departments, people and keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from rest_framework import exceptions, mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from . import services
from .api.problems import Conflict
from .api.views import FullView, ManagementView, ReadView
from .errors import NotAllowed, Taken
from .models import ApiKey, ApiKeyDepartment, Department, Membership, Tenant, User
from .roles import Role
from .serializers import (
    ApiKeySerializer,
    DepartmentSerializer,
    MembershipSerializer,
    RotationSerializer,
    TenantSerializer,
    UserSerializer,
)


class TenantView(mixins.CreateModelMixin, mixins.UpdateModelMixin, ReadView):
    """The platform sees and makes tenants; everybody else sees their own."""

    queryset = Tenant.objects.all()
    serializer_class = TenantSerializer
    http_method_names = ["get", "post", "patch", "head", "options"]
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
    rights: ClassVar[dict[str, str]] = {"list": "users.view", "retrieve": "users.view", "create": "users.change"}

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.filter(memberships__tenant_id=self.caller.tenant)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        person = services.make_user(**serializer.validated_data)
        services.add_person(person.email, person.name, Role.MEMBER, 0, [])
        return Response(self.get_serializer(person).data, status=201)


class MembershipView(FullView):
    queryset = Membership.objects.select_related("user").prefetch_related("departments")
    serializer_class = MembershipSerializer
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


class ApiKeyView(mixins.DestroyModelMixin, mixins.UpdateModelMixin, ReadView):
    queryset = ApiKey.objects.select_related("department")
    serializer_class = ApiKeySerializer
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    rights: ClassVar[dict[str, str]] = {
        "list": "keys.view",
        "retrieve": "keys.view",
        "create": "keys.change",
        "partial_update": "keys.change",
        "destroy": "keys.change",
        "rotate": "keys.change",
    }

    def get_queryset(self) -> QuerySet[ApiKey]:
        """All keys for those who manage them; else the own department's, or one's own."""
        keys = super().get_queryset()
        if self.caller.may("keys.all"):
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

    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str = "") -> Response:
        """A new key with the same rights; the old one works for `grace_seconds` more."""
        wanted = RotationSerializer(data=request.data or {})
        wanted.is_valid(raise_exception=True)
        key = self.get_object()
        return self._made(_allowed(lambda: services.rotate_key(key, wanted.validated_data["grace_seconds"])))

    def _made(self, made: tuple[ApiKey, str]) -> Response:
        return Response({**self.get_serializer(made[0]).data, "key": made[1]}, status=201)


def _allowed(change: Any) -> Any:
    """Makes a change; what a service refuses becomes an answer."""
    try:
        return change()
    except NotAllowed as error:
        raise exceptions.PermissionDenied(str(error)) from error
    except Taken as error:
        raise Conflict(str(error)) from error


__all__ = ["ApiKeyView", "DepartmentView", "ManagementView", "MembershipView", "TenantView", "UserView"]
