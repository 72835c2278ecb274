"""An installation of its own, as `make up` starts it, whose servers and processes may be frozen and killed."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest
from celery import Celery
from django.conf import settings

from launch import process
from launch.postgres import Postgres
from launch.redis import Redis
from launch.servers import Servers, embedded
from tests.vendor import Vendor

ROOT = Path(settings.BASE_DIR)
MODES = ("echo", "slow")
WORKERS = 2


@contextmanager
def frozen(server: Postgres | Redis) -> Iterator[None]:
    """The server stands still: connections stay, nothing answers."""
    root = psutil.Process(server.pid)
    stopped = [root, *root.children(recursive=True)]
    for one in stopped:
        one.suspend()
    try:
        yield
    finally:
        for one in stopped:
            one.resume()


@contextmanager
def crashed(server: Postgres | Redis) -> Iterator[None]:
    """The server is killed, and comes back later."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@dataclass(frozen=True)
class Answer:
    """What a client got. `status` 0: the connection was lost before the head; `whole`: it ended as an answer should."""

    status: int
    request_id: str
    whole: bool
    began: float
    ended: float
    retry_after: str = ""
    code: str = ""
    message: str = ""


class Installation:
    """`python -m launch` with two server processes, on a PostgreSQL and a Redis that tests may take away."""

    def __init__(self, home: Path, running: Servers) -> None:
        self.running = running
        home.mkdir()
        said = home / "said"
        environment = os.environ | {
            "DATABASE_URL": running.database_url,
            "REDIS_URL": running.redis_url,
            "CUSTOMHOUSE_HOME": str(home),
            "CUSTOMHOUSE_PORT": "0",
            "CUSTOMHOUSE_WORKERS": str(WORKERS),
            "CUSTOMHOUSE_MODEL_DIR": str(settings.MODEL_DIR),
        }
        self._launcher = process.spawn([sys.executable, "-m", "launch"], said, environment=environment, directory=ROOT)
        assert eventually(lambda: "is ready" in said.read_text(), 200), said.read_text()
        demo = json.loads((home / "demo.json").read_text())
        self.root: str = demo["base_url"].removesuffix("/v1")
        self.platform_key: str = demo["platform_key"]
        assert eventually(lambda: len(self.living()) == WORKERS, 60), "not every worker has said that it lives"

    def end(self) -> None:
        """As Ctrl-C does."""
        self._launcher.terminate()
        self._launcher.wait(60)

    # -- what goes wrong --------------------------------------------------------------------------------------------

    @property
    def postgres(self) -> Postgres:
        assert self.running.postgres is not None
        return self.running.postgres

    @property
    def redis(self) -> Redis:
        assert self.running.redis is not None
        return self.running.redis

    def processes(self, command: str) -> list[psutil.Process]:
        """The launcher's children in whose command line a word stands."""
        return [child for child in psutil.Process(self._launcher.pid).children() if command in _command_line(child)]

    def busiest_server(self) -> psutil.Process:
        """The server process with most clients at the moment."""
        port = urlsplit(self.root).port

        def clients(server: psutil.Process) -> int:
            return sum(
                1 for one in server.net_connections("tcp") if one.status == "ESTABLISHED" and one.laddr[1] == port
            )

        return max(self.processes("config.serve"), key=clients)

    # -- what would take minutes ------------------------------------------------------------------------------------

    def order(self, task: str) -> None:
        """Has the Celery worker run a task now, and not when it is due."""
        Celery(broker=self.running.redis_url, set_as_current=False).send_task(task)

    def living(self, since: float = 0) -> list[Any]:
        """The server processes that have said that they live after a moment of the database's clock."""
        return [row[0] for row in self.rows("select id from billing_worker where seen_at > to_timestamp(%s)", since)]

    def bury(self, known: Sequence[Any], since: float) -> None:
        """Has the sweeper take those of `known` for dead that have not spoken since, as if half a minute had passed."""
        assert eventually(lambda: len(set(known) - set(self.living(since))) == 1, 30)
        dead = list(set(known) - set(self.living(since)))
        self.rows(
            "update billing_worker set seen_at = seen_at - interval '1 minute', "
            "suspected_at = now() - interval '1 minute' where id = any(%s) returning 1",
            dead,
        )
        self.order("billing.sweep")

    # -- questions --------------------------------------------------------------------------------------------------

    def manage(self, key: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.request(method, f"{self.root}/api/v1/{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def new_tenant(self) -> Any:
        return self.manage(self.platform_key, "POST", "tenants", {"slug": f"t-{token_hex(4)}", "name": "Tenant"})

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A question of the database's owner, whom the wall lets see everything."""
        with psycopg.connect(self.running.database_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def clock(self) -> float:
        """What the database's clock says."""
        return float(self.rows("select extract(epoch from clock_timestamp())")[0][0])

    def not_once(self, answers: Sequence[Answer]) -> list[tuple[Any, ...]]:
        """Those of the calls that have not exactly one intent, one outcome and one charge."""
        return self.rows(
            "select * from (select asked.id, "
            "(select count(*) from audit_event e where e.request_id = asked.id and action = 'call.intent') as intents, "
            "(select count(*) from audit_event e where e.request_id = asked.id and action = 'call.outcome') as ends, "
            "(select count(*) from billing_usage u where u.request_id = asked.id and final) as charges "
            "from unnest(%s::uuid[]) as asked (id)) found where (intents, ends, charges) <> (1, 1, 1)",
            [answer.request_id for answer in answers],
        )

    def open_calls(self, tenant: str) -> int:
        """Calls of a tenant that have begun and not ended."""
        found: int = self.rows(
            "select count(*) from audit_event i where tenant_id = %s and action = 'call.intent' and not exists "
            "(select from audit_event o where o.request_id = i.request_id and o.action = 'call.outcome')",
            tenant,
        )[0][0]
        return found


@dataclass
class House:
    """A tenant in the installation."""

    at: Installation
    vendor: Vendor
    id: str
    owner: str
    key: str
    run: str

    def ask(self, mode: str = "echo", *, stream: bool = False, key: str = "", **more: Any) -> Answer:
        body = {"model": f"{self.run}-{mode}", "messages": [{"role": "user", "content": "good morning"}], **more}
        headers = {"authorization": f"Bearer {key or self.key}"}
        began, status, request_id, wait, text = time.monotonic(), 0, "", "", ""
        try:
            url = self.at.root + "/v1/chat/completions"
            with httpx.stream("POST", url, json=body | {"stream": stream}, headers=headers, timeout=40) as answer:
                status, request_id = answer.status_code, answer.headers["x-request-id"]
                wait = answer.headers.get("retry-after", "")
                text = answer.read().decode()
        except httpx.HTTPError:
            pass  # the server died; what it had sent until then counts
        error = json.loads(text)["error"] if status > 200 and text else {"code": "", "message": ""}
        whole = status == 200 and text.endswith("data: [DONE]\n\n" if stream else "}")
        return Answer(status, request_id, whole, began, time.monotonic(), wait, error["code"], error["message"])

    def search(self, query: str, collections: Sequence[str] | None = None) -> httpx.Response:
        body = {"query": query} | ({"collections": collections} if collections else {})
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.post(self.at.root + "/v1/retrieval/search", json=body, headers=headers, timeout=30)

    def new_key(self, **more: Any) -> Any:
        body = {"name": token_hex(3), "department": "legal", "role": "developer", **more}
        return self.at.manage(self.owner, "POST", "api-keys", body)

    @contextmanager
    def crowd(self, clients: int = 6, slow: int = 2, **more: Any) -> Iterator[list[Answer]]:
        """Clients that ask without a pause, every other one for a stream, and some for slow ones; what they got."""
        got: list[Answer] = []
        over = threading.Event()

        def client(mode: str, stream: bool) -> None:
            while not over.is_set():
                got.append(self.ask(mode, stream=stream, **more))

        kinds = [("echo", number % 2 == 1) for number in range(clients)] + [("slow", True)] * slow
        threads = [threading.Thread(target=client, args=kind) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield got
        finally:
            over.set()
            for thread in threads:
                thread.join(60)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is no more
        return []


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether something becomes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    place = tmp_path_factory.mktemp("bad days")
    with embedded(place / "servers") as running:
        made = Installation(place / "home", running)
        yield made
        made.end()


@pytest.fixture(scope="package")
def acme(installation: Installation) -> Iterator[House]:
    """Alice's tenant, whose models are the vendor's modes at 3 and 15 dollars a million tokens."""
    run, manage = token_hex(4), installation.manage
    tenant = installation.new_tenant()
    owner = tenant["owner_key"]
    with Vendor() as vendor:
        provider = {"name": run, "kind": "openai_compatible", "base_url": vendor.url, "tenants": [tenant["slug"]]}
        manage(installation.platform_key, "POST", "providers", provider)
        manage(owner, "POST", "departments", {"slug": "legal", "name": "Legal"})
        for mode in MODES:
            name = f"{run}-{mode}"
            row = {"provider": run, "name": name, "upstream_model": mode, "capabilities": ["chat"], "timeout_s": 30}
            price = {
                "deployment": manage(owner, "POST", "deployments", row)["id"],
                "valid_from": "2020-01-01T00:00:00Z",
            }
            for kind, amount in (("input", "3.00"), ("output", "15.00")):
                manage(owner, "POST", "prices", {**price, "kind": kind, "per_million": amount})
            manage(owner, "POST", "models", {"name": name, "deployments": [{"deployment": price["deployment"]}]})
        made = House(installation, vendor, tenant["id"], owner, "", run)
        made.key = made.new_key()["key"]
        assert eventually(lambda: {made.ask(mode, max_tokens=20).status for mode in MODES * 4} == {200}, 30)
        yield made
