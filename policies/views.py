"""The management plane of policies: drafts are made, one is activated, none is ever changed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Max
from django.utils import timezone
from rest_framework import exceptions, mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.views import ReadView

from .models import Policy, PolicyState
from .serializers import PolicySerializer


class PolicyView(mixins.CreateModelMixin, ReadView):
    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    rights: ClassVar[dict[str, str]] = {
        "list": "policies.view",
        "retrieve": "policies.view",
        "create": "policies.change",
        "activate": "policies.change",
    }

    def perform_create(self, serializer: Any) -> None:
        versions = Policy.objects.filter(name=serializer.validated_data["name"], tenant_id=self.caller.tenant)
        serializer.save(version=(versions.aggregate(last=Max("version"))["last"] or 0) + 1)

    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str = "") -> Response:
        """Puts a policy in force; the one before it for the same scope and target is archived."""
        policy = self.get_object()
        if policy.tenant_id != self.caller.tenant:
            raise exceptions.PermissionDenied("This policy belongs to the platform.")
        now = timezone.now()
        same = Policy.objects.filter(tenant_id=policy.tenant_id, scope=policy.scope, target=policy.target)
        same.filter(state=PolicyState.ACTIVE).exclude(pk=policy.pk).update(state=PolicyState.ARCHIVED)
        policy.state, policy.activated_at = PolicyState.ACTIVE, now
        policy.save(update_fields=["state", "activated_at"])
        return Response(self.get_serializer(policy).data)
