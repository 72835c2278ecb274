"""Tokens (JWT, RFC 7519) of a tenant's own identity provider: who they name, and what their claims mean here.

Nothing of a token is believed before its signature is: what is read of it until then only says whom to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import jwt

from .bounds import grants_of, person, within
from .data import Caller, GrantRows
from .errors import UnknownCredential
from .roles import CALLS, RANK, Role

#: What signs, by the kind of key that it needs. Shared secrets (HS…) and `none` are not among them: whoever can read a
#: published key could sign with it.
ALGORITHMS = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
#: What a token may say that it is (RFC 8725, 3.11): a logout token, for one, lets nobody in.
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
MOST_CHARACTERS = 16_384
MOST_SKEW = 300  #: seconds
#: An actor's id in the trail has so many characters; a longer subject is known by its hash.
_SUBJECT = 80


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the tenant, by whom a token's owner is known."""

    id: UUID
    name: str
    active: bool
    role: str
    clearance: int
    departments: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Issuer:
    """An identity provider as the hot path needs it; departments by id are resolved to (id, slug)."""

    id: UUID
    tenant: UUID
    tenant_slug: str
    name: str
    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...]
    user_claim: str = "sub"
    email_trusted: bool = False
    members_only: bool = False
    department: tuple[UUID, str] | None = None
    department_claim: str = ""
    departments: Mapping[str, tuple[UUID, str]] = field(default_factory=dict)
    role: str = ""
    role_claim: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    clearance: int = 0
    clearance_claim: str = ""
    clearances: Mapping[str, int] = field(default_factory=dict)
    rpm: int | None = None
    tpm: int | None = None
    tenant_rpm: int | None = None
    tenant_tpm: int | None = None
    clock_skew: int = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """What somebody's rights came from, who has no key: while both are as they were, so are the rights.

    Whoever is signed in to the console has no issuer; a token's owner need be no member.
    """

    issuer: Issuer | None
    email: str = ""
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Unproven:
    """What a token says of itself, which is nobody's word yet."""

    issuer: str
    audiences: tuple[str, ...]
    algorithm: str
    key_id: str | None


def looks_like_one(credential: str) -> bool:
    """Whether a credential has the shape of a signed token."""
    return credential.startswith("eyJ") and credential.count(".") == 2


def read(token: str) -> Unproven:
    """What a token says of itself. Raises UnknownCredential for what is no token."""
    if len(token) > MOST_CHARACTERS:
        raise UnknownCredential(
            f"This token is longer than {MOST_CHARACTERS} characters: have fewer claims put into it."
        )
    try:
        said = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise UnknownCredential("This is not a signed token (JWT). Send the access token as it was issued.") from None
    header, claims = said["header"], said["payload"]
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise UnknownCredential("This token is not for signing in (its `typ`). Send an access token.")
    if "crit" in header:
        raise UnknownCredential("This token demands an extension (`crit`) that is not known here.")
    audience = claims.get("aud")
    audiences = tuple(one for one in ([audience] if isinstance(audience, str) else audience or ()) if _is_text(one))
    issuer, algorithm, key_id = claims.get("iss"), header.get("alg"), header.get("kid")
    if not _is_text(issuer) or not audiences:
        raise UnknownCredential("This token names no issuer (`iss`) or no audience (`aud`): both are needed.")
    return Unproven(issuer, audiences[:20], str(algorithm), key_id if isinstance(key_id, str) else None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 500


def chosen(said: Unproven, issuers: tuple[Issuer, ...]) -> Issuer | None:
    """The one of a tenant's providers that a token is of."""
    return next((one for one in issuers if one.issuer == said.issuer and one.audience in said.audiences), None)


def check_algorithm(said: Unproven, issuer: Issuer) -> None:
    """Raises UnknownCredential unless the token is signed in a way that the provider was registered with."""
    if said.algorithm not in issuer.algorithms or said.algorithm not in ALGORITHMS:
        allowed = ", ".join(issuer.algorithms)
        raise UnknownCredential(f"Tokens of this issuer must be signed with {allowed}. Ask your tenant's owner.")


def verified(token: str, issuer: Issuer, algorithm: str, key: jwt.PyJWK) -> dict[str, Any]:
    """A token's claims, proven. Raises UnknownCredential with what to do."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=min(issuer.clock_skew, MOST_SKEW),
            options={"require": ["exp", "iss", "aud"], "verify_sub": False},
        )
    except jwt.ExpiredSignatureError:
        raise UnknownCredential("This token has expired. Get a new one from your identity provider.") from None
    except (jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError):
        raise UnknownCredential("This token is not valid yet. Check your identity provider's clock.") from None
    except jwt.MissingRequiredClaimError as error:
        raise UnknownCredential(f"This token lacks the claim `{error.claim}`: have it put into tokens.") from None
    except jwt.InvalidSignatureError:
        raise UnknownCredential(
            "This token's signature is wrong. Send the token unchanged, as it was issued."
        ) from None
    except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
        raise UnknownCredential("This token is not valid. Get a new one from your identity provider.") from None
    return claims


def caller_of(
    issuer: Issuer, claims: Mapping[str, Any], people: Mapping[str, Person], granted: GrantRows | None = None
) -> Caller:
    """The caller that proven claims describe: for calls alone, and never more than the member with their address may.

    Raises UnknownCredential when the claims give no department, no role, or nobody.
    """
    subject = _word(claim(claims, issuer.user_claim))
    if not subject:
        raise UnknownCredential(f"This token says nobody: it lacks the claim `{issuer.user_claim}`.")
    email = address_of(issuer, claims)
    known = people.get(email) if email else None
    if known is None and issuer.members_only:
        raise UnknownCredential(
            "Only members of the tenant may call with this issuer's tokens, and no member has the token's verified "
            "e-mail address. Ask an administrator of your tenant to add you."
        )
    if known is not None and not known.active:
        raise UnknownCredential("This person may not sign in any more. Ask an administrator of your tenant.")
    places = _departments(issuer, claims)
    role = _role(issuer, claims)
    steps = [
        issuer.clearances[value] for value in _values(claims, issuer.clearance_claim) if value in issuer.clearances
    ]
    caller = Caller(
        tenant=issuer.tenant,
        tenant_slug=issuer.tenant_slug,
        key=None,
        user=known.id if known is not None else uuid5(issuer.id, subject),
        name=_name(claims, known, subject),
        role=role,
        clearance=max(steps, default=issuer.clearance),
        department=places[0][0],
        department_slug=places[0][1],
        departments=tuple(place for place, _ in places),
        scopes=CALLS,
        rpm=issuer.rpm,
        tpm=issuer.tpm,
        tenant_rpm=issuer.tenant_rpm,
        tenant_tpm=issuer.tenant_tpm,
        expires_at=float(claims["exp"]) + min(issuer.clock_skew, MOST_SKEW),
        subject=subject if len(subject) <= _SUBJECT else "sha256:" + sha256(subject.encode()).hexdigest(),
        origin=Origin(issuer, email, known),
        claims=claims,
    )
    if known is not None:
        bounded = within(caller, person(known.role, known.clearance, known.departments, known.id))
        assert bounded is not None  # neither names networks
        caller = bounded
    return replace(caller, grants=grants_of(caller, granted or {}))


def still(origin: Origin, issuers: tuple[Issuer, ...], people: Mapping[str, Person]) -> bool:
    """Whether the rights of somebody who was let in are what they were."""
    vouched = origin.issuer is None or origin.issuer in issuers
    return vouched and (people.get(origin.email) if origin.email else None) == origin.person


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by its path (`realm_access.roles`) where no claim has the whole as its name."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _word(value: Any) -> str:
    """A claim that is one word or number."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else ""


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """A claim's values: of a list, each; else the one."""
    value = claim(claims, name) if name else None
    return [word for one in (value if isinstance(value, list) else [value]) if (word := _word(one))]


def address_of(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The address that the provider answers for, '' when it does not."""
    email = claims.get("email")
    sure = issuer.email_trusted or claims.get("email_verified") is True
    return email.strip().lower() if sure and isinstance(email, str) else ""


def _departments(issuer: Issuer, claims: Mapping[str, Any]) -> list[tuple[UUID, str]]:
    """The departments that the claims stand for, in the order of the provider's table: the first one pays."""
    said = set(_values(claims, issuer.department_claim))
    found = [place for value, place in issuer.departments.items() if value in said]
    found = list(dict.fromkeys(found)) or ([issuer.department] if issuer.department is not None else [])
    if not found:
        raise UnknownCredential(
            f"None of this token's values of `{issuer.department_claim or 'department'}` stands for a department. "
            "Ask your tenant's owner to add yours to the identity provider, or to name a department for all others."
        )
    return found


def _role(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The most that the claims stand for."""
    said = [issuer.roles[value] for value in _values(claims, issuer.role_claim) if value in issuer.roles]
    role = max(said, key=lambda name: RANK[Role(name)], default=issuer.role)
    if not role:
        raise UnknownCredential(
            f"None of this token's values of `{issuer.role_claim}` stands for a role. Ask your tenant's owner."
        )
    return role


def _name(claims: Mapping[str, Any], known: Person | None, subject: str) -> str:
    said = (claims.get(name) for name in ("name", "preferred_username", "email"))
    named = next((value for value in said if isinstance(value, str) and value), subject)
    return ((known.name if known is not None else "") or named)[:200]
