"""What a session of the console must have seen besides a password."""

from __future__ import annotations

from django.contrib.sessions.backends.base import SessionBase

from .models import User

#: where a session keeps which second factor it has seen
FACTOR_KEY = "second_factor"


def mark_proven(session: SessionBase, person: User) -> None:
    """The session has seen the person's second factor: this one, and none that takes its place."""
    session[FACTOR_KEY] = _stamp(person)


def is_proven(session: SessionBase, person: User) -> bool:
    """Whether a session has seen the second factor, where the person has one."""
    return person.second_factor_at is None or session.get(FACTOR_KEY) == _stamp(person)


def _stamp(person: User) -> str:
    return person.second_factor_at.isoformat() if person.second_factor_at else ""
