"""What is revoked is revoked on every worker: within a second, and within five when Redis and notices are gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import psycopg
import pytest

from tests.baddays.conftest import Answer, House, Installation, crashed, eventually

pytestmark = pytest.mark.timeout(300)

#: Clients that keep their connection, so that both workers are asked; together about a hundred samples.
CLIENTS, ROUNDS = 8, 13
#: So many refusals in a row, and a client needs no more to be convinced.
CONVINCED = 10
ANNOUNCE = (Path(__file__).parents[2] / "tenants" / "isolation" / "sql" / "announce.sql").read_text()


class Crowd:
    """Clients of one key on connections of their own, which ask until they are refused."""

    def __init__(self, acme: House, key: str, mode: str = "echo") -> None:
        self._url = acme.at.root + "/v1/chat/completions"
        message = {"role": "user", "content": "good morning"}
        self._body = {"model": f"{acme.run}-{mode}", "messages": [message], "max_tokens": 20}
        self._headers = {"authorization": f"Bearer {key}"}
        self._clients = [httpx.Client(timeout=30) for _ in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients:
            client.close()

    def ask(self, client: httpx.Client) -> int:
        return client.post(self._url, json=self._body, headers=self._headers).status_code

    def warm(self) -> bool:
        """Whether all are answered."""
        return {self.ask(client) for client in self._clients} == {200}

    def until_refused(self, change: Callable[[], Any]) -> tuple[list[float], set[int]]:
        """Seconds from the change's commit to each client's last answer that still came, and how they are refused."""
        last, in_a_row = [0.0] * CLIENTS, [0] * CLIENTS
        refused: set[int] = set()
        over = threading.Event()

        def client(number: int) -> None:
            while not over.is_set():
                began, status = time.monotonic(), self.ask(self._clients[number])
                if status == 200:
                    last[number], in_a_row[number] = began, 0
                else:
                    refused.add(status)
                    in_a_row[number] += 1
                time.sleep(0.01)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            change()
            self.committed = committed = time.monotonic()
            eventually(lambda: min(in_a_row) >= CONVINCED, LONGEST)
        finally:
            over.set()
            for thread in threads:
                thread.join(40)
        return [max(0.0, one - committed) for one in last], refused


LONGEST = 1.5


class Streams:
    """Streams of ten seconds that a key has running, one at each worker or more."""

    def __init__(self, acme: House, key: str, number: int = 4) -> None:
        self._got: list[Answer] = []
        before = acme.vendor.asked["slow"]
        work = lambda: self._got.append(acme.ask("slow", stream=True, key=key, max_tokens=200))  # noqa: E731
        self._threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in self._threads:
            thread.start()
        assert eventually(lambda: acme.vendor.asked["slow"] >= before + number, 20)

    def cut(self) -> list[float]:
        """When each ended, of those that were cut in the middle."""
        for thread in self._threads:
            thread.join(30)
        assert {(answer.status, answer.whole) for answer in self._got} == {(200, False)}
        return [answer.ended for answer in self._got]


@contextmanager
def without_notices(at: Installation) -> Iterator[None]:
    """Changes raise revisions, and nobody is told."""
    function = ANNOUNCE.split("create or replace function wall.announce")[0]
    with psycopg.connect(at.running.database_url, autocommit=True) as owner:
        owner.execute(function.replace("perform pg_notify", "-- "))
        try:
            yield
        finally:
            owner.execute(function)


def test_a_revoked_key_is_refused_by_every_worker_within_a_second(acme: House):
    delays: list[float] = []
    for _ in range(ROUNDS):
        made = acme.new_key()
        with Crowd(acme, made["key"]) as crowd:
            assert eventually(crowd.warm, 10)
            revoke = f"api-keys/{made['id']}"
            found, refused = crowd.until_refused(lambda path=revoke: acme.at.manage(acme.owner, "DELETE", path))
            assert refused == {401}
            delays += found
    delays.sort()
    assert len(delays) > 100
    print(f"in force after: median {delays[len(delays) // 2]:.3f} s, p99 {delays[int(len(delays) * 0.99)]:.3f} s")
    assert delays[int(len(delays) * 0.99)] <= 1.0, delays[-5:]


def test_running_streams_are_cut_within_two_seconds(acme: House):
    made = acme.new_key()
    assert eventually(lambda: {acme.ask(key=made["key"]).status for _ in range(4)} == {200}, 10)
    streams = Streams(acme, made["key"])
    acme.at.manage(acme.owner, "DELETE", f"api-keys/{made['id']}")
    committed = time.monotonic()
    assert max(streams.cut()) - committed <= 2.0


@pytest.mark.parametrize("what", ["policy", "model", "maker"])
def test_what_else_takes_a_right_away_does_so_within_a_second(acme: House, what: str):
    manage, run = acme.at.manage, acme.run
    maker = acme.new_key(role="admin", department=None)
    made = manage(maker["key"], "POST", "api-keys", {"name": "app", "department": "legal"})
    mode = "echo"
    if what == "policy":
        place = {"scope": "key", "target": made["id"]}
        rules = {"models": {"deny": [f"{run}-echo"]}}
        policy = manage(acme.owner, "POST", "policies", {"name": token_hex(4), "rules": rules, "applies_to": place})
        change, status = (lambda: manage(acme.owner, "POST", f"policies/{policy['id']}/activate")), 403
    elif what == "model":
        mode = token_hex(4)
        route = [{"deployment": f"{run}-echo"}]
        model = manage(acme.owner, "POST", "models", {"name": f"{run}-{mode}", "deployments": route})
        change, status = (lambda: manage(acme.owner, "DELETE", f"models/{model['id']}")), 404
    else:
        change, status = (lambda: manage(acme.owner, "DELETE", f"api-keys/{maker['id']}")), 401
    with Crowd(acme, made["key"], mode) as crowd:
        assert eventually(crowd.warm, 10)
        delays, refused = crowd.until_refused(change)
    assert refused == {status}
    assert max(delays) <= 1.0


def test_without_redis_and_notices_it_takes_five_seconds_at_most(acme: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(globals(), "LONGEST", 6.0)
    made = acme.new_key()
    with Crowd(acme, made["key"]) as crowd:
        assert eventually(crowd.warm, 10)
        streams = Streams(acme, made["key"])
        with without_notices(acme.at), crashed(acme.at.redis):
            path = f"api-keys/{made['id']}"
            delays, refused = crowd.until_refused(lambda: acme.at.manage(acme.owner, "DELETE", path))
            cut = max(streams.cut()) - crowd.committed
    assert refused == {401}
    assert 0 < max(delays) <= 5.0
    assert cut <= 5.0
