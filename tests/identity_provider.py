"""An identity provider on loopback: it publishes keys, signs whatever it is asked to, and signs people in (OpenID
Connect's code flow with PKCE; it holds its clients to all that the flow asks of them)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://gateway.acme.example"


class IdentityProvider:
    """`publish` and `rotate` change its keys; `fetched` counts how often they were read; `away` makes it fail.

    `clients` are secrets by client id ('' for a public client), `person` the claims of whoever signs in next, `twist`
    what their token says instead; `refuses` is an error that it answers in the place of a code.
    """

    def __init__(self) -> None:
        self.realm = f"/realm-{secrets.token_hex(4)}"  # a port may have been another provider's before
        self.private: dict[str, tuple[str, Any]] = {}
        self.keys: list[dict[str, Any]] = []
        self.fetched, self.away = 0, False
        self.says_issuer = ""
        self.clients: dict[str, str] = {}
        self.person: dict[str, Any] = {}
        self.twist: dict[str, Any] = {}
        self.refuses = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.ways = ["client_secret_basic"]
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetched += self.path.endswith("/keys")
                parts = urlsplit(self.path)
                if parts.path == provider.realm + "/authorize" and not provider.away:
                    self.send_response(302)
                    self.send_header("location", provider.authorize(dict(parse_qsl(parts.query))))
                    self.end_headers()
                    return
                found = provider.documents().get(self.path)
                self.answer(503 if provider.away else 404 if found is None else 200, found)

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                status, found = provider.change(dict(parse_qsl(form)), self.headers.get("authorization", ""))
                self.answer(503 if provider.away else status, found)

            def answer(self, status: int, found: Any) -> None:
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Quietly."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}{self.realm}"
        self.publish("first")

    def documents(self) -> dict[str, Any]:
        discovery = {
            "issuer": self.says_issuer or self.issuer,
            "jwks_uri": self.issuer + "/keys",
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "token_endpoint_auth_methods_supported": self.ways,
        }
        return {self.realm + "/.well-known/openid-configuration": discovery, self.realm + "/keys": {"keys": self.keys}}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent: back, with a code for `person`."""
        assert asked["client_id"] in self.clients
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert "openid" in asked["scope"].split()
        answer = {"state": asked["state"], "iss": self.issuer}
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode({**answer, 'error': self.refuses})}"
        code = secrets.token_urlsafe(12)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({**answer, 'code': code})}"

    def change(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A code for a token, once, for the client that it was made for and that knows what was hashed."""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode() if authorization else ""
        basic = [unquote(part) for part in pair.split(":")] if pair else []
        client, secret = basic or [form.get("client_id", ""), form.get("client_secret", "")]
        asked = self.codes.pop(form.get("code", ""), None)
        if self.clients.get(client) != secret or (bool(basic) and "client_secret_basic" not in self.ways):
            return 401, {"error": "invalid_client"}
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        if asked is None or (asked["client_id"], asked["redirect_uri"]) != (client, form.get("redirect_uri")):
            return 400, {"error": "invalid_grant"}
        if asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        claims = {"aud": client, "nonce": asked["nonce"], **self.person, **self.twist}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(**claims)}

    def publish(self, key_id: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.private[key_id] = algorithm, (private := _private(algorithm, bits))
        self.keys.append(_public(algorithm, private) | {"kid": key_id, "use": "sig"})

    @staticmethod
    def made(algorithm: str) -> tuple[str, Any]:
        """A key that is not published."""
        return algorithm, _private(algorithm, 2048)

    def rotate(self, key_id: str) -> None:
        """A new key in the place of all before."""
        self.keys.clear()
        self.publish(key_id)

    def token(self, key_id: str = "first", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of Alice's, good for five minutes; a claim of None is left out."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": AUDIENCE, "sub": "alice-7", "iat": now, "exp": now + 300, **claims}
        algorithm, private = self.private[key_id]
        said = {name: value for name, value in said.items() if value is not None}
        named = {name: value for name, value in {"kid": key_id, **(headers or {})}.items() if value is not None}
        return jwt.encode(said, private, algorithm, named)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _private(algorithm: str, bits: int) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, bits)


def _public(algorithm: str, private: Any) -> dict[str, Any]:
    kind = {"EdDSA": OKPAlgorithm, "ES256": ECAlgorithm}.get(algorithm, RSAAlgorithm)
    found: dict[str, Any] = kind.to_jwk(private.public_key(), as_dict=True)
    return found
