"""Signing in with SAML in a real browser: the provider is another site, so that its form brings none of our cookies."""

from __future__ import annotations

import html
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tenants import identity, saml
from tenants.isolation import scope
from tests.saml_provider import SamlProvider


class Site(BaseHTTPRequestHandler):
    """The provider's page, which knows who sits before the browser and has it send its answer at once."""

    def do_GET(self) -> None:
        address = f"http://localhost{self.path}"
        where, response = self.server.idp.respond(self.server.told, address, "olivia", {"mail": [self.server.email]})
        page = (
            f'<form method="post" action="{html.escape(where)}">'
            f'<input type="hidden" name="SAMLResponse" value="{response}"></form>'
            "<script>document.forms[0].submit()</script>"
        )
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *details) -> None:
        """Requests are not printed."""


@pytest.fixture
def site(browser, acme, tmp_path, settings):
    """A provider at `localhost`, which is another site than the console's `127.0.0.1`."""
    settings.PRIVATE_HOSTS_ALLOWED = ["localhost"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.idp = SamlProvider(tmp_path / "idp", f"http://localhost:{server.server_port}/sso")
    ours = f"{browser.base}/console/sign-in/{acme.slug}/saml/"
    with urlopen(ours + "metadata/") as answer:
        server.told, server.email = answer.read().decode(), acme.email
    told = saml.described(server.idp.metadata)
    named = {"protocol": "saml", "name": "Corporate", "audience": ours, "algorithms": [], **told}
    with scope(acme.tenant):
        identity.save({**named, "sign_in": True, "email_trusted": True})
    yield server
    server.shutdown()
    server.server_close()


def test_a_member_signs_in_from_another_site(browser, acme, site):
    browser.open(f"/console/sign-in/{acme.slug}/?next=/console/tenants/department/")
    button = browser.find(".ch-providers button")
    assert button.text == "Sign in with Corporate"
    button.click()
    browser.wait(lambda found: urlsplit(found.current_url).path == "/console/tenants/department/")
    assert "Legal" in browser.text()
    browser.open("/console/account/second-factor/")
    assert "provider" in browser.text()
