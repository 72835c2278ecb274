"""Behind PgBouncer in transaction mode connections are shared, transaction by transaction: never a foreign row."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from django.conf import settings

from gateway.wire import Wire
from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import scope
from tests.conftest import House
from tests.dataplane.conftest import Server, serving
from tests.dataplane.pooler import PROGRAM, Pooler

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed here")

CLIENTS, ROUNDS, CONNECTIONS = 4, 6, 3


@pytest.fixture(scope="module")
def pooler() -> Iterator[Pooler]:
    made = Pooler(settings.DATABASE_URL, CONNECTIONS)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def narrow() -> Iterator[Pooler]:
    """A pooler of one connection, so that everybody has the one that somebody else had."""
    made = Pooler(settings.DATABASE_URL, 1)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(database: None, pooler: Pooler) -> Iterator[Server]:
    with serving(DATABASE_URL=pooler.url, DATABASE_DIRECT_URL=settings.DATABASE_URL) as made:
        yield made


@pytest.fixture(scope="module")
def houses(acme: House, globex: House) -> tuple[House, House]:
    """Two tenants that keep something of the same name."""
    for house in (acme, globex):
        with scope(house.id):
            create_collection("secrets")
            ingest_now(Upload(collection="secrets", title=house.slug, text=f"The word of the vault is {house.slug}."))
    return acme, globex


class Client:
    """Somebody of one tenant who asks for everything, and minds what comes."""

    def __init__(self, server: Server, own: House, other: House) -> None:
        self._own, self._other = own, other
        self._key = own.key("developer", next(iter(own.departments)))
        self._http = httpx.Client(base_url=server.root, timeout=30)
        self.calls: list[str] = []
        self.wrong: list[Any] = []

    def run(self) -> None:
        for _ in range(ROUNDS):
            body = {"model": "echo", "messages": [{"role": "user", "content": self._own.slug}]}
            called = self._ask("POST", "/v1/chat/completions", body)
            self.calls.append(called.headers["x-request-id"])
            self._ask("POST", "/v1/retrieval/search", {"query": "the word of the vault"})
            self._ask("GET", "/api/v1/documents", owner=True)
            self._ask("GET", "/api/v1/audit/events?action=call.intent", owner=True, names_itself=False)
        self._http.close()

    def _ask(
        self, method: str, path: str, body: Any = None, owner: bool = False, names_itself: bool = True
    ) -> httpx.Response:
        key = self._own.owner_key if owner else self._key
        answer = self._http.request(method, path, json=body, headers={"authorization": f"Bearer {key}"})
        foreign = self._other.slug in answer.text or str(self._other.id) in answer.text
        if answer.status_code != 200 or foreign or (names_itself and self._own.slug not in answer.text):
            self.wrong.append((path, answer.status_code, answer.text[:300]))
        return answer


def test_two_tenants_over_three_connections_see_their_own_rows(server: Server, houses: tuple[House, House]):
    pairs = (houses, houses[::-1])
    clients = [Client(server, *pairs[number % 2]) for number in range(2 * CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [wrong for client in clients for wrong in client.wrong] == []
    for number, house in enumerate(houses):
        asked = {call for client in clients[number::2] for call in client.calls}
        assert len(asked) == CLIENTS * ROUNDS
        events = events_of(server, house, "call.outcome")
        assert {event["request_id"] for event in events} == asked


def events_of(server: Server, house: House, action: str) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {house.owner_key}"}
    found = httpx.get(f"{server.root}/api/v1/audit/events?action={action}&limit=1000", headers=headers, timeout=30)
    return list(found.json()["results"])


def test_what_is_revoked_is_heard_of_past_the_pooler(server: Server, houses: tuple[House, House]):
    acme = houses[0]
    key = acme.key("developer", "legal")
    headers = {"authorization": f"Bearer {key}"}

    def status() -> int:
        return httpx.get(server.root + "/v1/models", headers=headers, timeout=30).status_code

    assert status() == 200
    gone = f"{server.root}/api/v1/api-keys/{acme.key_ids[key]}"
    assert httpx.delete(gone, headers={"authorization": f"Bearer {acme.owner_key}"}, timeout=30).status_code == 204
    revoked = time.monotonic()
    while status() != 401:
        assert time.monotonic() - revoked < 1


@pytest.mark.parametrize("end", ["error", "rollback", "vanish"])
def test_a_scope_does_not_outlive_its_transaction(narrow: Pooler, houses: tuple[House, House], end: str):
    first = psycopg.connect(narrow.url)
    first.execute("select set_config('app.tenant', %s, true)", [str(houses[0].id)])
    [(seen, used)] = first.execute("select count(*), pg_backend_pid() from tenants_department").fetchall()
    assert seen == 2
    if end == "error":
        with pytest.raises(psycopg.errors.DivisionByZero):
            first.execute("select 1/0")
    if end != "vanish":
        first.rollback()
    first.close()
    with psycopg.connect(narrow.url) as second:
        [(scoped, rows, backend)] = second.execute(
            "select current_setting('app.tenant', true), count(*), pg_backend_pid() from tenants_department"
        ).fetchall()
        assert (scoped or "", rows) == ("", 0)
        assert backend == used or end == "vanish"  # whose transaction was left open has had its connection closed
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            second.execute(
                "insert into tenants_department (id, tenant_id, slug, name) values (gen_random_uuid(), %s, 'x', 'x')",
                [houses[0].id],
            )


async def test_nobody_runs_what_another_prepared(narrow: Pooler):
    """Two lanes of one worker give their statements the same names, and may be given the same connection."""
    numbers = await Wire.open(narrow.url, {"rows": "select $1::int"}, lambda: None)
    ids = await Wire.open(narrow.url, {"rows": "select $1::uuid"}, lambda: None)
    try:
        await numbers.run([("rows", [b"1"])])
        await ids.run([("rows", [str(UUID(int=1)).encode()])])
        await numbers.run([("rows", [b"2"])])
    finally:
        await numbers.close()
        await ids.close()
