"""Passkeys in a real browser, with an authenticator that the browser pretends to have."""

from __future__ import annotations

import pytest

from tests.browser.conftest import PASSWORD

OWN, LOGIN = "/console/account/second-factor/", "/console/login/"
ALONE = 'form[action="/console/passkey/"] button'
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def visitor(browser):
    """A browser at `localhost`, as a passkey is of a name and of no number, with an authenticator."""
    browser.base = browser.base.replace("127.0.0.1", "localhost")
    browser.execute_cdp_cmd("WebAuthn.enable", {})
    browser.device = browser.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})["authenticatorId"]
    return browser


def verify(browser, verified):
    """Whether the device recognises whoever holds it from now on."""
    said = {"authenticatorId": browser.device, "isUserVerified": verified}
    browser.execute_cdp_cmd("WebAuthn.setUserVerified", said)


def sign_out(browser):
    browser.delete_all_cookies()
    browser.open(LOGIN)


def add(browser, name):
    browser.open(OWN)
    browser.find("#id_passkey_name").send_keys(name)
    browser.find("#id_passkey_password").send_keys(PASSWORD)
    browser.click('form[data-passkey="create"] button')


def problem(browser, form):
    return browser.wait(lambda found: found.find(f"{form} [role=alert]").text)


def test_a_passkey_is_added_used_both_ways_and_removed(visitor, acme):
    visitor.sign_in(acme.email)
    add(visitor, "My laptop")
    assert "My laptop" in visitor.find(".ch-passkeys").text
    assert "Signing in asks for a passkey" in visitor.text()
    # behind the password
    sign_out(visitor)
    visitor.sign_in(acme.email)
    assert visitor.current_url.endswith("/console/second-factor/")
    visitor.click('form[data-passkey="get"] button')
    assert visitor.current_url.endswith("/console/")
    # in its place
    sign_out(visitor)
    visitor.click(ALONE)
    assert visitor.current_url.endswith("/console/")
    # twice on one device
    visitor.open(OWN)
    assert "last used" in visitor.find(".ch-passkeys").text
    visitor.find("#id_passkey_name").send_keys("again")
    visitor.find("#id_passkey_password").send_keys(PASSWORD)
    visitor.find('form[data-passkey="create"] button').click()
    assert "has a passkey of yours already" in problem(visitor, 'form[data-passkey="create"]')
    # the device does not know who holds it
    verify(visitor, False)
    sign_out(visitor)
    visitor.find(ALONE).click()
    assert "No passkey was used" in problem(visitor, 'form[action="/console/passkey/"]')
    verify(visitor, True)
    visitor.click(ALONE)
    # removed
    visitor.open(OWN)
    visitor.find(".ch-passkeys summary").click()
    visitor.find(".ch-passkeys [name=password]").send_keys(PASSWORD)
    visitor.click(".ch-passkeys .ch-danger-button")
    assert "You have none yet" in visitor.text()
    sign_out(visitor)
    visitor.click(ALONE)
    assert "not accepted" in visitor.text()
    visitor.sign_in(acme.email)
    assert visitor.current_url.endswith("/console/")
    assert visitor.foreign_requests() == []


def test_a_wrong_password_is_said_beside_the_button(visitor, acme):
    visitor.sign_in(acme.email)
    visitor.open(OWN)
    visitor.find("#id_passkey_name").send_keys("My laptop")
    visitor.find("#id_passkey_password").send_keys("wrong")
    visitor.find('form[data-passkey="create"] button').click()
    assert problem(visitor, 'form[data-passkey="create"]') == "This is not your password."


def test_where_there_are_no_passkeys_it_is_said(browser):
    browser.open(LOGIN)
    browser.find(ALONE).click()
    assert "need a name" in problem(browser, 'form[action="/console/passkey/"]')
    browser.execute_script("delete window.PublicKeyCredential")
    browser.find(ALONE).click()
    browser.wait(lambda found: "no passkeys here" in found.find('form[action="/console/passkey/"] [role=alert]').text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 360])
def test_the_pages_fit(visitor, acme, scheme, width, tmp_path_factory):
    visitor.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    visitor.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    fits = "return document.documentElement.scrollWidth <= window.innerWidth"
    visitor.open(LOGIN)
    assert visitor.execute_script(fits)
    visitor.sign_in(acme.email)
    if visitor.current_url.endswith("/console/"):
        add(visitor, "A laptop with a rather long name that goes on and on")
        assert visitor.execute_script(fits)
        visitor.find(".ch-passkeys summary").click()
        assert visitor.execute_script(fits)
        visitor.find(".ch-passkeys [name=password]").send_keys(PASSWORD)
        visitor.click(".ch-passkeys .ch-danger-button")
        assert visitor.execute_script(fits)
    assert visitor.errors() == []
