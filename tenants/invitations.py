"""Invitations: a place in the open tenant, held for whoever reads the mail of an address.

The link is made when the mail is sent, so that nothing but its keyed hash is ever kept: a mail that is tried again
brings a new link, and the one before ends. Without a mail server the link is handed to whoever invites, once. It is
used up by the row's own update, whoever else comes with it at the same time.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from . import services
from .errors import NotAllowed, Taken
from .isolation import PLATFORM, Scope, current, scope
from .models import Department, Invitation, Membership, Tenant, User
from .roles import Role

log = logging.getLogger("customhouse.invitations")

LIFETIME = timedelta(days=7)
#: Nobody's mailbox is filled by asking again and again.
PAUSE = timedelta(minutes=1)
MOST_OPEN = 1_000
#: how long one that nobody accepted is still shown
KEPT = timedelta(days=30)
#: Seconds before the second, third, … attempt to send; after the last it is told as not sent.
WAITS = (30, 120, 600, 3600, 4 * 3600)
#: A worker that has a mail in hand may take so long; then another one may.
LEASE = timedelta(minutes=2)

_SENDER = {"type": "system", "id": "", "name": "invitations"}
_OVER = "This invitation was used, taken back, or has expired. Ask for a new one."
_KNOWN = "There is an account with this address already: sign in to accept."


# -- inviting ---------------------------------------------------------------------------------------------------------


def invite(
    email: str, role: str, clearance: int, departments: Iterable[Department], origin: str
) -> tuple[Invitation, str]:
    """An invitation into the open tenant; where no mail can be sent also its link, which is known only now, else ''.

    `origin` is where the console is reached (`https://gateway.example`). Raises NotAllowed, Taken.
    """
    services.check_giving(role, clearance)
    email = email.strip().lower()
    place = Membership.objects.select_related("user").filter(tenant_id=current(), user__email=email).first()
    if place is not None and not place.agreed:
        services.check_giving(place.role, place.clearance)
        role, clearance = place.role, place.clearance
    elif place is not None:
        role, clearance = _to_give_a_password(place)
    _make_room(email)
    made = Invitation.objects.create(
        email=email,
        role=role,
        clearance=clearance,
        departments=[department.pk for department in departments],
        inviter=services.actor(),
        origin=origin.rstrip("/"),
        expires_at=timezone.now() + LIFETIME,
    )
    return made, _hand_out(made)


def _to_give_a_password(place: Membership) -> tuple[str, int]:
    """The place of somebody who belongs here and cannot sign in yet, which stays as it is. Raises NotAllowed, Taken."""
    if place.user.has_usable_password() or place.user.home != place.tenant_id:
        raise Taken(f"{place.user.email} belongs to this tenant already.")
    services.check_giving(place.role, place.clearance)
    return place.role, place.clearance


def _make_room(email: str) -> None:
    """One that has expired makes room for a new one. Raises Taken."""
    now = timezone.now()
    pending = Invitation.objects.filter(accepted_at=None)
    pending.filter(email=email, expires_at__lte=now).delete()
    if pending.filter(email=email).exists():
        raise Taken(f"{email} is invited already. Send the invitation again, or take it back first.")
    if pending.filter(expires_at__gt=now).count() >= MOST_OPEN:
        raise Taken(f"{MOST_OPEN:,} invitations are open. Take back some that nobody will accept.")


def resend(invitation: Invitation) -> str:
    """A new link for another seven days, answered for by whoever asks; the one before ends. Returns as `invite` does.

    Raises NotAllowed, Taken.
    """
    services.check_giving(invitation.role, invitation.clearance)
    if invitation.accepted_at is not None:
        raise Taken("This invitation is accepted already.")
    now = timezone.now()
    if invitation.sent_at is not None and invitation.sent_at > now - PAUSE:
        raise Taken("It was sent a moment ago. Wait a minute before sending it again.")
    invitation.inviter, invitation.expires_at = services.actor(), now + LIFETIME
    invitation.attempts, invitation.error = 0, ""
    invitation.save(update_fields=["inviter", "expires_at", "attempts", "error"])
    return _hand_out(invitation)


def revoke(invitation: Invitation) -> None:
    """Takes an invitation back; its link ends. Raises NotAllowed."""
    services.check_giving(invitation.role, invitation.clearance)
    invitation.delete()


def state(invitation: Invitation) -> str:
    """`accepted`, `expired`, `unsent` when no server took the mail, or `open`."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.expires_at <= timezone.now():
        return "expired"
    return "unsent" if invitation.error and invitation.next_at is None else "open"


def _hand_out(invitation: Invitation) -> str:
    if not settings.EMAIL_HOST:
        link = _new_link(invitation)
        invitation.save(update_fields=["digest"])
        return link
    tenant = UUID(current())
    Invitation.objects.filter(pk=invitation.pk).update(digest=None, next_at=timezone.now())
    transaction.on_commit(lambda: _dispatch(tenant, invitation.pk))
    return ""


def _dispatch(tenant: UUID, invitation: UUID) -> None:
    from .tasks import dispatch_invitation  # tasks import this module

    dispatch_invitation(tenant, invitation)


def _new_link(invitation: Invitation) -> str:
    token = secrets.token_urlsafe(32)
    invitation.digest = digest(token)
    return f"{invitation.origin}/console/invitation/{token}/"


def digest(token: str) -> str:
    """What is kept of a link."""
    return hmac.digest(settings.INVITATION_KEY, token.encode("utf-8", "surrogatepass"), sha256).hex()


# -- the mail ---------------------------------------------------------------------------------------------------------


def waiting(tenant: UUID) -> list[UUID]:
    """The invitations of a tenant whose mail is due; what nobody accepted long ago is forgotten."""
    now = timezone.now()
    with scope(tenant, actor=_SENDER):
        Invitation.objects.filter(accepted_at=None, expires_at__lt=now - KEPT).delete()
        return list(_due().values_list("pk", flat=True))


def all_tenants() -> list[UUID]:
    with scope(PLATFORM):
        return list(Tenant.objects.values_list("pk", flat=True))


def send(tenant: UUID, identity: UUID) -> bool:
    """One attempt to send one invitation. No transaction is open while the server answers."""
    with scope(tenant, actor=_SENDER):
        found = _due().select_for_update(skip_locked=True).filter(pk=identity).first()
        if found is None:
            return False
        link = _new_link(found)
        found.attempts, found.next_at = found.attempts + 1, timezone.now() + LEASE
        found.save(update_fields=["digest", "attempts", "next_at"])
        message = _message(found, link)
    error = ""
    try:
        message.send()
    except (OSError, SMTPException) as failure:
        error = f"{type(failure).__name__}: {failure}"[:300]
        log.warning("invitation %s: %s", identity, error)
    again = bool(error) and found.attempts <= len(WAITS)
    now = timezone.now()
    with scope(tenant, actor=_SENDER):
        Invitation.objects.filter(pk=identity, digest=found.digest).update(
            error=error,
            next_at=now + timedelta(seconds=WAITS[found.attempts - 1]) if again else None,
            **({} if error else {"sent_at": now}),
        )
    return not error


def _due() -> QuerySet[Invitation]:
    now = timezone.now()
    return Invitation.objects.filter(accepted_at=None, next_at__lte=now, expires_at__gt=now)


def _message(invitation: Invitation, link: str) -> EmailMessage:
    tenant = " ".join(invitation.tenant.name.split())[:100]
    inviter = " ".join(str(invitation.inviter.get("name") or "Somebody").split())[:100]
    body = (
        f"{inviter} invites you to {tenant} on Customhouse, as {Role(invitation.role).label.lower()}.\n\n"
        f"To accept, open this link within {LIFETIME.days} days. It works once:\n\n{link}\n\n"
        "If you did not expect this, do nothing: without you nothing happens.\n"
    )
    return EmailMessage(f"Join {tenant} on Customhouse", body, settings.DEFAULT_FROM_EMAIL, [invitation.email])


# -- accepting --------------------------------------------------------------------------------------------------------


def presented(digested: str) -> Invitation | None:
    """The open invitation behind a link's hash, whichever tenant's it is; None when there is none (any more)."""
    if not digested:
        return None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select set_config('app.invitation', %s, true)", [digested])
        found = Invitation.objects.filter(digest=digested, accepted_at=None, expires_at__gt=timezone.now()).first()
        cursor.execute("select set_config('app.invitation', '', true)")
        return found


def account_of(email: str) -> User | None:
    """The person with an address, for whoever has shown a link that was sent there."""
    with scope(Scope(login=email)):
        return User.objects.filter(email=email).first()


def needs_password(invitation: Invitation, account: User | None) -> bool:
    """Whether who accepts sets their password: a new person, or one whom this tenant added and who never had any.

    An account that another tenant made is its owner's: they sign in.
    """
    if account is None:
        return True
    return account.is_active and not account.has_usable_password() and account.home == invitation.tenant_id


def join(invitation: Invitation, name: str, password: str) -> tuple[User, Membership]:
    """A person with this name and password, and their place. Raises NotAllowed, Taken."""
    account = account_of(invitation.email)
    if not needs_password(invitation, account):
        raise Taken(_KNOWN)
    try:
        with scope(invitation.tenant_id, user=account.pk if account else None):
            user = account or User(email=invitation.email)
            user.name = name.strip() or user.name
            user.set_password(password)
            user.save(force_insert=account is None, update_fields=["name", "password"] if account else None)
            return user, accept(invitation, user)
    except IntegrityError as error:  # somebody made the account at the same moment
        raise Taken(_KNOWN) from error


def accept(invitation: Invitation, user: User, *, account: bool = True) -> Membership:
    """The person's place, once; who belongs to the tenant already keeps theirs.

    The caller has made sure that the person has the invitation's address and, with `account`, the account's own
    way in; a provider's word is about the address alone. Raises NotAllowed when the invitation is
    over, or whoever made it may not give the place any more.
    """
    actor = {"type": "user", "id": str(user.pk), "name": str(user)}
    with scope(invitation.tenant_id, user=user.pk, actor=actor, reason=_reason(invitation)):
        now = timezone.now()
        held = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, expires_at__gt=now)
        if not held.filter(digest=invitation.digest).update(accepted_at=now, digest=None, next_at=None):
            raise NotAllowed(_OVER)
        place = Membership.objects.filter(tenant_id=invitation.tenant_id, user=user).first()
        _check_inviter(invitation, place or invitation)
        if place is None:
            agreed = True if account else None
            where = invitation.departments
            return services.place_person(user, invitation.role, invitation.clearance, where, agreed=agreed)
        if account and not place.agreed:
            place.agreed = True
            place.save(update_fields=["agreed"])
        return place


def _check_inviter(invitation: Invitation, place: Membership | Invitation) -> None:
    try:
        with scope(invitation.tenant_id, actor=invitation.inviter):
            services.check_giving(place.role, place.clearance)
    except NotAllowed as error:
        raise NotAllowed("Whoever invited you may not do so any more. Ask for a new invitation.") from error


def _reason(invitation: Invitation) -> str:
    return f"invited by {invitation.inviter.get('name') or 'somebody'}"
