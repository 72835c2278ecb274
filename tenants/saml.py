"""Signing in with an identity provider that speaks SAML 2.0: the web browser SSO profile (saml-profiles-2.0-os, 4.1).

We send the browser there with a request (HTTP-Redirect binding) and it brings a response back (HTTP-POST binding).
Of the response nothing is read but what a certificate registered here has signed, as the signature's verifier hands it
out, so that nothing can be wrapped around it or put beside it. It must answer the one request that this browser was
sent away with, and be made for us, for this address and for now. Responses that nobody asked for are refused.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from lxml.builder import ElementMaker
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from .errors import MetadataUnreadable, ProviderRefused
from .tokens import Issuer

MOST_BYTES = 256 * 1024
MOST_CERTIFICATES = 10

_A = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_P = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_M = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_NAME_IS_ADDRESS = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

#: Names of the attributes that hold an address and a person's name, as Entra ID, Okta, ADFS, Keycloak and directories
#: (RFC 4524 by its object identifier) write them.
ADDRESSES = (
    *("email", "mail", "emailaddress", "urn:oid:0.9.2342.19200300.100.1.3"),
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
)
NAMES = (
    *("name", "displayName", "cn", "urn:oid:2.16.840.1.113730.3.1.241", "urn:oid:2.5.4.3"),
    "http://schemas.microsoft.com/identity/claims/displayname",
)

_STALE = "This answer is none to a question of this browser. Start again."


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """Us, as the provider knows us: `issuer.issuer` is the provider's entity id, `issuer.audience` ours.

    `certificates` are PEM, one after another; `answer_url` is where the provider has its response brought to.
    """

    issuer: Issuer
    sso_url: str
    certificates: str
    answer_url: str


def start(us: ServiceProvider) -> tuple[str, str]:
    """Where to send the browser, and the request's id, which its session keeps meanwhile."""
    request_id = "_" + secrets.token_hex(20)  # an xs:ID begins with no digit
    protocol = ElementMaker(namespace=_P[1:-1], nsmap={"samlp": _P[1:-1], "saml": _A[1:-1]})
    request = protocol.AuthnRequest(
        ElementMaker(namespace=_A[1:-1]).Issuer(us.issuer.audience),
        protocol.NameIDPolicy(AllowCreate="true"),
        ID=request_id,
        Version="2.0",
        IssueInstant=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        Destination=us.sso_url,
        AssertionConsumerServiceURL=us.answer_url,
        ProtocolBinding=_POST,
    )
    packed = zlib.compress(etree.tostring(request))[2:-4]  # DEFLATE alone, without zlib's head and checksum
    asked = urlencode({"SAMLRequest": base64.b64encode(packed).decode()})
    return f"{us.sso_url}{'&' if '?' in us.sso_url else '?'}{asked}", request_id


def finish(us: ServiceProvider, request_id: str, response: str) -> dict[str, Any]:
    """What the provider says of whoever comes back, as claims: its attributes, `sub`, `email`, `name` and `exp`.

    `response` is the form's field SAMLResponse. Raises ProviderRefused with what to do.
    """
    document = _parsed(response)
    _check_status(document)
    assertion = _signed(us, document)
    ends = _check_subject(us, assertion, request_id)
    _check_conditions(us, assertion)
    return _claims(us, assertion) | {"exp": ends.timestamp()}


def metadata(entity_id: str, answer_url: str) -> bytes:
    """What a provider wants to know of us (saml-metadata-2.0-os)."""
    make = ElementMaker(namespace=_M[1:-1], nsmap={"md": _M[1:-1]})
    service = make.AssertionConsumerService(Binding=_POST, Location=answer_url, index="0", isDefault="true")
    us = make.SPSSODescriptor(
        service, protocolSupportEnumeration=_P[1:-1], AuthnRequestsSigned="false", WantAssertionsSigned="true"
    )
    found: bytes = etree.tostring(
        make.EntityDescriptor(us, entityID=entity_id), xml_declaration=True, encoding="UTF-8", pretty_print=True
    )
    return found


def described(xml: str) -> dict[str, str]:
    """Of a provider's metadata its `issuer`, `sso_url` and `certificates`. Raises MetadataUnreadable."""
    try:
        root = _tree(xml.strip().encode())
    except ValueError as error:
        raise MetadataUnreadable(f"This is no metadata of a provider: {error}.") from error
    if root.tag != f"{_M}EntityDescriptor" or not root.get("entityID"):
        raise MetadataUnreadable("This is no metadata of one provider: its first element must be EntityDescriptor.")
    services = root.findall(f"{_M}IDPSSODescriptor/{_M}SingleSignOnService")
    where = next((one.get("Location") for one in services if one.get("Binding") == _REDIRECT), None)
    if not where:
        raise MetadataUnreadable("The metadata has no SingleSignOnService for the binding HTTP-Redirect.")
    keys = root.findall(f"{_M}IDPSSODescriptor/{_M}KeyDescriptor")
    signing = [key for key in keys if key.get("use") != "encryption"]
    told = ["".join(_text(held).split()) for key in signing for held in key.iter(f"{_DS}X509Certificate")]
    return {"issuer": root.get("entityID", ""), "sso_url": where, "certificates": certificates("\n\n".join(told))}


def certificates(text: str) -> str:
    """Certificates as PEM, one after another, of PEM or of bare base64 with a line between them.

    Raises MetadataUnreadable.
    """
    blocks = [block for block in _blocks(text) if block]
    if not 0 < len(blocks) <= MOST_CERTIFICATES:
        raise MetadataUnreadable(f"One certificate is needed, and at most {MOST_CERTIFICATES} are kept.")
    try:
        held = [x509.load_der_x509_certificate(base64.b64decode(block, validate=True)) for block in blocks]
    except ValueError as error:
        raise MetadataUnreadable("A certificate cannot be read: it must be PEM, or its base64 alone.") from error
    for key in (one.public_key() for one in held):
        if not (
            isinstance(key, ec.EllipticCurvePublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
        ):
            raise MetadataUnreadable("A certificate's key must be RSA of 2,048 bits or more, or an elliptic curve's.")
    return "".join(dict.fromkeys(one.public_bytes(Encoding.PEM).decode() for one in held)).strip()


def held_certificates(text: str) -> list[x509.Certificate]:
    """Certificates as they are kept."""
    return x509.load_pem_x509_certificates(text.encode()) if text else []


def _blocks(text: str) -> Iterator[str]:
    """The base64 of each certificate: a blank line, or PEM's own lines, lie between two."""
    block = ""
    for line in [*map(str.strip, text.splitlines()), ""]:
        if line and not line.startswith("-----"):
            block += line
        elif block:
            yield block
            block = ""


def _tree(document: bytes) -> etree._Element:
    """A document without a type of its own: no entity is resolved and nothing fetched. Raises ValueError."""
    if len(document) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES // 1024} KiB")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"it is no XML ({error.msg})") from error
    if root.getroottree().docinfo.doctype:
        raise ValueError("it declares a document type")
    return root


def _parsed(response: str) -> etree._Element:
    try:
        if len(response) > 2 * MOST_BYTES:
            raise ValueError("it is too long")
        root = _tree(base64.b64decode(response))
    except (ValueError, binascii.Error) as error:
        raise ProviderRefused(
            f"The provider's answer is no SAML response: {error}. Ask your tenant's owner."
        ) from error
    if root.tag != f"{_P}Response" or root.get("Version") != "2.0":
        raise ProviderRefused("The provider's answer is no response of SAML 2.0. Ask your tenant's owner.")
    return root


def _check_status(document: etree._Element) -> None:
    """A failure needs no signature to be believed: it lets nobody in."""
    codes = document.findall(f"{_P}Status//{_P}StatusCode")
    if not codes or codes[0].get("Value") != _SUCCESS:
        last = (codes[-1].get("Value") or "" if codes else "").rpartition(":")[2]
        word = "".join(letter for letter in last if letter.isalnum())[:60]
        raise ProviderRefused(f"The provider did not sign you in ({word or 'it does not say why'}).")


def _signed(us: ServiceProvider, document: etree._Element) -> etree._Element:
    """The one assertion, as it was signed: by itself, or with the whole response around it."""
    if document.find(f".//{_A}EncryptedAssertion") is not None:
        raise ProviderRefused(
            "The provider's answer is encrypted, which is not read here: it comes over https. Ask your tenant's owner "
            "to switch the encryption of assertions off at the provider."
        )
    if len(document.findall(f".//{_A}Assertion")) != 1 or document.find(f"{_A}Assertion") is None:
        raise ProviderRefused("The provider's answer must hold one assertion. Ask your tenant's owner.")
    for location in ("./", f"./{_A}Assertion/"):
        if document.find(f"{location}{_DS}Signature") is None:
            continue
        for certificate in held_certificates(us.certificates):
            try:
                found = XMLVerifier().verify(
                    document,
                    x509_cert=certificate,
                    id_attribute="ID",
                    expect_config=SignatureConfiguration(location=location),
                )
            except (SignXMLException, etree.LxmlError, ValueError):
                continue
            signed = found.signed_xml if not isinstance(found, list) else None
            if signed is not None and signed.tag == f"{_P}Response":
                signed = signed.find(f"{_A}Assertion")
            if signed is not None and signed.tag == f"{_A}Assertion":
                return signed
    raise ProviderRefused(
        "The provider's answer is not signed, with SHA-256 or better, by a certificate that is registered here. Has it "
        "a new one? Your tenant's owner adds it."
    )


def _check_subject(us: ServiceProvider, assertion: etree._Element, request_id: str) -> datetime:
    """That the assertion was made by this provider, for this request, to be brought to this address; until when."""
    if assertion.get("Version") != "2.0" or _text(assertion.find(f"{_A}Issuer")) != us.issuer.issuer:
        raise ProviderRefused(f"Another provider answered than {us.issuer.issuer}. Start again.")
    for confirmation in assertion.findall(f"{_A}Subject/{_A}SubjectConfirmation"):
        data = confirmation.find(f"{_A}SubjectConfirmationData")
        if confirmation.get("Method") != _BEARER or data is None or data.get("NotBefore"):
            continue
        if not hmac.compare_digest(data.get("InResponseTo", "").encode(), request_id.encode()):
            raise ProviderRefused(_STALE)
        if data.get("Recipient") != us.answer_url:
            raise ProviderRefused(f"The provider's answer is for another address than {us.answer_url}.")
        ends = data.get("NotOnOrAfter") or ""
        _check_time(us, None, ends)
        return _moment(ends)
    raise ProviderRefused("The provider's answer confirms nobody (bearer). Ask your tenant's owner.")


def _check_conditions(us: ServiceProvider, assertion: etree._Element) -> None:
    """That the assertion is meant for us, and for now."""
    conditions = assertion.findall(f"{_A}Conditions")
    if len(conditions) != 1:
        raise ProviderRefused("The provider's answer says not for whom it is meant. Ask your tenant's owner.")
    _check_time(us, conditions[0].get("NotBefore"), conditions[0].get("NotOnOrAfter"))
    restrictions = conditions[0].findall(f"{_A}AudienceRestriction")
    meant = [{_text(one) for one in held.findall(f"{_A}Audience")} for held in restrictions]
    if not meant or any(us.issuer.audience not in each for each in meant):
        raise ProviderRefused(
            f"The provider's answer is meant for another service: its audience must be {us.issuer.audience}."
        )
    statements = assertion.findall(f"{_A}AuthnStatement")
    if not statements:
        raise ProviderRefused("The provider's answer does not say that you signed in. Ask your tenant's owner.")
    for statement in statements:
        if statement.get("SessionNotOnOrAfter"):
            _check_time(us, None, statement.get("SessionNotOnOrAfter"))


def _check_time(us: ServiceProvider, begins: str | None, ends: str | None) -> None:
    """That it is time, as far as two clocks may differ. An end that cannot be read is over."""
    now, skew = datetime.now(UTC), timedelta(seconds=us.issuer.clock_skew)
    try:
        right = (begins is None or _moment(begins) <= now + skew) and (ends is None or now - skew < _moment(ends))
    except ValueError:
        right = False
    if not right:
        raise ProviderRefused("The provider's answer has expired, or its clock and ours differ. Start again.")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)  # core, 1.3.3: times are UTC


def _claims(us: ServiceProvider, assertion: etree._Element) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for attribute in assertion.findall(f"{_A}AttributeStatement/{_A}Attribute"):
        values = [text for value in attribute.findall(f"{_A}AttributeValue") if (text := _text(value))]
        for name in {attribute.get("Name"), attribute.get("FriendlyName")} - {None, ""}:
            claims.setdefault(str(name), []).extend(values)
    named = assertion.findall(f"{_A}Subject/{_A}NameID")
    name = _text(named[0]) if len(named) == 1 else ""
    form = named[0].get("Format", "") if name else ""
    chosen = us.issuer.user_claim
    subject = name if chosen == "sub" else _first(claims, (chosen,))
    if not subject or (chosen == "sub" and form == _TRANSIENT):
        raise ProviderRefused(
            "The provider does not say who you are in a way that lasts: it must send a persistent NameID, or your "
            "tenant's owner names an attribute as the claim of the user."
        )
    email = _first(claims, ADDRESSES) or (name if form == _NAME_IS_ADDRESS else "")
    return claims | {"email": email, "name": _first(claims, NAMES), "sub": subject, chosen: subject}


def _first(claims: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((claims[name][0] for name in names if claims.get(name)), "")


def _text(element: etree._Element | None) -> str:
    """All text of an element: a comment within cuts none of it off."""
    return "" if element is None else "".join(str(part) for part in element.itertext()).strip()
