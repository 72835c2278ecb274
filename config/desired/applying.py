"""Brings about what a file says: the platform first, then each tenant, each in one transaction, whole or not at all.

A dry run does all of it and takes it back, so that it says what would be refused as well. What the file does not say
stays as it is; sections that it has are pruned where that is asked for. Nothing differs: nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.core.exceptions import ValidationError as Malformed
from django.db import DataError, IntegrityError, connection, transaction
from rest_framework.exceptions import APIException

from policies.errors import PoliciesError
from tenants import keys
from tenants.errors import TenantsError
from tenants.isolation import PLATFORM, scope
from tenants.models import ApiKey, Tenant
from tenants.services import revoke_key

from .calls import opened, whoever_applies
from .changes import Part
from .errors import Path, Problem, Refused, problems_of
from .kinds import Kind, Rows
from .reading import Document
from .sections import KINDS, TenantKind

#: where an installation's own part stands, and the word for it where a tenant's slug may
PLATFORM_PART = "platform"
SECTIONS = tuple(kind.section for kind in KINDS)


@dataclass
class Outcome:
    """What differed, by part, and what was wrong; `owner_keys`: slug -> the key of a new tenant."""

    parts: list[Part] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    owner_keys: dict[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        return any(part.changes for part in self.parts)


def apply(
    document: Document,
    *,
    only: str = "",
    prune: bool = False,
    dry_run: bool = False,
    keep_owner_keys: bool = False,
) -> Outcome:
    """Applies a file, or the part of it that `only` names (a tenant's slug, or `platform`).

    A new tenant's owner key is revoked at once unless somebody keeps it. Raises Refused for a file that has no sense.
    """
    check(document, only)
    work = _Work(document, prune, keep_owner_keys)
    with transaction.atomic() if dry_run else _each_by_itself():
        work.run(only)
        if dry_run:
            transaction.set_rollback(True)
    return work.outcome


@contextmanager
def _each_by_itself() -> Iterator[None]:
    """No transaction around all parts."""
    yield


# -- the shape of the file --------------------------------------------------------------------------------------------


def check(document: Document, only: str = "") -> None:
    """Raises Refused for what no file may say: unknown keys, and values of the wrong form."""
    problems = list(_misshapen(document.data))
    slugs = [] if problems else [tenant["slug"] for tenant in document.data.get("tenants", ())]
    twice = [number for number, slug in enumerate(slugs) if slug in slugs[:number]]
    problems += [Problem(("tenants", number), "This tenant stands here twice.") for number in twice]
    parts = [*slugs, *((PLATFORM_PART,) if not problems and PLATFORM_PART in document.data else ())]
    if only and not problems and only not in parts:
        problems.append(Problem((), f"It says nothing of {only!r}."))
    if problems:
        raise document.placed(problems)


def _misshapen(data: Any) -> Iterator[Problem]:
    if not isinstance(data, dict):
        yield Problem((), "It must say `platform:` or `tenants:`.")
        return
    yield from _unknown(data, (PLATFORM_PART, "tenants"), ())
    kinds = {kind.section: kind.known for kind in _unopened(KINDS)}
    if PLATFORM_PART in data:
        yield from _part(data[PLATFORM_PART], (), kinds, (PLATFORM_PART,))
    tenants = data.get("tenants", [])
    if not isinstance(tenants, list):
        yield Problem(("tenants",), "It must be a list.")
        return
    own = next(iter(_unopened((TenantKind,)))).known
    for number, tenant in enumerate(tenants):
        yield from _part(tenant, own, kinds, ("tenants", number))
        if isinstance(tenant, dict) and not isinstance(tenant.get("slug"), str):
            yield Problem(("tenants", number), "It has no slug.")
        if isinstance(tenant, dict) and tenant.get("slug") == PLATFORM_PART:
            yield Problem(("tenants", number, "slug"), "The platform's part stands under `platform:`.")


def _unopened(kinds: Iterable[type[Kind]]) -> Iterator[Kind]:
    """Kinds that are asked for their names alone."""
    return (kind(whoever_applies(PLATFORM, PLATFORM_PART)) for kind in kinds)


def _part(data: Any, own: tuple[str, ...], kinds: Mapping[str, tuple[str, ...]], path: Path) -> Iterator[Problem]:
    if not isinstance(data, dict):
        yield Problem(path, "It must be an object.")
        return
    yield from _unknown(data, (*own, *kinds), path)
    for section in kinds.keys() & data.keys():
        items = data[section]
        if not isinstance(items, list):
            yield Problem((*path, section), "It must be a list; [] is an empty one.")
            continue
        for number, item in enumerate(items):
            place = (*path, section, number)
            if isinstance(item, dict):
                yield from _unknown(item, kinds[section], place)
            else:
                yield Problem(place, "It must be an object.")


def _unknown(data: Mapping[str, Any], known: tuple[str, ...], path: Path) -> Iterator[Problem]:
    for name in data:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
            yield Problem((*path, name), f"This key is unknown; {hint}")


# -- the work ---------------------------------------------------------------------------------------------------------


class _Work:
    """One run."""

    def __init__(self, document: Document, prune: bool, keep_owner_keys: bool) -> None:
        self.document, self.prune, self.keep_owner_keys = document, prune, keep_owner_keys
        self.outcome = Outcome()
        self._parts: dict[str, Part] = {}

    def run(self, only: str) -> None:
        """The platform's part, on which tenants' may build, then theirs; one that fails holds up no other tenant."""
        data = self.document.data
        if PLATFORM_PART in data and only in ("", PLATFORM_PART):
            self._attempt(PLATFORM_PART, self._platform)
            if self.outcome.problems:
                return
        for number, tenant in enumerate(data.get("tenants", ())):
            if only in ("", tenant["slug"]):
                self._attempt(tenant["slug"], lambda place=number: self._tenant(place))

    def _attempt(self, slug: str, work: Any) -> None:
        made = dict(self.outcome.owner_keys)
        try:
            with transaction.atomic():
                _alone()
                work()
                _checked(())
        except Refused as refused:
            self.outcome.problems += self.document.placed(refused.problems).problems
            self.outcome.owner_keys = made
        else:
            self.outcome.parts.append(self._part(slug))

    def _part(self, slug: str) -> Part:
        title = PLATFORM_PART if slug == PLATFORM_PART else f"tenant {slug}"
        return self._parts.setdefault(slug, Part(title))

    def _platform(self) -> None:
        data = self.document.data[PLATFORM_PART]
        with scope(opened(PLATFORM, self.document.reason)):
            named = {slug for provider in data.get("providers", ()) for slug in provider.get("tenants") or ()}
            for number, tenant in enumerate(self.document.data.get("tenants", ())):
                if tenant["slug"] in named and not Tenant.objects.filter(slug=tenant["slug"]).exists():
                    self._row(tenant, ("tenants", number))
            self._sections(data, (PLATFORM_PART,), PLATFORM, PLATFORM_PART)

    def _tenant(self, number: int) -> None:
        data, path = self.document.data["tenants"][number], ("tenants", number)
        with scope(opened(PLATFORM, self.document.reason)):
            tenant = self._row(data, path)
        with scope(opened(tenant.pk, self.document.reason)):
            self._sections(data, path, tenant.pk, tenant.slug)

    def _row(self, data: Mapping[str, Any], path: Path) -> Tenant:
        """The tenant itself, made or changed in the platform's scope."""
        kind = TenantKind(whoever_applies(PLATFORM, PLATFORM_PART))
        own = {name: data[name] for name in kind.known if name in data}
        with _located(path):
            kind.settle(own, path, kind.one(data["slug"]), self._part(data["slug"]))
        tenant = Tenant.objects.get(slug=data["slug"])
        if kind.owner_key:
            self._keep(tenant, kind.owner_key)
        return tenant

    def _keep(self, tenant: Tenant, key: str) -> None:
        """A key that nobody knows is none that should open anything."""
        if self.keep_owner_keys:
            self.outcome.owner_keys[tenant.slug] = key
            return
        with scope(opened(tenant.pk, self.document.reason)):
            revoke_key(ApiKey.objects.get(public_id=keys.public_id(key)))
        self._part(tenant.slug).note("Its owner key is revoked, because nobody keeps it (--owner-keys FILE does).")

    def _sections(self, data: Mapping[str, Any], path: Path, tenant: Any, slug: str) -> None:
        caller, part = whoever_applies(tenant, slug), self._part(slug)
        done: list[tuple[Kind, Rows]] = []
        for make in KINDS:
            if make.section in data:
                kind = make(caller)
                rows = kind.found()
                _settle(kind, data[kind.section], (*path, kind.section), rows, part)
                done.append((kind, rows))
        if self.prune:
            for kind, rows in reversed(done):
                _prune(kind, rows, part)


def _settle(kind: Kind, items: list[dict[str, Any]], path: Path, rows: Rows, part: Part) -> None:
    """All objects of a section; all that is wrong with them is told at once."""
    problems: list[Problem] = []
    for number, item in enumerate(items):
        try:
            with _located((*path, number)):
                kind.settle(item, (*path, number), rows, part)
        except Refused as refused:
            problems += refused.problems
    if problems:
        raise Refused(*problems)


def _prune(kind: Kind, rows: Rows, part: Part) -> None:
    """What is not in the file ends as the API ends it; what is still in use stays."""
    for row in rows.left():
        if not kind.removable(row):
            continue
        title = kind.title(kind.shown(row))
        try:
            with _located(()):
                more = kind.remove(row)
                _checked(())
        except Refused as refused:
            part.note(f"{title} stays: {refused.problems[0].message}")
        else:
            part.removed(title, more)


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """A step whose errors tell the place; what it did is taken back. Raises Refused."""
    try:
        with transaction.atomic():
            yield
    except APIException as error:
        raise Refused(*problems_of(error.detail, path)) from error
    except (TenantsError, PoliciesError, ObjectDoesNotExist) as error:
        raise Refused(Problem(path, str(error))) from error
    except IntegrityError as error:
        raise Refused(Problem(path, "It is in use, or its name is, or it refers to something that is gone.")) from error
    except (DataError, Malformed, UnicodeError, OverflowError) as error:
        raise Refused(Problem(path, "A value is malformed.")) from error


def _alone() -> None:
    """Until the transaction ends nobody else applies a file: whoever does waits, and then finds nothing to change."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('customhouse apply', 0))")


def _checked(path: Path) -> None:
    """Asks the database for references that it would look at when the transaction ends: a dry run has no such end."""
    with _located(path), connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("set constraints all deferred")


__all__ = ["PLATFORM_PART", "SECTIONS", "Outcome", "apply", "check"]
