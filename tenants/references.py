"""References that point upwards: a budget or a grant names a model, though models live in an app above.

Apps register how theirs are found when they are ready.
"""

from __future__ import annotations

from collections.abc import Callable
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


def by(model: type, name: str) -> Resolver:
    """A resolver for a model whose rows have a name in the column `name`."""

    def find(reference: str) -> UUID:
        rows = model._default_manager.all()  # type: ignore[attr-defined]
        try:
            found = rows.filter(pk=UUID(reference)).first() or rows.filter(**{name: reference}).first()
        except ValueError:
            found = rows.filter(**{name: reference}).first()
        if found is None:
            raise ObjectDoesNotExist(f"There is no {model._meta.verbose_name} {reference!r}.")  # type: ignore[attr-defined]
        identity: UUID = found.pk
        return identity

    return find
