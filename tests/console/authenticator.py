"""An authenticator in software: makes passkeys and answers challenges, as well or as badly as a test wants."""

from __future__ import annotations

import json
from hashlib import sha256
from secrets import token_bytes

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """A device that holds one passkey. `counter` None: it does not count."""

    def __init__(self, origin="http://localhost", host="localhost", counter=1):
        self.origin, self.host, self.counter = origin, host, counter
        self.key, self.id, self.user = ec.generate_private_key(ec.SECP256R1()), token_bytes(32), b""

    def create(self, options, verified=True, **said):
        """Makes the passkey that these options ask for."""
        self.user = websafe_decode(options["user"]["id"])
        public = cbor.encode(dict(ES256.from_cryptography_key(self.key.public_key())))
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        shown = self._shown(verified, ATTESTED) + credential
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": shown})
        client = self._client("webauthn.create", options["challenge"], **said)
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def get(self, options, verified=True, handle=None, key=None, counter=None, **said):
        """Signs the challenge of these options."""
        if self.counter is not None:
            self.counter = self.counter + 1 if counter is None else counter
        shown = self._shown(verified)
        client = self._client("webauthn.get", options["challenge"], **said)
        signed = (key or self.key).sign(shown + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        whose = self.user if handle is None else handle
        return self._answer(clientDataJSON=client, authenticatorData=shown, signature=signed, userHandle=whose)

    def _shown(self, verified, more=0):
        flags = PRESENT | (VERIFIED if verified else 0) | more
        return sha256(self.host.encode()).digest() + bytes([flags]) + (self.counter or 0).to_bytes(4, "big")

    def _client(self, kind, given, **said):
        said = {"type": kind, "challenge": given, "origin": self.origin, "crossOrigin": False} | said
        return json.dumps(said).encode()

    def _answer(self, **response):
        said = {name: websafe_encode(value) for name, value in response.items() if value}
        name = websafe_encode(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": said})
