"""A forgotten password: a link for whoever reads the mail of an account's address, for an hour.

Nothing is kept of a link: it is signed over what the account is, so that it ends when it is used, when the password
changes in any other way, and when somebody signs in. An account without a password has none to forget: there a
tenant's provider vouches, or an invitation waits.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.mail import EmailMessage

from . import invitations
from .isolation import Scope, scope
from .models import User


class _Links(PasswordResetTokenGenerator):
    """Tokens for settings.PASSWORD_RESET_TIMEOUT seconds."""

    key_salt = "customhouse.password"


_links = _Links()


def account_of(email: str) -> User | None:
    """The active person with an address, who has a password that can be forgotten."""
    found = invitations.account_of(email.strip().lower())
    return found if found is not None and found.is_active and found.has_usable_password() else None


def link(person: User, origin: str) -> str:
    """An address under `origin` (`https://gateway.example`) at which the person chooses a new password."""
    return f"{origin.rstrip('/')}/console/password/{person.pk}/{_links.make_token(person)}/"


def message(person: User, address: str) -> EmailMessage:
    """The mail that brings a link."""
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    body = (
        "Somebody, perhaps you, has forgotten the password of your account at Customhouse.\n\n"
        f"To choose a new one, open this link within {minutes} minutes. It works once:\n\n{address}\n\n"
        "If it was not you, do nothing: your password stays as it is.\n"
    )
    return EmailMessage("Your password at Customhouse", body, settings.DEFAULT_FROM_EMAIL, [person.email])


def presented(person: UUID, token: str) -> User | None:
    """Whose link this is; None when it is over or nobody's."""
    with scope(Scope(user=person)):
        found = User.objects.filter(pk=person, is_active=True).first()
    if found is None or not found.has_usable_password() or not _links.check_token(found, token):
        return None
    return found


def change(person: User, token: str, password: str) -> bool:
    """Sets a new password, once for each link; False when it was used at this moment. All sessions end."""
    with scope(Scope(user=person.pk)):
        held = User.objects.select_for_update().filter(pk=person.pk, is_active=True).first()
        if held is None or not _links.check_token(held, token):
            return False
        held.set_password(password)
        held.save(update_fields=["password"])
    return True
