"""What can go wrong with what is kept as evidence. The messages are for people."""

from __future__ import annotations


class AuditError(Exception):
    """Base of this app's errors."""


class BodyGone(AuditError):
    """Its key is no longer there: nobody reads it again."""

    def __init__(self) -> None:
        super().__init__("This body can no longer be read: its key is gone.")


class NotErased(AuditError):
    """An erasure is not carried out, and why."""


class NotHeld(AuditError):
    """A legal hold is not placed, and why."""
