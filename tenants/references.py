"""References that point upwards: a budget or a grant names a model, though models live in an app above.

Apps register how theirs are found when they are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

#: kind of object -> id or name -> id, in the open scope; raises ObjectDoesNotExist
Resolver = Callable[[str], UUID]
_RESOLVERS: dict[str, Resolver] = {}


def register(kind: str, resolver: Resolver) -> None:
    """Says how objects of a kind are found."""
    _RESOLVERS[kind] = resolver


def resolve(kind: str, reference: str) -> UUID:
    """The id of an object, by its id or name. Raises ObjectDoesNotExist, for an unknown kind as well."""
    resolver = _RESOLVERS.get(kind)
    if resolver is None:
        raise ObjectDoesNotExist(f"There is no kind of object {kind!r}.")
    return resolver(reference)


def names(kind: str, ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of objects by id, in the open scope; what is gone, hidden or has no name is missing."""
    resolver = _RESOLVERS.get(kind)
    return resolver.names(ids) if isinstance(resolver, ByName) else {}


class ByName:
    """Finds a model's rows by id, or by the name in one of its columns."""

    def __init__(self, model: type, column: str) -> None:
        self._model, self._column = model, column

    def __call__(self, reference: str) -> UUID:
        rows = self._model._default_manager.all()  # type: ignore[attr-defined]
        try:
            found = rows.filter(pk=UUID(reference)).first() or rows.filter(**{self._column: reference}).first()
        except ValueError:
            found = rows.filter(**{self._column: reference}).first()
        if found is None:
            raise ObjectDoesNotExist(f"There is no {self._model._meta.verbose_name} {reference!r}.")  # type: ignore[attr-defined]
        identity: UUID = found.pk
        return identity

    def names(self, ids: Iterable[UUID]) -> dict[UUID, str]:
        rows = self._model._default_manager.filter(pk__in=list(ids))  # type: ignore[attr-defined]
        return {identity: str(name) for identity, name in rows.values_list("pk", self._column)}


def by(model: type, name: str) -> Resolver:
    """A resolver for a model whose rows have a name in the column `name`."""
    return ByName(model, name)
