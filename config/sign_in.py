"""Signing in to the console and out of it: through the wall, recorded, and not endlessly often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, login
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils import timezone

from audit.models import Event
from audit.services import first_id, record
from tenants.console.member import forget
from tenants.isolation import Scope, scope
from tenants.isolation.middleware import CONFINED_KEY, TENANT_KEY
from tenants.models import IdentityProvider, Membership, User
from tenants.services import scope_of_member
from tenants.sessions import Confinement, confine, mark_proven

#: Wrong passwords for one person from one address until both must wait.
ATTEMPTS = 10
PAUSE = timedelta(minutes=15)


BACKEND = "tenants.sign_in.PasswordBackend"


def open_session(request: HttpRequest, person: User, tenant: UUID | None = None, factor: str = "") -> None:
    """Signs a person in who has proven who they are, and opens this tenant for them, or the one that is theirs.

    `factor` is what they have shown besides the password.
    """
    if CONFINED_KEY in request.session:
        request.session.flush()  # what a provider opened is no beginning of what the person themselves opens
    with scope(Scope(user=person.pk)):
        login(request, person, backend=BACKEND)
    if tenant is not None:
        request.session[TENANT_KEY] = str(tenant)
    if factor:
        mark_proven(request.session, person)
    record_of_session(request, "session.open", {"factor": factor} if factor else {})


def open_confined(request: HttpRequest, person: User, provider: IdentityProvider) -> None:
    """Signs in whom a tenant's provider vouches for: into that tenant alone, and into nobody's account.

    Nothing of the account is written: it may be somebody's who has never heard of the provider.
    """
    request.session.flush()
    request.session[SESSION_KEY] = str(person.pk)
    request.session[BACKEND_SESSION_KEY] = BACKEND
    request.session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    confine(request.session, Confinement(provider.tenant_id, provider.pk))
    rotate_token(request)
    request.user = person
    record_of_session(request, "session.open", {"provider": provider.name})


def record_of_session(request: HttpRequest, action: str, detail: Mapping[str, Any] | None = None) -> None:
    """Writes what the signed-in person did to the trail of the tenant that is open for them, if there is one."""
    forget(request)
    opened = scope_of_member(request)
    if opened is not None:
        with scope(opened):
            record(action, object_type=action.partition(".")[0], object_id=str(opened.tenant), detail=detail)


def may_try(request: HttpRequest, email: str) -> bool:
    """Whether another password may be tried: the trail knows how often it failed."""
    person = _person(email)
    if person is None:
        return True
    since = timezone.now() - PAUSE
    failed = Event.objects.filter(id__gte=first_id(since), time__gte=since, action="session.refused")
    for opened in places(person):
        with scope(opened):
            if failed.filter(actor_id=str(person.pk), detail__address=address(request)).count() >= ATTEMPTS:
                return False
    return True


def record_refusal(request: HttpRequest, email: str, **more: Any) -> None:
    """Writes a failed attempt to the trail of each of the person's tenants; an unknown address has none."""
    person = _person(email)
    detail = {"address": address(request), **more}
    for opened in places(person) if person is not None else []:
        with scope(opened):
            record("session.refused", decision="deny", object_type="session", detail=detail)


def password_is_right(request: HttpRequest, person: User, context: dict[str, Any]) -> bool:
    """Whoever finds an open browser does not weaken the account; nor do they guess on."""
    if not may_try(request, person.email):
        context["problem"] = "Too many wrong passwords from here. Wait a quarter of an hour, then try again."
        return False
    if person.check_password(request.POST.get("password", "")):
        return True
    record_refusal(request, person.email)
    context["problem"] = "This is not your password."
    return False


def address(request: HttpRequest) -> str:
    """Where a request comes from."""
    return str(request.META.get("REMOTE_ADDR", ""))


def _person(email: str) -> User | None:
    with scope(Scope(login=email)):
        return User.objects.filter(email=email.lower()).first() if email else None


def places(person: User) -> list[Scope]:
    """A scope in each of a person's tenants, in which what they do is recorded as theirs."""
    actor = {"type": "user", "id": str(person.pk), "name": str(person)}
    with scope(Scope(user=person.pk)):
        tenants = Membership.objects.filter(user=person).values_list("tenant_id", flat=True)
        return [Scope(tenant=tenant, user=person.pk, actor=actor) for tenant in tenants]
