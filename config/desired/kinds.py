"""What all sorts of objects have in common: how one in the file is compared with one in the database, and settled."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from django.core.exceptions import ObjectDoesNotExist
from rest_framework.exceptions import ValidationError

from tenants.api.views import ManagementView
from tenants.data import Caller

from . import secrets
from .calls import ask, view_of
from .changes import SEALED, Part
from .errors import Path, Problem, Refused, problems_of, spelled

#: an object as a file says it, or as one would say it
Values = dict[str, Any]


class Rows:
    """What is there of one sort, by what the file knows it by. What nobody takes is not in the file."""

    def __init__(self, found: Iterable[tuple[tuple[Any, ...], Any]], unique: bool) -> None:
        self._rows: dict[tuple[Any, ...], list[Any]] = {}
        self._taken: dict[tuple[Any, ...], Path] = {}
        self._unique = unique
        for key, row in found:
            self._rows.setdefault(key, []).append(row)

    def take(self, key: tuple[Any, ...], path: Path) -> Any:
        """The row with this key, None when there is none. Raises Refused for a second one in the file."""
        if self._unique and key in self._taken:
            raise Refused(Problem(path, f"It stands at {spelled(self._taken[key])} already."))
        self._taken[key] = path
        rows = self._rows.get(key)
        return rows.pop(0) if rows else None

    def left(self) -> list[Any]:
        return [row for rows in self._rows.values() for row in rows]


class Kind:
    """One sort of objects of one tenant.

    `fields` of the API's serializer that can be written are what a file may say; `also` are those of them that the API
    does not show, `secrets` are written as references, `fixed` cannot change once the object is there, `unread` are
    said for new ones alone. `usual` is what an export need not say.
    """

    word: ClassVar[str]
    section: ClassVar[str]
    view: ClassVar[type[ManagementView]]
    identity: ClassVar[tuple[str, ...]] = ("name",)
    also: ClassVar[tuple[str, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    fixed: ClassVar[tuple[str, ...]] = ()
    unread: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[Values] = {}
    unique: ClassVar[bool] = True

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    # -- what the file may say ----------------------------------------------------------------------------------------

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The API's fields by name."""
        return dict(view_of(self.view, self.caller).get_serializer().fields)

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The names that a file may say."""
        said = (*self.secrets, *self.also)
        written = [name for name, field in self.fields.items() if not field.read_only and not field.write_only]
        return tuple(dict.fromkeys([*written, *said]))

    # -- what is there ------------------------------------------------------------------------------------------------

    def rows(self) -> Iterable[Any]:
        """The tenant's own."""
        every: Any = self.view.queryset
        found: Iterable[Any] = every.filter(tenant_id=self.caller.tenant).order_by("id")
        return found

    def found(self) -> Rows:
        return Rows(((self.key(self.shown(row)), row) for row in self.rows()), self.unique)

    def shown(self, row: Any) -> Values:
        """A row as a file would say it, without its secrets."""
        seen = view_of(self.view, self.caller).get_serializer().to_representation(row)
        return {name: seen[name] for name in self.known if name in seen}

    def secret_of(self, row: Any, name: str) -> str:
        """What is sealed in a row; '' for nothing."""
        raise NotImplementedError

    def exported(self, row: Any) -> Values | None:
        """What an export says of a row, None for nothing."""
        shown = self.shown(row)
        return {name: value for name, value in shown.items() if name not in self.usual or value != self.usual[name]}

    # -- what is meant ------------------------------------------------------------------------------------------------

    def meant(self, data: Mapping[str, Any], path: Path) -> Values:
        """What the file says, in the form of `shown`. Raises Refused."""
        found: Values = {}
        problems: list[Problem] = []
        for name in data.keys() - set(self.secrets):
            try:
                found[name] = self.value(name, data[name])
            except ValidationError as error:
                problems += problems_of(error.detail, (*path, name))
            except ObjectDoesNotExist as error:
                problems.append(Problem((*path, name), str(error)))
        problems += [Problem(path, f"It has no {name}.") for name in self.identity if name not in data]
        if problems:
            raise Refused(*problems)
        return {name: found[name] for name in self.known if name in found}

    def value(self, name: str, value: Any) -> Any:
        """One field in the form of `shown`. Raises ValidationError, ObjectDoesNotExist."""
        field = self.fields[name]
        read = field.run_validation(self.sent(name, value))
        return None if read is None else field.to_representation(read)

    def sent(self, name: str, value: Any) -> Any:
        """One field as the API takes it."""
        return value

    def key(self, values: Values) -> tuple[Any, ...]:
        """What the object is known by."""
        return tuple(values[name] for name in self.identity)

    def title(self, values: Values) -> str:
        return f"{self.word} {values[self.identity[0]]}"

    # -- making it so -------------------------------------------------------------------------------------------------

    def settle(self, data: Mapping[str, Any], path: Path, rows: Rows, part: Part) -> None:
        """Makes or changes one object, if need be, and says so. Raises Refused and what the API raises."""
        after = self.meant(data, path)
        row = rows.take(self.key(after), path)
        if row is None:
            hidden = self.hidden(data, path, None, part)
            self.create({**{name: data[name] for name in data if name not in self.secrets}, **hidden}, path)
            part.made(self.title(after), after | dict.fromkeys(hidden, SEALED))
            return
        before = self.shown(row)
        changed = [name for name in after if name not in self.unread and self.differs(before.get(name), after[name])]
        stuck = [name for name in changed if name in self.fixed]
        if stuck:
            raise Refused(Problem((*path, stuck[0]), f"It stays {before[stuck[0]]!r}: this cannot change any more."))
        hidden = self.hidden(data, path, row, part)
        if changed or hidden:
            self.change(row, {**{name: data[name] for name in changed}, **hidden})
            sealed = dict.fromkeys(hidden, SEALED)
            part.changed(self.title(before), before | sealed, {name: after[name] for name in changed} | sealed)

    def differs(self, before: Any, after: Any) -> bool:
        return bool(before != after)

    def hidden(self, data: Mapping[str, Any], path: Path, row: Any, part: Part) -> dict[str, str]:
        """The secrets that are to be written: those of a new object, and those that are other than what is sealed."""
        found = {}
        for name in self.secrets:
            if name not in data:
                continue
            sealed = "" if row is None else self.sealed(row, name)
            try:
                secret = secrets.looked_up(data[name])
            except secrets.Misplaced as error:
                raise Refused(Problem((*path, name), str(error))) from None
            except secrets.Unreadable as error:
                if not sealed:
                    raise Refused(Problem((*path, name), str(error))) from None
                part.note(f"{spelled((*path, name))}: {error} What is sealed stays.")
                continue
            if not hmac.compare_digest(secret.encode(), sealed.encode()):
                found[name] = secret
        return found

    def sealed(self, row: Any, name: str) -> str:
        """The same, '' as well when it cannot be opened any more."""
        try:
            return self.secret_of(row, name)
        except InvalidTag:  # sealed under another secret of the installation: it is of no use
            return ""

    def create(self, data: Values, path: Path) -> None:
        ask(self.view, self.caller, "create", self._body(data))

    def change(self, row: Any, data: Values) -> None:
        ask(self.view, self.caller, "partial_update", self._body(data), row)

    def _body(self, data: Values) -> Values:
        return {name: self.sent(name, value) for name, value in data.items()}

    # -- pruning ------------------------------------------------------------------------------------------------------

    def removable(self, row: Any) -> bool:
        """Whether what is not in the file goes, when the file is all there is to be."""
        return True

    def remove(self, row: Any) -> str:
        """Ends it as the API does; returns what goes with it, in numbers."""
        ask(self.view, self.caller, "destroy", None, row)
        return ""
