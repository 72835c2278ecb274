"""What can go wrong with policies.

PoliciesError
 └── RulesError     a policy document says something that has no meaning; the message names the place
"""

from __future__ import annotations


class PoliciesError(Exception):
    """Something about policies."""


class RulesError(PoliciesError):
    """The rules of a policy cannot be read."""
