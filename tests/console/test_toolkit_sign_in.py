"""Signing in with an OpenID provider that others wrote: django-oauth-toolkit, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from secrets import token_hex
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tenants import identity
from tenants.ids import uuid7
from tenants.models import Identity, IdentityProvider
from tests.console.test_provider_sign_in import member, sent_away

SECRET = "s3cret of the client & more"


@pytest.fixture
def ann(acme):
    return member(acme)


@pytest.fixture
def site(acme, ann, tmp_path, monkeypatch):
    """The provider, with Acme as its client, and how Acme knows it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours, client = uuid7(), f"client-{token_hex(4)}"
    back = "http://testserver" + reverse("admin:provider_back", args=[acme.name, ours])
    person = {"email": ann.email, "password": "at the provider", "name": "Ann", "client_id": client}
    told = json.dumps({**person, "client_secret": SECRET, "redirect_uri": back})
    command = [sys.executable, "-m", "tests.oidc_site", str(port), str(tmp_path / "provider.sqlite3"), told]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
        with acme.open():
            provider = identity.save(
                {
                    "name": f"Toolkit {token_hex(4)}",
                    "issuer": f"http://127.0.0.1:{port}/o",
                    "audience": token_hex(8),
                    "algorithms": ["RS256"],
                    "sign_in": True,
                    "client_id": client,
                    "client_secret": SECRET,
                },
                IdentityProvider(pk=ours),
            )
        yield provider
        running.terminate()


def at_provider(address, email, password="at the provider"):
    """A browser at the provider: signs in there, and is sent back. Returns the path that it is sent to."""
    with httpx.Client(timeout=20) as browser:
        page = browser.get(address)
        assert page.status_code == 302, page.text
        assert "/sign-in/" in page.headers["location"]
        root = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        entered = browser.post(root + page.headers["location"], data={"username": email, "password": password})
        assert entered.status_code == 302, entered.text
        sent = browser.get(root + entered.headers["location"])
        assert sent.status_code == 302, sent.text
    back = urlsplit(sent.headers["location"])
    assert back.netloc == "testserver"
    return f"{back.path}?{back.query}"


def test_a_member_signs_in(acme, site, ann):
    client, address = sent_away(acme, site)
    path = at_provider(address, ann.email)
    stolen = Client().get(path)
    assert stolen.status_code == 400
    answer = client.get(path)
    assert (answer.status_code, answer["location"]) == (302, "/console/"), answer.content.decode()
    assert client.session["_auth_user_id"] == str(ann.pk)
    with acme.open():
        assert Identity.objects.get(provider=site).user_id == ann.pk
    again, _ = sent_away(acme, site)
    assert again.get(path).status_code == 403  # a code is changed once, and for the browser that asked


def test_a_wrong_secret_signs_nobody_in(acme, site, ann):
    with acme.open():
        identity.save({"client_secret": "another"}, site)
    client, address = sent_away(acme, site)
    answer = client.get(at_provider(address, ann.email))
    assert (answer.status_code, "did not accept the code" in answer.content.decode()) == (403, True)
    assert "_auth_user_id" not in client.session
