"""A SAML identity provider: pysaml2's server, which reads our metadata and requests and writes its own responses.

It signs with signxml in the place of the program xmlsec1, so that the tests need none.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from saml2 import BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.sigver import CryptoBackend
from signxml import SignatureMethod, XMLSigner
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm

SIGNATURES = "http://www.w3.org/2000/09/xmldsig#"
PASSWORD_CLASS = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"


def make_certificate(days: int = 30) -> tuple[str, str]:
    """A private key and the certificate of its public half, both PEM; of a past day when `days` is negative."""
    key = rsa.generate_private_key(65537, 2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), made.public_bytes(Encoding.PEM).decode().strip()


class Signxml(CryptoBackend):
    """What pysaml2 signs with, by `method`, `digest` and canonical `form`; `before` may change what is signed."""

    def __init__(self, key: str, certificate: str) -> None:
        super().__init__()
        self.key, self.certificate = key, certificate
        self.method, self.digest = SignatureMethod.RSA_SHA256, DigestAlgorithm.SHA256
        self.signer, self.form = XMLSigner, CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
        self.before: Callable[[Any], None] = lambda element: None

    def version(self) -> str:
        return "1.2.0"

    def sign_statement(self, statement: Any, node_name: str, key_file: str, node_id: str) -> str:
        document = etree.fromstring(statement.encode() if isinstance(statement, str) else statement)
        element = next(one for one in document.iter() if one.get("ID") == node_id)
        self.before(element)
        placeholder = element.find("{*}Signature")
        # By the prefix that it will have in the document: the signature's own bytes are signed with it.
        prefix = next(name for name, uri in document.nsmap.items() if uri == SIGNATURES)
        element.replace(placeholder, etree.Element(f"{{{SIGNATURES}}}Signature", Id="placeholder"))
        signer = self.signer(
            signature_algorithm=self.method,
            digest_algorithm=self.digest,
            c14n_algorithm=self.form,
        )
        signer.namespaces = {prefix: SIGNATURES}
        signed = signer.sign(
            element, key=self.key, cert=self.certificate, reference_uri=f"#{node_id}", id_attribute="ID"
        )
        if element.getparent() is None:
            document = signed
        else:
            element.getparent().replace(element, signed)
        return etree.tostring(document).decode()


class SamlProvider:
    """`told` is our metadata, which makes it know us; `twist` changes a response's bytes before it is brought back."""

    def __init__(self, place: Path, sso_url: str = "https://idp.example/sso") -> None:
        self.entity_id = f"https://idp.example/{secrets.token_hex(4)}"
        self.key, self.certificate = make_certificate()
        self.sso_url, self._place = sso_url, place
        place.mkdir(exist_ok=True)
        (place / "key.pem").write_text(self.key)
        (place / "cert.pem").write_text(self.certificate)
        self.signs: dict[str, Any] = {"sign_assertion": True, "sign_response": False}
        self.twist: Callable[[bytes], bytes] = bytes
        self.crypto = Signxml(self.key, self.certificate)

    def _config(self, *told: str) -> IdPConfig:
        idp = {
            "endpoints": {"single_sign_on_service": [(self.sso_url, BINDING_HTTP_REDIRECT)]},
            "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
            "name_id_format": [NAMEID_FORMAT_PERSISTENT],
        }
        return IdPConfig().load(
            {
                "entityid": self.entity_id,
                "service": {"idp": idp},
                "key_file": str(self._place / "key.pem"),
                "cert_file": str(self._place / "cert.pem"),
                "xmlsec_binary": "/bin/true",  # it must be named, and is not run
                "metadata": {"inline": list(told)},
                "validate_certificate": False,
            }
        )

    @property
    def metadata(self) -> str:
        """What it says of itself."""
        config = self._config()
        config.xmlsec_binary = None  # else it is asked what it can do
        return str(entity_descriptor(config))

    def respond(self, told: str, address: str, person: str, attributes: dict[str, Any], **more: Any) -> tuple[str, str]:
        """Signs a person in who comes with our request: the address that it sends them back to, and the response."""
        server = Server(config=self._config(told))
        server.sec.crypto = self.crypto
        asked = server.parse_authn_request(parse_qs(urlsplit(address).query)["SAMLRequest"][0], BINDING_HTTP_REDIRECT)
        details = server.response_args(asked.message)
        options = {
            "name_id": NameID(format=NAMEID_FORMAT_PERSISTENT, text=person),
            "authn": {"class_ref": PASSWORD_CLASS, "authn_auth": self.entity_id},
            **self.signs,
        }
        response = server.create_authn_response(
            attributes,
            in_response_to=details["in_response_to"],
            destination=details["destination"],
            sp_entity_id=details["sp_entity_id"],
            **options | more,
        )
        return details["destination"], base64.b64encode(self.twist(str(response).encode())).decode()
