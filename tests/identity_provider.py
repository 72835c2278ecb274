"""An identity provider on loopback: it publishes keys, and signs whatever it is asked to."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://gateway.acme.example"


class IdentityProvider:
    """`publish` and `rotate` change its keys; `fetched` counts how often they were read; `away` makes it fail."""

    def __init__(self) -> None:
        self.private: dict[str, tuple[str, Any]] = {}
        self.keys: list[dict[str, Any]] = []
        self.fetched, self.away = 0, False
        self.says_issuer = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetched += self.path.endswith("/keys")
                found = provider.documents().get(self.path)
                body = json.dumps(found).encode()
                self.send_response(503 if provider.away else 404 if found is None else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Quietly."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"
        self.publish("first")

    def documents(self) -> dict[str, Any]:
        discovery = {"issuer": self.says_issuer or self.issuer, "jwks_uri": self.issuer + "/keys"}
        return {"/realm/.well-known/openid-configuration": discovery, "/realm/keys": {"keys": self.keys}}

    def publish(self, key_id: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.private[key_id] = algorithm, (private := _private(algorithm, bits))
        self.keys.append(_public(algorithm, private) | {"kid": key_id, "use": "sig"})

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
