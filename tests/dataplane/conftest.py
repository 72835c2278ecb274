"""A real server process, a fake vendor, and a tenant that reaches it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import anthropic
import httpx
import openai
import pytest
from django.conf import settings

from config.demo import _baseline, _offline_models
from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.conftest import House, house
from tests.dataplane.vendors import Speaker
from tests.vendor import Vendor

#: What the vendor can do, and where it is given little time for it.
MODES = {
    *("echo", "fixed", "tool", "both", "thinks", "json", "no-usage", "slow", "embed", "rerank"),
    *("fields", "invents"),
    *("error-400", "error-429", "error-500", "garbage", "hang", "reset", "breaks", "garbles", "stalls"),
}
IMPATIENT = {"hang", "stalls"}


class Server:
    """One worker on a socket of its own; `environment` is what differs from the tests' own."""

    def __init__(self, **environment: str) -> None:
        self._environment = os.environ | environment
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self._listener.set_inheritable(True)
        self.root = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        fd = self._listener.fileno()
        command = [sys.executable, "-m", "config.serve", str(fd)]
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=self._environment, pass_fds=(fd,))
        for _ in range(300):
            try:
                if httpx.get(self.root + "/readyz", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._listener.close()


@contextmanager
def serving(**environment: str) -> Iterator[Server]:
    """A server that runs, with the platform's own policy and models."""
    with scope(PLATFORM):
        _baseline()
        _offline_models()
    Path(settings.HOME).mkdir(exist_ok=True, parents=True)
    made = Server(**environment)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def server(database: None) -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture(scope="session")
def vendor() -> Iterator[Vendor]:
    with Speaker() as made:
        yield made


@dataclass
class Gateway:
    """Acme at the running server: Alice's key, and the names of the vendor's modes."""

    root: str
    acme: House
    platform_key: str
    run: str
    provider: str = ""
    connected: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        return self.acme.keys["developer"]

    def __getitem__(self, mode: str) -> str:
        """The name of the model that behaves so; it is made when it is first named."""
        if mode in MODES and mode not in self.connected:
            self.connected.add(mode)
            self._connect(mode)
        return f"{self.run}-{mode}"

    def sdk(self, key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(api_key=key or self.key, base_url=self.root + "/v1", max_retries=0, timeout=30)

    def anthropic(self, key: str | None = None) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=key or self.key, base_url=self.root, max_retries=0, timeout=30)

    def manage(
        self, method: str, path: str, body: Any = None, key: str | None = None, expect: int | None = None
    ) -> Any:
        headers = {"authorization": f"Bearer {key or self.acme.keys['admin']}"}
        answer = httpx.request(method, f"{self.root}/api/v1/{path}", json=body, headers=headers, timeout=30)
        if expect is not None:
            assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def ask(self, mode: str, text: str, key: str | None = None, **more: Any) -> httpx.Response:
        body = {"model": self[mode], "messages": [{"role": "user", "content": text}], **more}
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx.post(self.root + "/v1/chat/completions", json=body, headers=headers, timeout=30)

    def put_in_force(self, name: str, rules: dict[str, Any]) -> None:
        """A policy for the whole tenant; the worker knows of it when this returns."""
        body = {"name": name, "applies_to": {"scope": "tenant"}, "rules": rules}
        made = self.manage("POST", "policies", body, expect=201)
        self.manage("POST", f"policies/{made['id']}/activate", expect=200)
        label = f"{made['id']}@{made['version']}"
        for _ in range(100):
            if self.ask("echo", "x").headers["x-customhouse-policy"] == label:
                return
            time.sleep(0.05)
        raise AssertionError("the worker did not hear of the policy")

    def events(self, request_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.manage("GET", f"audit/events?request_id={request_id}")["results"]
        return found

    def _connect(self, mode: str) -> None:
        """A deployment with prices and a model, known to the worker when this returns."""
        name = f"{self.run}-{mode}"
        body = {
            "provider": self.provider,
            "name": name,
            "upstream_model": mode,
            "capabilities": [{"embed": "embeddings", "rerank": "rerank"}.get(mode, "chat")],
            "timeout_s": 0.5 if mode in IMPATIENT else 20,
        }
        deployment = self.manage("POST", "deployments", body, expect=201)["id"]
        price = {"deployment": deployment, "valid_from": "2020-01-01T00:00:00Z"}
        for kind, amount in (("input", "3.00"), ("output", "15.00")):
            self.manage("POST", "prices", {**price, "kind": kind, "per_million": amount}, expect=201)
        self.manage("POST", "models", {"name": name, "deployments": [{"deployment": deployment}]}, expect=201)
        self.wait_for_model(name)

    def wait_for_model(self, name: str) -> None:
        """Workers hear of a change at its commit, which is a moment later."""
        for _ in range(100):
            if name in {model.id for model in self.sdk().models.list()}:
                return
            time.sleep(0.02)
        raise AssertionError(f"the worker did not hear of {name}")


@pytest.fixture(scope="module")
def gateway(server: Server, vendor: Vendor) -> Gateway:
    acme = house("acme", ("legal", "sales"))
    with scope(PLATFORM):
        _, platform_key = make_key(name="tests", department=None, role="owner", clearance=3)
    made = Gateway(server.root, acme, platform_key, token_hex(4))
    provider = {"name": made.run, "kind": "openai_compatible", "base_url": vendor.url, "api_key": "k"}
    body = {**provider, "tenants": [acme.slug]}
    made.provider = made.manage("POST", "providers", body, platform_key, expect=201)["id"]
    return made
