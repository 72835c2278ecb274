"""Signing in with a tenant's SAML provider: pysaml2's own responses, and what is made of them by others."""

from __future__ import annotations

import base64
import copy
import zlib
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from lxml import etree
from signxml import SignatureMethod, XMLSigner
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm

from audit.models import Event
from config.provider_sign_in import AWAY, AWAY_SECONDS
from tenants import identity, saml
from tenants.isolation import scope
from tenants.models import Identity, Membership, User
from tests.console.test_provider_sign_in import member, page_of, sent_away
from tests.console.test_provider_sign_in import register as register_oidc
from tests.identity_provider import IdentityProvider as Realm
from tests.saml_provider import SamlProvider, Signxml, make_certificate

A, P = saml._A, saml._P
GROUPS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"


@pytest.fixture
def idp(tmp_path):
    return SamlProvider(tmp_path / "idp")


def register(house, idp, **more):
    """A provider of a house's own."""
    told = saml.described(idp.metadata)
    values = {
        "protocol": "saml",
        "name": f"SAML {token_hex(4)}",
        "audience": answers(house),
        "algorithms": [],
        "department": house.departments["legal"],
        "sign_in": True,
        "email_trusted": True,
        **told,
        **more,
    }
    with house.open():
        return identity.save(values)


@pytest.fixture
def provider(acme, idp):
    return register(acme, idp)


def answers(house):
    return "http://testserver" + reverse("admin:saml_back", args=[house.name])


def responded(house, idp, address, person="alice-7", email=None, **attributes):
    """What the provider has the browser bring back."""
    told = Client().get(reverse("admin:saml_metadata", args=[house.name])).content.decode()
    attributes |= {} if email is None else {"mail": [email]}
    where, response = idp.respond(told, address, person, attributes)
    assert where == answers(house)
    return response


def come_back(house, idp, provider, **person):
    """The whole way: the browser, and what it is shown at the end."""
    client, address = sent_away(house, provider)
    return client, client.post(answers(house), {"SAMLResponse": responded(house, idp, address, **person)})


def signed_in(house, idp, provider, **person):
    client, answer = come_back(house, idp, provider, **person)
    assert answer.status_code == 302, answer.content.decode()
    assert answer["location"] == "/console/"
    return client


def refused(house, idp, provider, sentence, **person):
    client, answer = come_back(house, idp, provider, **person)
    assert answer.status_code == 403, answer.content.decode()
    assert sentence in answer.content.decode()
    assert "_auth_user_id" not in client.session
    with house.open():
        assert sentence in Event.objects.filter(action="session.refused").order_by("-id")[0].reason


# -- the way there and back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [(True, False), (False, True), (True, True)])
def test_a_member_signs_in_with_a_button_and_is_who_they_are(acme, idp, provider, signs):
    idp.signs = {"sign_assertion": signs[0], "sign_response": signs[1]}
    ann = member(acme)
    assert f"Sign in with {provider.name}" in Client().get(page_of(acme)).content.decode()
    client, address = sent_away(acme, provider, next="/console/audit/event/")
    response = responded(acme, idp, address, person="ann-1", email=ann.email.upper())
    assert client.post(answers(acme), {"SAMLResponse": response})["location"] == "/console/audit/event/"
    assert acme.name.title() in client.get("/console/").content.decode()
    with acme.open():
        linked = Identity.objects.get(provider=provider, subject="ann-1")
        opened = Event.objects.get(action="session.open", actor_id=str(ann.pk))
    assert (linked.user_id, opened.detail) == (ann.pk, {"provider": provider.name})


def test_our_request_says_who_asks_and_where_to_answer(acme, provider):
    _, address = sent_away(acme, provider)
    packed = base64.b64decode(parse_qs(urlsplit(address).query)["SAMLRequest"][0])
    request = etree.fromstring(zlib.decompress(packed, -15))
    assert request.tag == f"{P}AuthnRequest"
    assert request.get("AssertionConsumerServiceURL") == answers(acme)
    assert request.get("Destination") == provider.sso_url
    assert request.findtext(f"{A}Issuer") == provider.audience


def test_who_is_known_by_name_id_stays_known_whatever_the_address(acme, idp, provider):
    ann = member(acme)
    signed_in(acme, idp, provider, person="ann-2", email=ann.email)
    client = signed_in(acme, idp, provider, person="ann-2", email=member(acme).email)
    assert client.session["_auth_user_id"] == str(ann.pk)


def test_attributes_make_a_member_as_the_tables_say(acme, idp):
    values = {
        "makes_members": True,
        "user_claim": "objectidentifier",
        "role_claim": GROUPS,
        "roles": {"g-1": "developer"},
        "department_claim": "departmentNumber",
        "departments": [["EMEA", str(acme.departments["sales"].pk)]],
    }
    provider, email = register(acme, idp, **values), f"new-{token_hex(4)}@people.example"
    said = {GROUPS: ["g-0", "g-1"], "departmentNumber": "EMEA", "displayName": "Ann Roe", "objectidentifier": "o-7"}
    signed_in(acme, idp, provider, email=email, **said)
    with acme.open():
        place = Membership.objects.select_related("user").get(user__email=email)
        assert (place.role, place.user.name) == ("developer", "Ann Roe")
        assert [one.slug for one in place.departments.all()] == ["sales"]
        assert Identity.objects.filter(provider=provider, subject="o-7").exists()


def test_whom_nobody_knows_is_told_to_be_invited(acme, idp, provider):
    refused(acme, idp, provider, "Ask an administrator to invite you", email="nobody@people.example")


def test_an_address_counts_only_where_the_owner_said_so(acme, idp):
    provider, ann = register(acme, idp, email_trusted=False), member(acme)
    refused(acme, idp, provider, "does not answer for your e-mail address", email=ann.email)


def test_switched_off_it_signs_nobody_in_and_its_sessions_end(acme, idp, provider):
    client = signed_in(acme, idp, provider, email=member(acme).email)
    other, address = sent_away(acme, provider)
    response = responded(acme, idp, address, email=member(acme).email)
    with acme.open():
        identity.save({"active": False}, provider)
    assert provider.name not in Client().get(page_of(acme)).content.decode()
    assert other.post(answers(acme), {"SAMLResponse": response}).status_code == 400
    assert client.get("/console/")["location"].startswith("/console/login/")


def test_two_tenants_with_one_provider_have_people_of_their_own(acme, globex, idp):
    ours, theirs = register(acme, idp), register(globex, idp)
    ann = member(acme)
    client, address = sent_away(acme, ours)
    response = responded(acme, idp, address, email=ann.email)
    other, _ = sent_away(globex, theirs)
    assert other.post(answers(globex), {"SAMLResponse": response}).status_code == 403
    assert client.post(answers(acme), {"SAMLResponse": response}).status_code == 302


# -- responses that are nobody's, or somebody else's ------------------------------------------------------------------


def test_a_response_is_used_once_and_in_the_browser_that_asked(acme, idp, provider):
    ann = member(acme)
    client, address = sent_away(acme, provider)
    response = {"SAMLResponse": responded(acme, idp, address, email=ann.email)}
    other, _ = sent_away(acme, provider)
    stolen = other.post(answers(acme), response)
    assert (stolen.status_code, "none to a question of this browser" in stolen.content.decode()) == (403, True)
    assert client.post(answers(acme), response).status_code == 302
    client.post("/console/logout/")
    assert client.post(answers(acme), response | {"again": "1"}).status_code == 400


def test_one_protocol_does_not_answer_for_the_other(acme, idp, provider, monkeypatch):
    client, _ = sent_away(acme, provider)
    answer = client.get(reverse("admin:provider_back", args=[acme.name, provider.pk]), {"state": "x", "code": "y"})
    assert answer.status_code == 400
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    realm = Realm()
    try:
        other, _ = sent_away(acme, register_oidc(acme, realm))
        client, address = sent_away(acme, provider)
        response = responded(acme, idp, address, email=member(acme).email)
        assert other.post(answers(acme), {"SAMLResponse": response}).status_code == 400
    finally:
        realm.stop()


def test_a_request_is_answered_once_even_wrongly(acme, idp, provider):
    client, address = sent_away(acme, provider)
    right = responded(acme, idp, address, email=member(acme).email)
    assert client.post(answers(acme), {"SAMLResponse": base64.b64encode(b"<a/>").decode()}).status_code == 403
    assert client.post(answers(acme), {"SAMLResponse": right, "again": "1"}).status_code == 400


def test_who_was_away_too_long_starts_again(acme, idp, provider):
    client, address = sent_away(acme, provider)
    session = client.session
    session[AWAY] |= {"at": session[AWAY]["at"] - AWAY_SECONDS - 1}
    session.save()
    response = responded(acme, idp, address, email=member(acme).email)
    answer = client.post(answers(acme), {"SAMLResponse": response})
    assert (answer.status_code, "Start again" in answer.content.decode()) == (400, True)


def test_from_another_site_it_is_sent_once_more_from_here(acme, idp, provider):
    client, address = sent_away(acme, provider)
    response = responded(acme, idp, address, email=member(acme).email)
    page = Client(enforce_csrf_checks=True).post(answers(acme), {"SAMLResponse": response})  # no cookie came along
    text = page.content.decode()
    assert (page.status_code, response in text, 'name="again"' in text) == (200, True, True)
    assert page.cookies.get("sessionid") is None
    assert client.post(answers(acme), {"SAMLResponse": response, "again": "1"}).status_code == 302
    lost = Client().post(answers(acme), {"SAMLResponse": response, "again": "1"})
    assert (lost.status_code, "not begun in this browser" in lost.content.decode()) == (400, True)


def attribute(path, name, value):
    """What sets an attribute of an element before it is signed; None takes it away."""

    def change(assertion):
        element = assertion if not path else assertion.find(path)
        assert element is not None
        if value is None:
            del element.attrib[name]
        else:
            element.set(name, value() if callable(value) else value)

    return change


def text(path, value):
    def change(assertion):
        assertion.find(path).text = value

    return change


def without(path):
    def change(assertion):
        found = assertion.find(path)
        found.getparent().remove(found)

    return change


def moment(**away):
    """What gives a time so far away from when it is asked."""
    return lambda: (datetime.now(UTC) + timedelta(**away)).strftime("%Y-%m-%dT%H:%M:%SZ")


CONFIRMATION = f"{A}Subject/{A}SubjectConfirmation"
DATA = f"{CONFIRMATION}/{A}SubjectConfirmationData"
AUDIENCE = f"{A}Conditions/{A}AudienceRestriction/{A}Audience"
NAME_ID = f"{A}Subject/{A}NameID"
EXPIRED = "has expired, or its clock and ours differ"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (text(AUDIENCE, "https://another.example"), "is meant for another service"),
        (without(f"{A}Conditions/{A}AudienceRestriction"), "is meant for another service"),
        (without(f"{A}Conditions"), "says not for whom it is meant"),
        (attribute(DATA, "Recipient", "https://another.example/"), "is for another address"),
        (attribute(DATA, "Recipient", None), "is for another address"),
        (attribute(DATA, "InResponseTo", "_another"), "none to a question of this browser"),
        (attribute(DATA, "InResponseTo", None), "none to a question of this browser"),
        (attribute(DATA, "NotOnOrAfter", moment(minutes=-3)), EXPIRED),
        (attribute(DATA, "NotOnOrAfter", None), EXPIRED),
        (attribute(f"{A}Conditions", "NotOnOrAfter", moment(minutes=-3)), EXPIRED),
        (attribute(f"{A}Conditions", "NotBefore", moment(minutes=3)), EXPIRED),
        (attribute(f"{A}Conditions", "NotBefore", "tomorrow"), EXPIRED),
        (attribute(f"{A}AuthnStatement", "SessionNotOnOrAfter", moment(minutes=-3)), EXPIRED),
        (attribute(CONFIRMATION, "Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"), "confirms nobody"),
        (without(f"{A}AuthnStatement"), "does not say that you signed in"),
        (text(f"{A}Issuer", "https://another.example"), "Another provider answered"),
        (attribute(NAME_ID, "Format", saml._TRANSIENT), "in a way that lasts"),
        (without(NAME_ID), "in a way that lasts"),
    ],
)
def test_what_is_signed_but_not_for_this_sign_in_is_refused(acme, idp, provider, change, sentence):
    idp.crypto.before = change
    refused(acme, idp, provider, sentence, email=member(acme).email)


def test_clocks_may_differ_by_as_much_as_was_said(acme, idp):
    idp.crypto.before = attribute(f"{A}Conditions", "NotBefore", moment(seconds=100))
    signed_in(acme, idp, register(acme, idp, clock_skew=120), email=member(acme).email)


def unsigned(document):
    for signature in document.findall(".//{*}Signature"):
        signature.getparent().remove(signature)


def tampered(document):
    document.find(f"{A}Assertion/{NAME_ID}").text = "bob-1"


def beside(document):
    """Another assertion before the signed one."""
    evil = copy.deepcopy(document.find(f"{A}Assertion"))
    unsigned(evil)
    evil.set("ID", "_evil")
    evil.find(NAME_ID).text = "bob-1"
    document.insert(0, evil)


def wrapped(document):
    """The signed assertion within an extension, and another in its place."""
    signed = document.find(f"{A}Assertion")
    evil = copy.deepcopy(signed)
    unsigned(evil)
    evil.set("ID", "_evil")
    evil.find(NAME_ID).text = "bob-1"
    document.replace(signed, evil)
    extensions = etree.SubElement(document, f"{P}Extensions")
    extensions.append(signed)


def borrowed(document):
    """The signature over another element, which lies within the signature itself."""
    signed = document.find(f"{A}Assertion")
    evil = copy.deepcopy(signed)
    signature = signed.find("{*}Signature")
    unsigned(evil)
    evil.set("ID", "_evil")
    evil.find(NAME_ID).text = "bob-1"
    document.replace(signed, evil)
    evil.insert(1, signature)
    held = etree.SubElement(signature, "{http://www.w3.org/2000/09/xmldsig#}Object")
    held.append(signed)


def renamed(document):
    """As `borrowed`, with what is signed no longer called an assertion by the letter."""
    document.find(f"{A}Assertion").tag = f"{A}Advice"


def encrypted(document):
    document.find(f"{A}Assertion").tag = f"{A}EncryptedAssertion"


def failed(document):
    code = document.find(f"{P}Status/{P}StatusCode")
    code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")
    etree.SubElement(code, f"{P}StatusCode", Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed")


NOT_SIGNED = "is not signed, with SHA-256 or better, by a certificate that is registered here"


@pytest.mark.parametrize(
    ("twist", "sentence"),
    [
        (unsigned, NOT_SIGNED),
        (tampered, NOT_SIGNED),
        (beside, "must hold one assertion"),
        (wrapped, "must hold one assertion"),
        (borrowed, "must hold one assertion"),
        (renamed, "must hold one assertion"),
        (encrypted, "encrypted, which is not read here"),
        (failed, "did not sign you in (AuthnFailed)"),
    ],
)
def test_what_was_changed_on_the_way_is_refused(acme, idp, provider, twist, sentence):
    def changed(response):
        document = etree.fromstring(response)
        twist(document)
        return etree.tostring(document)

    idp.twist = changed
    member_of_both = member(acme)
    refused(acme, idp, provider, sentence, email=member_of_both.email)


@pytest.mark.parametrize("weak", ["method", "digest"])
def test_sha_1_is_no_signature(acme, idp, provider, weak):
    class Old(XMLSigner):
        """Signs as providers did long ago."""

        def check_deprecated_methods(self):
            """It may."""

    idp.crypto.signer = Old
    if weak == "method":
        idp.crypto.method = SignatureMethod.RSA_SHA1
    else:
        idp.crypto.digest = DigestAlgorithm.SHA1
    refused(acme, idp, provider, NOT_SIGNED, email=member(acme).email)


def test_another_certificate_is_refused_until_it_is_added(acme, idp, provider):
    ann = member(acme)
    key, certificate = make_certificate()
    idp.crypto = Signxml(key, certificate)
    refused(acme, idp, provider, NOT_SIGNED, email=ann.email)
    with acme.open():
        identity.save({"certificates": saml.certificates(provider.certificates + certificate)}, provider)
    signed_in(acme, idp, provider, email=ann.email)


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ("not base64 at all", "is no SAML response"),
        (base64.b64encode(b"<a/>").decode(), "is no response of SAML 2.0"),
        (base64.b64encode(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").decode(), "declares a document type"),
        (base64.b64encode(b"<a>" + b" " * saml.MOST_BYTES + b"</a>").decode(), "is longer than 256 KiB"),
    ],
)
def test_what_is_no_response_is_refused(acme, provider, response, sentence):
    client, _ = sent_away(acme, provider)
    answer = client.post(answers(acme), {"SAMLResponse": response})
    assert (answer.status_code, sentence in answer.content.decode()) == (403, True), answer.content.decode()


@pytest.mark.parametrize("kept", ["", "_WITH_COMMENTS"])
def test_a_comment_cuts_no_name_short(acme, idp, provider, kept):
    """Of `admin@good.example<!-- -->.evil.example` nobody may read the beginning alone."""
    ann = member(acme)

    def commented(assertion):
        value = next(one for one in assertion.iter(f"{A}AttributeValue") if one.text == ann.email + ".evil.example")
        value.text = ann.email
        value.append(etree.Comment(" "))
        value[-1].tail = ".evil.example"

    idp.crypto.before = commented
    idp.crypto.form = CanonicalizationMethod[f"EXCLUSIVE_XML_CANONICALIZATION_1_0{kept}"]
    refused(acme, idp, provider, "No member of this tenant has your e-mail address", email=ann.email + ".evil.example")


# -- what a provider says of itself -----------------------------------------------------------------------------------


def test_metadata_holds_what_is_needed(idp):
    told = saml.described(idp.metadata)
    assert (told["issuer"], told["sso_url"]) == (idp.entity_id, idp.sso_url)
    assert told["certificates"] == idp.certificate
    bare = "".join(idp.certificate.splitlines()[1:-1])
    assert saml.certificates(bare) == saml.certificates(idp.certificate * 2) == idp.certificate


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda xml: "hello", "it is no XML"),
        (lambda xml: xml.replace("EntityDescriptor", "EntitiesDescriptor"), "of one provider"),
        (lambda xml: xml.replace("HTTP-Redirect", "SOAP"), "no SingleSignOnService"),
        (lambda xml: xml.replace("X509Certificate", "X509CRL"), "One certificate is needed"),
        (lambda xml: "<!DOCTYPE a>" + xml, "declares a document type"),
    ],
)
def test_metadata_that_is_none_says_what_is_missing(idp, change, sentence):
    with pytest.raises(saml.MetadataUnreadable, match=sentence):
        saml.described(change(idp.metadata))


def test_our_metadata_is_there_before_the_provider_is(acme):
    page = Client().get(reverse("admin:saml_metadata", args=[acme.name]))
    assert page["content-type"] == "application/samlmetadata+xml"
    document = etree.fromstring(page.content)
    assert document.get("entityID") == answers(acme)
    assert document.find(".//{*}AssertionConsumerService").get("Location") == answers(acme)


def test_nobody_writes_to_an_account_by_signing_in(acme, idp, provider):
    ann = member(acme, password="a long enough password")
    with scope(acme.tenant):
        before = User.objects.filter(pk=ann.pk).values().get()
    signed_in(acme, idp, provider, email=ann.email)
    with scope(acme.tenant):
        assert User.objects.filter(pk=ann.pk).values().get() == before
