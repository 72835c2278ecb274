"""Opens a tenant: the settings that the row policies read, for one transaction and no longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, transaction

#: The platform is a tenant itself: it owns what serves all tenants (providers, models, prices, the baseline policy).
PLATFORM = UUID(int=0)

#: Clearances in rising order; a classification is compared by its place here.
CLEARANCES = ("public", "internal", "confidential", "restricted")

#: The reason of a change is a sentence.
REASON_LENGTH = 300

SETTINGS = (
    "app.tenant",
    "app.user",
    "app.login",
    "app.departments",
    "app.clearance",
    "app.actor",
    "app.reason",
    "app.confined",
)

READ = "select " + ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in SETTINGS)
WRITE = "select " + ", ".join(f"set_config('{name}', %s, true)" for name in SETTINGS)


@dataclass(frozen=True, slots=True)
class Scope:
    """Who looks at which tenant's rows, and as whom changes are recorded.

    `departments` None means all departments of the tenant; `clearance` is the index into CLEARANCES.
    `login` is the e-mail address somebody signs in with: it makes that one person's row readable, no other.
    `confined` says that the tenant's own identity provider vouches for the person, to this tenant and to no other: the
    wall shows nothing of theirs elsewhere, and lets nothing of their account be changed.
    """

    tenant: UUID | None = None
    user: UUID | None = None
    login: str = ""
    departments: tuple[UUID, ...] | None = None
    clearance: int = 3
    actor: dict[str, str] = field(default_factory=lambda: {"type": "system", "id": "", "name": "system"})
    reason: str = ""
    confined: bool = False

    def settings(self) -> tuple[str, ...]:
        """The values of SETTINGS, in that order."""
        departments = "*" if self.departments is None else "{" + ",".join(map(str, self.departments)) + "}"
        return (
            str(self.tenant or ""),
            str(self.user or ""),
            self.login.lower(),
            departments,
            str(self.clearance),
            json.dumps(self.actor, separators=(",", ":")),
            self.reason,
            "1" if self.confined else "",
        )


@contextmanager
def scope(tenant: UUID | Scope | None = None, **more: object) -> Iterator[Scope]:
    """Runs the block in one transaction that sees `tenant` (a Scope, or a tenant's id with Scope's other fields).

    Inside another scope the settings are put back at the end, so that a nested one never leaks outwards.
    """
    wanted = tenant if isinstance(tenant, Scope) else Scope(tenant=tenant, **more)  # type: ignore[arg-type]
    with transaction.atomic():
        before = _read()
        _write(wanted.settings())
        yield wanted
        _write(before)


def current() -> str:
    """The id of the tenant whose scope is open on Django's connection, '' when none is."""
    return _read()[0]


def _read() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return tuple(cursor.fetchone() or ())


def _write(values: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(WRITE, values)
