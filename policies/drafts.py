"""New versions of policies: a draft beside those that are there, by an author whom four eyes remember."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from tenants.data import Caller
from tenants.four_eyes import author

from .errors import RulesError
from .models import Policy
from .rules import validate


def next_version(name: str, tenant: UUID) -> int:
    """The number of a name's next version."""
    versions = Policy.objects.filter(name=name, tenant_id=tenant)
    return (versions.aggregate(last=Max("version"))["last"] or 0) + 1


def write(name: str, scope: str, target: UUID | None, rules: dict[str, Any], caller: Caller) -> Policy:
    """A draft. Raises RulesError when its rules mean nothing, or somebody wrote the same version at this moment."""
    validate(rules)
    version = next_version(name, caller.tenant)
    try:
        with transaction.atomic():
            return Policy.objects.create(
                name=name, version=version, scope=scope, target=target, rules=rules, written_by=author(caller)
            )
    except IntegrityError as error:
        raise RulesError("Somebody has just saved another version of this policy. Save again.") from error
