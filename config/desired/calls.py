"""The management API without HTTP: what a file asks for is made by the views that answer `/api/v1`, so that the same
checks and the same services stand between it and the database. The scope is the caller's to open.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from tenants.api.views import ManagementView
from tenants.data import Caller
from tenants.isolation import Scope
from tenants.roles import Role

#: how the audit trail signs what a file made
ACTOR = {"type": "system", "id": "apply", "name": "apply"}


def whoever_applies(tenant: UUID, slug: str) -> Caller:
    """Who asks the views: an owner without a key, as set-up is."""
    return Caller(
        tenant=tenant,
        tenant_slug=slug,
        key=None,
        user=None,
        name="apply",
        role=Role.OWNER,
        clearance=3,
        department=None,
        department_slug="",
        departments=None,
    )


def opened(tenant: UUID, reason: str) -> Scope:
    """The scope in which a tenant's part of a file is applied."""
    return Scope(tenant=tenant, actor=ACTOR, reason=reason)


class Asked(Request):
    """A request that was never sent: all there is of it is its body."""

    def __init__(self, body: Any) -> None:
        asked = HttpRequest()
        asked.META |= {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(settings.PORT)}  # for addresses in answers
        super().__init__(asked)
        self._said = body

    @property
    def data(self) -> Any:
        return self._said


def view_of(kind: type[ManagementView], caller: Caller, action: str = "", body: Any = None, row: Any = None) -> Any:
    """A view as it stands when it is about to answer."""
    view = kind()
    view.caller, view.action, view.format_kwarg, view.args = caller, action, None, ()
    view.kwargs = {} if row is None else {"pk": str(row.pk)}
    view.request = Asked(body)
    return view


def ask(kind: type[ManagementView], caller: Caller, action: str, body: Any = None, row: Any = None) -> Any:
    """What an action of a view answers. Raises what the view raises: APIException, IntegrityError."""
    view = view_of(kind, caller, action, body, row)
    return getattr(view, action)(view.request).data
