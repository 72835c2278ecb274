"""How a file names objects: by name or slug. In a tenant's part `platform/NAME` is the platform's; a bare name is the
tenant's own and, where it has none, the platform's.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from tenants import references
from tenants.data import Caller
from tenants.isolation import PLATFORM

PREFIX = "platform/"


class Names:
    """Finds the objects of one model that the caller may refer to, and names them."""

    def __init__(self, model: type[Model], caller: Caller) -> None:
        self._model, self._caller = model, caller

    def find(self, text: str) -> Any:
        """Raises ObjectDoesNotExist."""
        own = self._of(self._caller.tenant, text)
        found = own or self._of(PLATFORM, text.removeprefix(PREFIX)) or self._of(PLATFORM, text)
        if found is None:
            raise ObjectDoesNotExist(f"There is no {self._model._meta.verbose_name} {text!r}.")
        return found

    def label(self, row: Any) -> str:
        """What `find` finds it by."""
        return str(row.name) if row.tenant_id == self._caller.tenant else PREFIX + row.name

    def _of(self, tenant: Any, name: str) -> Any:
        return self._model._default_manager.filter(tenant_id=tenant, name=name).first()


def target(kind: str, text: str, models: Names) -> UUID:
    """The id of what a budget or a policy is for. Raises ObjectDoesNotExist."""
    found: UUID = models.find(text).pk if kind == "model" else references.resolve(kind, text)
    return found


def targeted(kind: str, identity: UUID, models: Names, model: type[Model]) -> str:
    """Its name, or its id when it is gone."""
    if kind == "model":
        found = model._default_manager.filter(pk=identity).first()
        return str(identity) if found is None else models.label(found)
    return references.names(kind, [identity]).get(identity, str(identity))
