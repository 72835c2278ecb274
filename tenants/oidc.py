"""Signing in with an identity provider: OpenID Connect's authorisation code flow, with PKCE, state and nonce.

What comes back through the browser is believed for nothing but the code; what the code is changed for, the provider
answers itself, and its token is proven as tokens on `/v1` are (`tokens`, `key_sets`).
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from . import addresses, key_sets, tokens
from .errors import ProviderRefused, ProviderUnavailable, UnknownCredential
from .tokens import Issuer

TIMEOUT = 10.0
MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Client:
    """Us, as the provider knows us; without a secret we are a public client, which PKCE is enough for."""

    issuer: Issuer
    id: str
    secret: str
    scopes: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Started:
    """What the browser's session keeps while its person is at the provider."""

    state: str
    nonce: str
    verifier: str

    def kept(self) -> dict[str, str]:
        return asdict(self)


def start(client: Client) -> tuple[str, Started]:
    """Where to send the browser, and what to keep meanwhile. Raises ProviderUnavailable."""
    started = Started(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
    challenge = base64.urlsafe_b64encode(sha256(started.verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": client.redirect_uri,
        "scope": client.scopes,
        "state": started.state,
        "nonce": started.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    address = _endpoint(_metadata(client), "authorization_endpoint")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", started


def finish(client: Client, started: Started, answered: Mapping[str, str]) -> dict[str, Any]:
    """The proven claims of whoever comes back. `answered` are the parameters of the address that they come back to.

    Raises ProviderRefused with what to do, ProviderUnavailable.
    """
    if not hmac.compare_digest(answered.get("state", "").encode(), started.state.encode()):
        raise ProviderRefused("This answer is none to a question of this browser. Start again.")
    if answered.get("iss", client.issuer.issuer) != client.issuer.issuer:
        raise ProviderRefused("Another provider answered than the one that was asked. Start again.")
    if "error" in answered:
        word = "".join(letter for letter in answered["error"] if letter.isalnum() or letter in "_-.")[:60]
        raise ProviderRefused(f"The provider did not sign you in ({word}).")
    if not answered.get("code"):
        raise ProviderRefused("The provider's answer holds no code. Start again.")
    token = _token(client, started, answered["code"])
    claims = _proven(client, token)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), started.nonce.encode()):
        raise ProviderRefused("The provider's token was made for another sign-in. Start again.")
    return claims


def _metadata(client: Client) -> dict[str, Any]:
    try:
        return key_sets.discovered(client.issuer.issuer)
    except (OSError, HTTPException, ValueError) as error:
        raise ProviderUnavailable from error


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    found = metadata.get(name)
    if not isinstance(found, str) or addresses.insecure(found):
        raise ProviderUnavailable(f"The provider's discovery document holds no https address as {name}.")
    return found


def _token(client: Client, started: Started, code: str) -> str:
    """The id token that a code is changed for."""
    metadata = _metadata(client)
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": started.verifier,
    }
    headers: dict[str, str] = {}
    ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if client.secret and "client_secret_basic" in ways:
        pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"  # RFC 6749, 2.3.1
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        fields |= {"client_id": client.id} | ({"client_secret": client.secret} if client.secret else {})
    try:
        status, body = addresses.post_form(_endpoint(metadata, "token_endpoint"), fields, headers, TIMEOUT, MOST_BYTES)
        answer = json.loads(body) if status == 200 else {}
    except (OSError, HTTPException) as error:
        raise ProviderUnavailable from error
    except (ValueError, RecursionError) as error:
        raise ProviderRefused("The provider answered something that is no token. Ask your tenant's owner.") from error
    if status >= 500:
        raise ProviderUnavailable
    token = answer.get("id_token") if isinstance(answer, dict) else None
    if not isinstance(token, str):
        raise ProviderRefused(
            "The provider did not accept the code. Start again; if that does not help, ask your owner."
        )
    return token


def _proven(client: Client, token: str) -> dict[str, Any]:
    """The claims of an id token for us: signed by the provider, current, and for nobody else's client."""
    issuer = replace(client.issuer, audience=client.id)
    try:
        said = tokens.read(token)
        if tokens.chosen(said, (issuer,)) is None:
            raise ProviderRefused("The provider's token is for another client. Ask your tenant's owner.")
        tokens.check_algorithm(said, issuer)
        key = key_sets.KeySet(_published(issuer)).find(said.key_id, said.algorithm)
        if key is None:
            raise ProviderRefused("The provider's token is signed with a key that it does not publish.")
        claims = tokens.verified(token, issuer, said.algorithm, key)
    except UnknownCredential as error:
        raise ProviderRefused(str(error)) from error
    if claims.get("azp", client.id) != client.id or (len(said.audiences) > 1 and "azp" not in claims):
        raise ProviderRefused("The provider's token is for another client. Ask your tenant's owner.")
    return claims


def _published(issuer: Issuer) -> list[dict[str, Any]]:
    try:
        return key_sets.published(issuer.issuer, issuer.jwks_url)
    except (OSError, HTTPException, ValueError) as error:
        raise ProviderUnavailable from error
