"""However changes, readings, notices and polls of a tenant interleave, what was refused once is never let in again.

A reading of the database stops twice, after it knows the revision and before it is kept; everything else may happen
meanwhile. Which step follows which is drawn from a seed, and a failure names it. Each schedule takes five things away,
each at a moment of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections

from gateway.models import Deployment, Model, Provider, Route
from policies.activation import activate
from policies.models import Policy
from policies.services import rules_for
from tenants import directory
from tenants.data import Caller
from tenants.errors import UnknownCredential
from tenants.isolation import PLATFORM, scope
from tenants.isolation.pool import make_pool
from tenants.models import Department, User
from tenants.services import (
    add_person,
    caller_of_key,
    make_key,
    make_tenant,
    remove_person,
    revoke_key,
    rotate_key,
)
from tenants.snapshot import LOADERS, Snapshot, Snapshots

SEED, INTERLEAVINGS, ROUND = 4711, 1000, 50
KINDS = ("revoke", "rotate", "leave", "deny", "withdraw")
STEPS = ("read", "notice", "poll", "go on", "go on")


@dataclass
class Subject:
    """A key, what is about to be taken from it, and how."""

    kind: str
    key: str
    model: str
    change: Callable[[], object]


def subjects(tenant: UUID) -> list[Subject]:
    """A round of keys that all may do everything still."""
    with scope(tenant):
        place = Department.objects.first()
        provider = Provider.objects.create(name=token_hex(4), kind="scripted")
        deployment = Deployment.objects.create(provider=provider, name=token_hex(4), upstream_model="echo")
        made = [_subject(KINDS[number % len(KINDS)], place, deployment, number) for number in range(ROUND)]
    connections.close_all()
    return made


def _subject(kind: str, place: Department | None, deployment: Deployment, number: int) -> Subject:
    user = None
    name = f"{token_hex(4)}-{number}"
    if kind == "leave":
        membership = add_person(f"{name}@acme.example", "Alice", "member", 1, [])
        user = User.objects.get(pk=membership.user_id)
    key, text = make_key(name=name, department=place, role="member", user=user)
    change: Callable[[], object]
    if kind == "revoke":
        change = lambda: revoke_key(key)  # noqa: E731
    elif kind == "rotate":
        change = lambda: rotate_key(key)  # noqa: E731
    elif kind == "leave":
        change = lambda: remove_person(membership)  # noqa: E731
    elif kind == "deny":
        rules = {"models": {"deny": [name]}}
        policy = Policy.objects.create(name=name, scope="key", target=key.pk, rules=rules)
        caller = caller_of_key(text)
        assert caller is not None
        change = lambda: activate(policy, caller)  # noqa: E731
    else:
        model = Model.objects.create(name=name)
        Route.objects.create(model=model, deployment=deployment)
        change = lambda: model.delete()  # noqa: E731
    return Subject(kind, text, name, change)


class House:
    """One tenant in one worker, whose readings stop where the schedule says."""

    def __init__(self, snapshots: Snapshots, tenant: UUID, database: ThreadPoolExecutor) -> None:
        self.snapshots, self.tenant, self._database = snapshots, tenant, database
        self._gate: asyncio.Future[None] | None = None
        self._open = True
        self._tasks: set[asyncio.Task[Any]] = set()

    async def stop(self, *_: Any) -> None:
        """Where a reading waits until it may go on."""
        if not self._open:
            self._gate = asyncio.get_running_loop().create_future()
            await self._gate

    async def step(self, what: str | Subject) -> None:
        """One step, until nothing moves any more but what waits at a gate."""
        if isinstance(what, Subject):
            await self.commit(what.change)
        elif what == "go on":
            self._go_on()
        else:
            work: Any = {
                "read": lambda: self.snapshots._load(self.tenant),
                "notice": lambda: self.snapshots._refresh([self.tenant]),
                "poll": lambda: self.snapshots._compare(),
            }[what]()
            self._tasks.add(asyncio.create_task(work))
        await self._settle()

    async def commit(self, change: Callable[[], object]) -> None:
        def run() -> None:
            with scope(self.tenant):
                change()

        await asyncio.get_running_loop().run_in_executor(self._database, run)

    async def end(self) -> None:
        """The notice of the change arrives, at last, and everything goes on."""
        self._open = True
        self._go_on()
        await asyncio.gather(*self._tasks)
        await self.snapshots._refresh([self.tenant])
        self._tasks.clear()

    def begin(self) -> None:
        self._open = False

    def _go_on(self) -> None:
        if self._gate is not None:
            gate, self._gate = self._gate, None
            gate.set_result(None)

    async def _settle(self) -> None:
        while self._gate is None and any(not task.done() for task in self._tasks):  # noqa: ASYNC110  (the database answers)
            await asyncio.sleep(0)

    async def allows(self, subject: Subject) -> bool:
        try:
            caller, snapshot = await self.snapshots.identify(subject.key)
        except UnknownCredential:
            return False
        return _may(subject, caller, snapshot)


def _may(subject: Subject, caller: Caller, snapshot: Snapshot) -> bool:
    if subject.kind == "deny":
        return rules_for(caller, snapshot).allows_model(subject.model)
    return subject.kind != "withdraw" or subject.model in snapshot.parts["catalogue"]


@asynccontextmanager
async def worker() -> AsyncIterator[Snapshots]:
    """A worker's memory that nobody tells anything but the schedule."""
    pool = make_pool(settings.DATABASE_URL, 4)
    await pool.open()
    try:
        yield Snapshots(settings.DATABASE_URL, pool, settings.API_KEY_PEPPER)
    finally:
        await pool.close()


def new_tenant() -> UUID:
    with scope(PLATFORM):
        tenant, _ = make_tenant(f"acme-{token_hex(4)}", "Acme")
    with scope(tenant.pk):
        Policy.objects.create(name="own", scope="tenant", rules={}, state="active")
        Department.objects.create(slug="legal", name="Legal")
    connections.close_all()
    return tenant.pk


@pytest.mark.timeout(180)
async def test_a_thousand_interleavings_revive_nothing(database: None, monkeypatch: pytest.MonkeyPatch):
    house: House
    granted = directory.grants

    async def grants(connection: Any) -> Any:
        await house.stop()
        return await granted(connection)

    monkeypatch.setattr(directory, "grants", grants)
    monkeypatch.setitem(LOADERS, "the end", lambda *_: house.stop())
    early = 0
    with ThreadPoolExecutor(1) as thread:
        for first in range(0, INTERLEAVINGS, ROUND):
            loop = asyncio.get_running_loop()
            tenant = await loop.run_in_executor(thread, new_tenant)
            round_ = await loop.run_in_executor(thread, subjects, tenant)
            async with worker() as snapshots:
                house = House(snapshots, tenant, thread)
                await snapshots.of(tenant)
                for place in range(0, ROUND, len(KINDS)):
                    early += await _interleave(house, round_[place : place + len(KINDS)], first + place)
            await loop.run_in_executor(thread, connections.close_all)
    assert early > INTERLEAVINGS // 10  # many were in force before their notice came


async def _interleave(house: House, taken: list[Subject], number: int) -> int:
    """Runs one schedule; how many of its changes were in force before their notice came."""
    drawn = random.Random(f"{SEED}/{number}")
    steps: list[str | Subject] = [*taken, *drawn.choices(STEPS, k=drawn.randint(6, 14))]
    drawn.shuffle(steps)
    place = f"schedule {number}: " + ", ".join(step if isinstance(step, str) else step.kind for step in steps)
    changed, refused = set[str](), set[str]()
    assert all([await house.allows(subject) for subject in taken]), place
    house.begin()
    for step in steps:
        await house.step(step)
        if isinstance(step, Subject):
            changed.add(step.kind)
        for subject in taken:
            allowed = await house.allows(subject)
            assert allowed or subject.kind in changed, f"{subject.kind} before its time in {place}"
            assert not (allowed and subject.kind in refused), f"{subject.kind} revived in {place}"
            if not allowed:
                refused.add(subject.kind)
    await house.end()
    assert not any([await house.allows(subject) for subject in taken]), f"still allowed after {place}"
    return len(refused)
