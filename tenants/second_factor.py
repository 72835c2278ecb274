"""The second factor of signing in: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost.

It is a person's, whatever tenants they belong to. The secret is sealed, of recovery codes a keyed hash is kept. A step
of the clock is used once, a recovery code as well: each by the update of the row, whoever tries at the same time.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pyotp
from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, Func, QuerySet, Value
from django.utils import timezone

from . import services
from .errors import NotAllowed, Taken, TooManyTries
from .isolation import Scope, current, scope
from .keys import ALPHABET
from .models import Membership, Passkey, SecondFactor, User
from .sealing import seal, unseal

PERIOD = 30  #: seconds of a step
#: Clocks may differ by a step to either side.
STEPS = (0, -1, 1)
#: Wrong codes of one person, from wherever, until they must wait: whoever tries knows the password already.
ATTEMPTS = 10
PAUSE = timedelta(minutes=15)
CODES = 10


@dataclass(frozen=True, slots=True)
class Fresh:
    """A secret that no authenticator is known to have yet: for people, for a camera, and sealed for the session."""

    secret: str
    address: str  #: `otpauth://…`
    sealed: str

    @property
    def typed(self) -> str:
        """The secret in groups of four, to be typed in."""
        return " ".join(self.secret[place : place + 4] for place in range(0, len(self.secret), 4))


def begin(person: User) -> Fresh:
    """A new secret, which counts for nothing until it is confirmed."""
    return _fresh(pyotp.random_base32(), person)


def confirm(person: User, sealed: str, code: str) -> list[str] | None:
    """Puts the secret that was begun in force, once a code shows that the authenticator has it; None when it does not.

    Returns the recovery codes, known only now. Raises Taken when there is a second factor already.
    """
    secret = begun(person, sealed).secret
    step = _step(secret, code)
    if step is None:
        return None
    codes, now = _new_codes(), timezone.now()
    made = {"sealed": _seal(secret, person.pk), "last_step": step, "recovery": [_digest(code) for code in codes]}
    try:
        with scope(own(person)):
            hold(person)
            SecondFactor.objects.create(user=person, **made)
            mark(person, now)
    except IntegrityError as error:
        raise Taken("You have an authenticator already. Remove it first.") from error
    return codes


def begun(person: User, sealed: str) -> Fresh:
    """What `begin` gave to this person."""
    return _fresh(_open(bytes.fromhex(sealed), person.pk), person)


def _fresh(secret: str, person: User) -> Fresh:
    address = pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name="Customhouse")
    return Fresh(secret, address, _seal(secret, person.pk).hex())


def check(person: User, code: str) -> str:
    """What a code is: `totp` or `recovery`, used up with this; '' when it is wrong. Raises TooManyTries."""
    with scope(own(person)):
        found = SecondFactor.objects.filter(user=person).first()
        if found is None or not _may_try(person):
            return ""
        kind = "totp" if _use_step(found, code) else "recovery" if _use_recovery(found, code) else ""
        if kind:
            SecondFactor.objects.filter(pk=found.pk).update(tries=0)
    return kind


def left(person: User) -> int:
    """How many recovery codes a person has."""
    with scope(own(person)):
        found = SecondFactor.objects.filter(user=person).first()
    return len(found.recovery) if found is not None else 0


def renew_codes(person: User) -> list[str]:
    """New recovery codes in the place of all before."""
    codes = _new_codes()
    with scope(own(person)):
        factors = SecondFactor.objects.filter(user=person)
        factors.update(recovery=[_digest(code) for code in codes])
    return codes


def has_authenticator(person: User) -> bool:
    """Whether the person has codes; otherwise their second factor, if they have one, is a passkey."""
    with scope(own(person)):
        return SecondFactor.objects.filter(user=person).exists()


def remove(person: User) -> None:
    """Codes are worth nothing any more: signing in needs the password alone again, or a passkey behind it."""
    with scope(own(person)):
        hold(person)
        SecondFactor.objects.filter(user=person).delete()
        settle(person)


def hold(person: User) -> bool:
    """One change of a person's factors after the other, until the transaction ends; whether they have any now."""
    kept = User.objects.select_for_update().only("second_factor_at").filter(pk=person.pk).first()
    return kept is not None and kept.second_factor_at is not None


def settle(person: User) -> None:
    """After one was removed: what is left is the second factor from now on, for all sessions; or there is none."""
    left = SecondFactor.objects.filter(user=person).exists() or Passkey.objects.filter(user=person).exists()
    mark(person, timezone.now() if left else None)


def reset(place: Membership) -> Membership:
    """Removes the factor of a member who lost it, codes and passkeys. Raises NotAllowed.

    A person's factor guards all of their tenants: only those help who made the account, and the platform's people.
    """
    services.check_giving(place.role, place.clearance)
    if place.user.home != place.tenant_id and not services.is_visiting():
        raise NotAllowed(
            "This account was not made in this tenant, and guards more than this tenant. Ask the platform's operator "
            "to reset its second factor."
        )
    with scope(own(place.user)):
        hold(place.user)
        Passkey.objects.filter(user=place.user).delete()
        remove(place.user)
    return place


# -- how it is kept ---------------------------------------------------------------------------------------------------


def own(person: User) -> Scope:
    """The person's own rows; what is changed in an open tenant is signed there as everything else is."""
    opened = current()
    return Scope(
        tenant=UUID(opened) if opened else None, user=person.pk, actor=services.actor(), reason=services.reason()
    )


def mark(person: User, since: object) -> None:
    """Since when signing in needs a second factor; sessions that have not seen this one are asked again."""
    User.objects.filter(pk=person.pk).update(second_factor_at=since)
    person.second_factor_at = since  # type: ignore[assignment]


def _may_try(person: User) -> bool:
    """Counts an attempt before it is made. Raises TooManyTries."""
    now = timezone.now()
    rows: QuerySet[SecondFactor] = SecondFactor.objects.filter(user=person)
    if rows.filter(tries_since__lte=now - PAUSE).update(tries=1, tries_since=now):
        return True
    if not rows.filter(tries__lt=ATTEMPTS).update(tries=F("tries") + 1):
        raise TooManyTries
    return True


def _use_step(factor: SecondFactor, code: str) -> bool:
    step = _step(_open(bytes(factor.sealed), factor.user_id), code)
    return step is not None and bool(
        SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step).update(last_step=step)
    )


def _step(secret: str, code: str) -> int | None:
    """The step of the clock that a code is of, None when it is of none that counts now."""
    totp, now = pyotp.TOTP(secret), int(time.time()) // PERIOD
    said = _plain(code).encode("utf-8", "replace")
    return next((now + way for way in STEPS if hmac.compare_digest(totp.generate_otp(now + way).encode(), said)), None)


def _use_recovery(factor: SecondFactor, code: str) -> bool:
    kept = Value(_digest(code))
    rows = SecondFactor.objects.filter(pk=factor.pk, recovery__contains=[_digest(code)])
    return bool(rows.update(recovery=Func(F("recovery"), kept, function="array_remove")))


def _new_codes() -> list[str]:
    """Codes of 59 random bits, as `abcd-efgh-ijkm`."""
    return ["-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(3)) for _ in range(CODES)]


def _plain(code: str) -> str:
    return "".join(code.lower().split()).replace("-", "")


def _digest(code: str) -> str:
    return hmac.digest(settings.RECOVERY_KEY, _plain(code).encode("utf-8", "replace"), sha256).hex()


def _seal(secret: str, person: UUID) -> bytes:
    return seal(settings.FACTOR_KEY, secret.encode(), person.bytes)


def _open(sealed: bytes, person: UUID) -> str:
    return unseal(settings.FACTOR_KEY, sealed, person.bytes).decode()
