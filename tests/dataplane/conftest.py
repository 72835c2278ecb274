"""A real server process, a fake vendor, and a tenant that reaches it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import openai
import pytest
from django.conf import settings

from config.demo import _baseline, _offline_models
from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.conftest import House, house
from tests.vendor import Vendor

MODES = ("echo", "fixed", "tool", "no-usage", "slow", "error-500", "error-429", "garbage", "breaks", "embed")


class Server:
    """One worker on a socket of its own; it can be killed and comes back on the same address."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self._listener.set_inheritable(True)
        self.root = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        fd = self._listener.fileno()
        command = [sys.executable, "-m", "config.serve", str(fd)]
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=dict(os.environ), pass_fds=(fd,))
        for _ in range(300):
            try:
                if httpx.get(self.root + "/readyz", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._listener.close()


@pytest.fixture(scope="session")
def server(database: None) -> Iterator[Server]:
    with scope(PLATFORM):
        _baseline()
        _offline_models()
    Path(settings.HOME).mkdir(exist_ok=True, parents=True)
    made = Server()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def vendor() -> Iterator[Vendor]:
    with Vendor() as made:
        yield made


@dataclass
class Gateway:
    """Acme at the running server: Alice's key, and the names of the vendor's modes."""

    root: str
    acme: House
    platform_key: str
    run: str
    provider: str = ""

    @property
    def key(self) -> str:
        return self.acme.keys["developer"]

    def __getitem__(self, mode: str) -> str:
        return f"{self.run}-{mode}"

    def sdk(self, key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(api_key=key or self.key, base_url=self.root + "/v1", max_retries=0, timeout=30)

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

    def events(self, request_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.manage("GET", f"audit/events?request_id={request_id}")["results"]
        return found

    def connect(self, vendor: Vendor, mode: str, provider: str, alias: str | None = None, **more: Any) -> None:
        name = self[alias or mode]
        kind = ["embeddings"] if mode == "embed" else ["chat"]
        body = {
            "provider": provider,
            "name": name,
            "upstream_model": mode,
            "capabilities": kind,
            "timeout_s": 20,
            **more,
        }
        deployment = self.manage("POST", "deployments", body, expect=201)
        for price, amount in (("input", "3.00"), ("output", "15.00")):
            row = {
                "deployment": deployment["id"],
                "kind": price,
                "per_million": amount,
                "valid_from": "2020-01-01T00:00:00Z",
            }
            self.manage("POST", "prices", row, expect=201)
        self.manage("POST", "models", {"name": name, "deployments": [{"deployment": deployment["id"]}]}, expect=201)


@pytest.fixture(scope="module")
def gateway(server: Server, vendor: Vendor) -> Gateway:
    acme = house("acme", ("legal", "sales"))
    with scope(PLATFORM):
        _, platform_key = make_key(name="tests", department=None, role="owner", clearance=3)
    made = Gateway(server.root, acme, platform_key, token_hex(4))
    body = {
        "name": made.run,
        "kind": "openai_compatible",
        "base_url": vendor.url,
        "api_key": "k",
        "tenants": [acme.slug],
    }
    provider = made.manage("POST", "providers", body, platform_key, expect=201)["id"]
    for mode in MODES:
        made.connect(vendor, mode, provider)
    made.provider = provider
    return made
