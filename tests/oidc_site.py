"""`python -m tests.oidc_site PORT DATABASE PERSON`: an OpenID provider that others wrote (django-oauth-toolkit).

PERSON is JSON: {"email", "password", "name", "client_id", "client_secret", "redirect_uri"}. It says "ready" when it
answers, at http://127.0.0.1:PORT/o.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path

urlpatterns: list[Any] = []


def configure(port: str, database: str) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    settings.configure(
        SECRET_KEY="of the provider",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.oidc_site",
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        LOGIN_URL="/sign-in/",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key.decode(),
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{port}/o",
            "OAUTH2_VALIDATOR_CLASS": "tests.oidc_site.Claims",
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "who", "email": "address", "profile": "name"},
            "ALLOWED_REDIRECT_URI_SCHEMES": ["http"],
        },
    )
    django.setup()


def sign_in(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import authenticate, login

    person = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if person is None:
        return HttpResponse("Who are you?", status=200 if request.method == "GET" else 403)
    login(request, person)
    return HttpResponseRedirect(request.GET["next"])


def make(person: dict[str, str]) -> None:
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    User.objects.create_user(person["email"], person["email"], person["password"], first_name=person["name"])
    Application.objects.create(
        name="Customhouse",
        client_id=person["client_id"],
        client_secret=person["client_secret"],
        client_type="confidential",
        authorization_grant_type="authorization-code",
        redirect_uris=person["redirect_uri"],
        algorithm="RS256",
        skip_authorization=True,
    )


class Quiet(WSGIRequestHandler):
    def log_message(self, *details: Any) -> None:
        """Requests are not printed."""


def main(port: str, database: str, person: str) -> None:
    configure(port, database)
    global Claims
    from oauth2_provider.oauth2_validators import OAuth2Validator

    class Claims(OAuth2Validator):  # type: ignore[no-redef,misc]
        """Says a person's address, which it has verified, and their name."""

        oidc_claim_scope = {**OAuth2Validator.oidc_claim_scope, "email_verified": "email"}

        def get_additional_claims(self, request: Any) -> dict[str, Any]:
            found = request.user
            return {"email": found.email, "email_verified": True, "name": found.first_name}

    make(json.loads(person))
    urlpatterns.extend([path("o/", include("oauth2_provider.urls")), path("sign-in/", sign_in)])
    with make_server("127.0.0.1", int(port), get_wsgi_application(), handler_class=Quiet) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    # settings name this module: under its own name there must be this one, and no second
    sys.modules["tests.oidc_site"] = sys.modules["__main__"]
    main(*sys.argv[1:])
