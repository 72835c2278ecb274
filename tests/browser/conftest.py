"""A real browser, headless, before a real server whose tenant has an owner with a password."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tenants import keys
from tenants.isolation import PLATFORM, scope
from tenants.models import ApiKey, Department, Membership, Tenant, User

PASSWORD = "a long enough password"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *details: Any) -> None:
        """Requests are not printed."""


@dataclass
class Acme:
    """A tenant with its owner Olivia, the department Legal and a key for it."""

    tenant: Any
    slug: str
    email: str
    key: ApiKey


class Browser(Chrome):
    """Chromium that knows the server's address and what it did: console messages and requests."""

    base = ""

    def open(self, path: str) -> None:
        self.get(self.base + path)

    def find(self, selector: str) -> Any:
        return self.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return self.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition: Any) -> Any:
        return WebDriverWait(self, 15).until(condition)

    def click(self, selector: str) -> None:
        """Clicks what leads to another page, and waits for it."""
        before = self.find("html")
        self.find(selector).click()
        self.wait(lambda browser: browser.find("html") != before and browser.ready())

    def ready(self) -> bool:
        return bool(self.execute_script("return document.readyState === 'complete'"))

    def text(self) -> str:
        return str(self.find("body").text)

    def sign_in(self, email: str) -> None:
        self.open("/console/login/")
        self.find("[name=username]").send_keys(email)
        self.find("[name=password]").send_keys(PASSWORD)
        self.click("button[type=submit].ch-primary")

    def errors(self) -> list[str]:
        """What the pages complained of since the last question."""
        return [entry["message"] for entry in self.get_log("browser") if entry["level"] == "SEVERE"]

    def foreign_requests(self) -> list[str]:
        """Requests to another host than ours since the last question."""
        found = []
        for entry in self.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return [url for url in found if not url.startswith((self.base, "data:", "blob:", "chrome:", "about:"))]


@pytest.fixture(scope="session")
def address(database: None) -> Iterator[str]:
    """The address of a server in this process."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=Server, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def acme(database: None) -> Acme:
    slug = f"acme-{token_hex(4)}"
    with scope(PLATFORM):
        tenant = Tenant.objects.create(slug=slug, name="Acme").pk
    with scope(tenant):
        owner = User.objects.create_user(f"olivia@{slug}.example", "Olivia Owner", PASSWORD)
        Membership.objects.create(user=owner, role="owner", clearance=3)
        legal = Department.objects.create(slug="legal", name="Legal")
        new = keys.generate(settings.API_KEY_PEPPER)
        key = ApiKey.objects.create(name="old key", public_id=new.public_id, digest=new.digest, department=legal)
    return Acme(tenant, slug, owner.email, key)


def _found(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture
def browser(address: str, tmp_path: Path) -> Iterator[Browser]:
    """Headless Chromium; skipped where none is installed."""
    chromium, driver = _found("chromium", "chromium-browser", "google-chrome"), _found("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver).")
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Browser(options=options, service=Service(driver))
    chrome.base = address
    chrome.set_window_size(1366, 900)
    yield chrome
    chrome.quit()
    connections.close_all()
