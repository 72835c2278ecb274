"""What can go wrong with policies.

PoliciesError
 ├── RulesError     a policy document says something that has no meaning; the message names the place
 ├── NotInForce     a policy may not be put in force (by whoever asks, or at all)
 └── VaultGone      there is no such vault for whoever asks, or its time is over
"""

from __future__ import annotations


class PoliciesError(Exception):
    """Something about policies."""


class RulesError(PoliciesError):
    """The rules of a policy cannot be read."""


class NotInForce(PoliciesError):
    """A policy may not be put in force."""


class VaultGone(PoliciesError):
    """There is no such vault, or its time is over."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)
