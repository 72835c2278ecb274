"""The management plane of providers, deployments, models and the prices of deployments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework import exceptions, mixins
from rest_framework.request import Request
from rest_framework.response import Response

from billing.services import price_rows, set_price
from tenants.api.fields import plain
from tenants.api.lists import Filter, flag
from tenants.api.views import FullView, ManagementView
from tenants.ids import uuid7

from .breakers import OpenBreaker, open_breakers
from .credentials import seal_credential
from .models import Deployment, Model, Provider, Route
from .serializers import DeploymentSerializer, ModelSerializer, PriceSerializer, ProviderSerializer


def rights_on(objects: str) -> dict[str, str]:
    """The rights of a plain object's five actions."""
    view, change = f"{objects}.view", f"{objects}.change"
    return {"list": view, "retrieve": view, "create": change, "partial_update": change, "destroy": change}


def by_name_or_id(column: str) -> Filter:
    """By the id or name of what a column refers to."""

    def condition(value: str) -> Q:
        try:
            return Q(**{f"{column}__id": UUID(value)})
        except ValueError:
            return Q(**{f"{column}__name": value})

    return condition


class OwnedView(FullView):
    """Objects which the platform may share: everybody reads what is shared, only its owner changes it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action in ("partial_update", "destroy") and self.get_object().tenant_id != self.caller.tenant:
            raise exceptions.PermissionDenied("This belongs to the platform.")


class ProviderView(OwnedView):
    queryset = Provider.objects.all()
    serializer_class = ProviderSerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {
        **{name: name for name in ("name", "kind", "vendor", "region")},
        "self_hosted": flag("self_hosted"),
    }
    searched = ("name", "vendor")
    orderings = ("name", "kind", "created_at")
    rights: ClassVar[dict[str, str]] = rights_on("providers")

    def perform_create(self, serializer: Any) -> None:
        values = dict(serializer.validated_data)
        secret, tenants = values.pop("api_key", ""), values.pop("tenants", None)
        identity = uuid7()
        serializer.instance = Provider.objects.create(
            id=identity,
            credential=seal_credential(secret, self.caller.tenant, identity) if secret else None,
            shared_with=None if tenants is None else [tenant.pk for tenant in tenants],
            **values,
        )

    def perform_update(self, serializer: Any) -> None:
        values, provider = serializer.validated_data, serializer.instance
        if "api_key" in values:
            secret = values.pop("api_key")
            provider.credential = seal_credential(secret, provider.tenant_id, provider.pk) if secret else None
        if "tenants" in values:
            tenants = values.pop("tenants")
            provider.shared_with = None if tenants is None else [tenant.pk for tenant in tenants]
        serializer.save()


class DeploymentView(OwnedView):
    queryset = Deployment.objects.select_related("provider")
    serializer_class = DeploymentSerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {
        "name": "name",
        "provider": by_name_or_id("provider"),
        "upstream_model": "upstream_model",
        "capability": lambda value: Q(capabilities__contains=[value]),
    }
    searched = ("name", "upstream_model")
    orderings = ("name", "upstream_model", "created_at")
    rights: ClassVar[dict[str, str]] = rights_on("deployments")
    passing = ("breaker",)
    breakers: Mapping[UUID, OpenBreaker] = MappingProxyType({})

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.breakers = open_breakers()

    def perform_create(self, serializer: Any) -> None:
        serializer.save(shared_with=serializer.validated_data["provider"].shared_with)


class ModelView(OwnedView):
    queryset = Model.objects.prefetch_related("routes__deployment")
    serializer_class = ModelSerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {
        "name": "name",
        "strategy": "strategy",
        "deployment": by_name_or_id("routes__deployment"),
    }
    searched = ("name",)
    orderings = ("name", "strategy", "created_at")
    granted = "model"
    rights: ClassVar[dict[str, str]] = rights_on("models")

    def perform_create(self, serializer: Any) -> None:
        values = dict(serializer.validated_data)
        routes = values.pop("deployments")
        shared = [route["deployment"].shared_with for route in routes]
        serializer.instance = Model.objects.create(**values, shared_with=_narrowest(shared))
        self._route(serializer.instance, routes)

    def perform_update(self, serializer: Any) -> None:
        routes = serializer.validated_data.pop("deployments", None)
        serializer.save()
        if routes is not None:
            serializer.instance.routes.all().delete()
            self._route(serializer.instance, routes)
        serializer.instance = self.get_queryset().get(pk=serializer.instance.pk)

    def _route(self, model: Model, routes: list[dict[str, Any]]) -> None:
        for route in routes:
            Route.objects.create(model=model, shared_with=model.shared_with, **route)


def _of_deployment(value: str) -> Q:
    """By a deployment's id or name; prices know it by its id alone."""
    try:
        return Q(deployment_id=UUID(value))
    except ValueError:
        return Q(deployment_id__in=list(Deployment.objects.filter(name=value).values_list("id", flat=True)))


class PriceView(mixins.ListModelMixin, mixins.CreateModelMixin, ManagementView):
    """Prices of deployments. A new one takes effect from `valid_from`; none is ever changed."""

    serializer_class = PriceSerializer
    filters: ClassVar[dict[str, Filter]] = {"deployment": _of_deployment, "kind": "kind", "source": "source"}
    orderings = ("kind", "per_million", "valid_from")
    rights: ClassVar[dict[str, str]] = {"list": "prices.view", "create": "prices.change"}

    def get_queryset(self) -> QuerySet[Any]:
        return price_rows()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([_price(row) for row in page or ()])

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        deployment = values.pop("deployment")
        if deployment.tenant_id != self.caller.tenant:
            raise exceptions.PermissionDenied("The prices of the platform's deployments are the platform's.")
        return Response(_price(set_price(deployment.pk, shared_with=deployment.shared_with, **values)), status=201)


def _price(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "deployment": str(row.deployment_id),
        "kind": row.kind,
        "per_million": plain(row.per_million),
        "valid_from": row.valid_from.isoformat().replace("+00:00", "Z"),
        "source": row.source,
    }


def _narrowest(shared: list[list[Any] | None]) -> list[Any] | None:
    """Who may read a model whose deployments are shared with these; None means everybody."""
    known = [set(tenants) for tenants in shared if tenants is not None]
    return None if not known else sorted(set.intersection(*known))
