"""What a session of the console has seen: a password and a second factor, or one tenant's identity provider."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase

from .isolation.middleware import CONFINED_KEY
from .models import User

#: where a session keeps which second factor it has seen
FACTOR_KEY = "second_factor"


@dataclass(frozen=True, slots=True)
class Confinement:
    """The one tenant that a session opens, and the identity provider that it believes."""

    tenant: UUID
    provider: UUID


def confine(session: SessionBase, confinement: Confinement) -> None:
    """From here on the session opens one tenant, and is nobody's account."""
    session[CONFINED_KEY] = {"tenant": str(confinement.tenant), "provider": str(confinement.provider)}


def confinement(session: SessionBase) -> Confinement | None:
    """To what a session is confined; None when its person has signed in themselves."""
    found = session.get(CONFINED_KEY)
    return None if found is None else Confinement(UUID(found["tenant"]), UUID(found["provider"]))


def is_own(session: SessionBase, person: User) -> bool:
    """Whether a session may act for the person's account, and not only in a tenant: they have shown all it asks for."""
    return confinement(session) is None and is_proven(session, person)


def mark_proven(session: SessionBase, person: User) -> None:
    """The session has seen the person's second factor: this one, and none that takes its place."""
    session[FACTOR_KEY] = _stamp(person)


def is_proven(session: SessionBase, person: User) -> bool:
    """Whether a session has seen the second factor, where the person has one."""
    return person.second_factor_at is None or session.get(FACTOR_KEY) == _stamp(person)


def _stamp(person: User) -> str:
    return person.second_factor_at.isoformat() if person.second_factor_at else ""
