"""The form of a place in a tenant: what somebody may do and see there, never more than who gives it."""

from __future__ import annotations

from typing import Any

from django import forms

from tenants.models import Clearance
from tenants.roles import Role, may_give

from . import forms as inputs
from .member import Member

FIRST_PLACE = {"role": Role.MEMBER, "clearance": Clearance.INTERNAL}


def roles_up_to(role: str) -> list[tuple[str, str]]:
    """The roles that somebody with `role` may hand out."""
    return [(given.value, given.label) for given in reversed(Role) if may_give(role, given)]


def clearances_up_to(clearance: int) -> list[tuple[int, str]]:
    return [(step.value, step.label) for step in Clearance if step <= clearance]


class PlaceForm(forms.Form):
    """What a person may do and see in the open tenant."""

    role = inputs.choice("Role")
    clearance = inputs.step("Clearance", help_text="The highest classification of documents that they may see.")
    departments = inputs.DepartmentsField("Departments")
    reason = inputs.reason()

    def __init__(self, giver: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles_up_to(giver.role)  # type: ignore[attr-defined]
        self.fields["clearance"].choices = clearances_up_to(giver.clearance)  # type: ignore[attr-defined]
