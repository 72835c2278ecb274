"""Passkeys (WebAuthn): a key in a person's device signs a challenge, behind the password or in its place.

It is a person's, as the authenticator is (second_factor): only their own scope sees it. Behind the password whoever
holds the device is enough; in its place the device must have verified them as well (a finger, a face, a PIN).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from .errors import PasskeyRefused, Taken
from .isolation import Scope, scope
from .models import Passkey, User
from .second_factor import hold, mark, own, settle

#: How many a person may have.
MOST = 20
NAME_LENGTH = 100
#: What comes from a browser is at most this long.
ANSWER_LENGTH = 20_000
#: What fido2 raises at an answer that is none.
UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    struct.error,
)

Said = TypeVar("Said")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the browser is: passkeys are of a host, and count at the address of that host only."""

    host: str  #: without the port
    origin: str  #: as `https://console.example`

    def server(self) -> Fido2Server:
        """Knows this site, and takes answers that were given to it alone."""
        site = PublicKeyCredentialRpEntity(name="Customhouse", id=self.host)
        return Fido2Server(site, verify_origin=lambda origin: origin == self.origin)


# -- adding and removing ----------------------------------------------------------------------------------------------


def begin_adding(site: Site, person: User) -> tuple[dict[str, Any], str]:
    """What the browser makes a passkey of, and the challenge in it. Raises Taken when there are too many."""
    known = listed(person)
    if len(known) >= MOST:
        raise Taken(f"You have {MOST} passkeys. Remove one that you no longer use first.")
    whose = PublicKeyCredentialUserEntity(name=person.email, id=person.pk.bytes, display_name=str(person))
    options, state = site.server().register_begin(
        whose,
        [_descriptor(one) for one in known],
        resident_key_requirement=ResidentKeyRequirement.PREFERRED,
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return _plain(options), state["challenge"]


def add(site: Site, person: User, challenge: str, answer: str, name: str) -> Passkey:
    """Keeps what the browser made. Raises PasskeyRefused, and Taken when it is somebody's already."""
    said = _read(answer, RegistrationResponse.from_dict)
    _check_frame(said.response.client_data)
    made = _verified(lambda: site.server().register_complete(_state(challenge), said))
    credential = made.credential_data
    if credential is None:
        raise PasskeyRefused("no credential")
    if credential.public_key.get(3) not in CoseKey.supported_algorithms():
        raise PasskeyRefused("unknown algorithm")
    kept = {"credential": credential.credential_id, "public": bytes(credential), "counter": made.counter}
    name = name.strip()[:NAME_LENGTH] or "Passkey"
    try:
        with scope(own(person)):
            has_one = hold(person)
            passkey = Passkey.objects.create(user=person, name=name, last_challenge=_digest(challenge), **kept)
            if not has_one:
                mark(person, timezone.now())
    except IntegrityError as error:
        raise Taken("This passkey is in use already. Choose another device or key.") from error
    return passkey


def listed(person: User) -> list[Passkey]:
    """A person's passkeys, the oldest first."""
    with scope(own(person)):
        return list(Passkey.objects.filter(user=person))


def remove(person: User, passkey: UUID) -> bool:
    """Removes one of a person's passkeys; False when it is none of theirs. Other sessions are asked again."""
    with scope(own(person)):
        hold(person)
        gone, _ = Passkey.objects.filter(user=person, pk=passkey).delete()
        if gone:
            settle(person)
    return bool(gone)


# -- signing in -------------------------------------------------------------------------------------------------------


def begin(site: Site, person: User | None) -> tuple[dict[str, Any], str]:
    """What the browser asks a passkey for, and the challenge in it: one of this person, or without one, anybody's."""
    if person is None:
        known, wanted = None, UserVerificationRequirement.REQUIRED
    else:
        known = [_descriptor(one) for one in listed(person)]
        wanted = UserVerificationRequirement.PREFERRED
    options, state = site.server().authenticate_begin(known, user_verification=wanted)
    return _plain(options), state["challenge"]


def owner(answer: str) -> User | None:
    """Whose passkey it says it is, which is believed once it has been checked. Raises PasskeyRefused.

    None for nobody, somebody who was disabled, and an account without a password: there a provider vouches, and its
    word is what lets people in.
    """
    handle = _read(answer, AuthenticationResponse.from_dict).response.user_handle
    if handle is None or len(handle) != 16:
        raise PasskeyRefused("no person")
    person = UUID(bytes=bytes(handle))
    with scope(Scope(user=person)):
        found = User.objects.filter(pk=person, is_active=True).first()
    return found if found is not None and found.has_usable_password() else None


def check(site: Site, person: User, challenge: str, answer: str, *, alone: bool) -> Passkey:
    """Which of the person's passkeys has answered the challenge, used up with this. Raises PasskeyRefused.

    `alone`: there was no password before, so that the device must have verified whoever holds it.
    """
    said = _read(answer, AuthenticationResponse.from_dict)
    _check_frame(said.response.client_data)
    handle, shown = said.response.user_handle, said.response.authenticator_data
    if handle is not None and bytes(handle) != person.pk.bytes:
        raise PasskeyRefused("another person")
    with scope(own(person)):
        found = Passkey.objects.filter(user=person, credential=bytes(said.raw_id)).first()
        if found is None:
            raise PasskeyRefused("unknown passkey")
        known = [AttestedCredentialData(bytes(found.public))]
        _verified(lambda: site.server().authenticate_complete(_state(challenge, alone), known, said))
        if alone and not shown.is_user_verified():
            raise PasskeyRefused("user not verified")
        _use(found, shown, challenge)
    return found


def _use(passkey: Passkey, shown: AuthenticatorData, challenge: str) -> None:
    """Once for each challenge, and with a counter that rises: one that does not is a copy of the key, or its echo.

    Devices that do not count say 0, always. It is the update that decides, whoever tries at the same time.
    """
    rises = Q(counter__lt=shown.counter) if shown.counter else Q(counter=0)
    once = ~Q(last_challenge=_digest(challenge))
    used = {"counter": shown.counter, "last_challenge": _digest(challenge), "used_at": timezone.now()}
    rows = Passkey.objects.filter(pk=passkey.pk)
    if rows.filter(rises & once).update(**used):
        return
    raise PasskeyRefused("challenge used" if not rows.filter(once).exists() else "counter went back")


# -- what the browser says --------------------------------------------------------------------------------------------


def _read(answer: str, parse: Callable[[Mapping[str, Any]], Said]) -> Said:
    if len(answer) > ANSWER_LENGTH:
        raise PasskeyRefused("unreadable")
    try:
        said = json.loads(answer)
        if not isinstance(said, dict):
            raise PasskeyRefused("unreadable")
        return parse(said)
    except (*UNREADABLE, RecursionError) as error:
        raise PasskeyRefused("unreadable") from error


def _verified(check: Callable[[], Found]) -> Found:
    """What fido2 has checked; its sentences are reasons for the trail."""
    try:
        return check()
    except UNREADABLE as error:
        raise PasskeyRefused(str(error)[:200] or "unreadable") from error


def _check_frame(said: CollectedClientData) -> None:
    if said.cross_origin:
        raise PasskeyRefused("inside another site's page")


def _state(challenge: str, alone: bool = False) -> dict[str, Any]:
    wanted = UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED
    return {"challenge": challenge, "user_verification": wanted}


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=bytes(passkey.credential))


def _plain(options: Any) -> dict[str, Any]:
    return dict(dict(options)["publicKey"])


def _digest(challenge: str) -> bytes:
    return sha256(websafe_decode(challenge)).digest()
