"""What an installation is, as a file that makes another one like it.

Secrets are not read: where there is one, the file names a variable for it. What belongs to one installation alone
(API keys, and budgets and policies of single keys), what passed (versions that are not in force) and what is said to
objects one by one (grants) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant

from .applying import PLATFORM_PART
from .calls import opened, whoever_applies
from .kinds import Kind, Values
from .reading import knowing
from .secrets import variable
from .sections import KINDS, TenantKind

#: objects that are read best in one line
LINES = ("memberships", "prices", "budgets")


class Line(dict[str, Any]):
    """An object that is written in one line."""


@knowing
class _Dumper(yaml.SafeDumper):
    """Quotes what `reading`, or anybody who reads YAML 1.1, would not take for text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    Line, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)
_Dumper.add_representer(str, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data)))
_Dumper.add_multi_representer(str, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data)))


def export(only: str = "") -> str:
    """The whole installation, or one tenant of it (`platform`: the platform's part), as YAML.

    Raises ObjectDoesNotExist for an unknown tenant.
    """
    variables: set[str] = set()
    data: Values = {}
    with scope(PLATFORM):
        tenants = list(Tenant.objects.exclude(pk=PLATFORM).order_by("slug"))
        wanted = [tenant for tenant in tenants if only in ("", tenant.slug)]
        if only not in ("", PLATFORM_PART) and not wanted:
            raise Tenant.DoesNotExist(f"There is no tenant {only!r}.")
        kind = TenantKind(whoever_applies(PLATFORM, PLATFORM_PART))
        own = {tenant.pk: kind.exported(tenant) or {} for tenant in wanted}
    if only in ("", PLATFORM_PART):
        data[PLATFORM_PART] = _sections(PLATFORM, PLATFORM_PART, variables)
    if only != PLATFORM_PART:
        data["tenants"] = [own[tenant.pk] | _sections(tenant.pk, tenant.slug, variables) for tenant in wanted]
    return written(data, variables)


def written(data: Values, variables: Iterable[str] = ()) -> str:
    """A file's text."""
    head = "# Customhouse's configuration: manage.py apply FILE brings an installation there.\n"
    names = sorted(variables)
    if names:
        head += "# Secrets are read from the environment:\n" + "".join(f"#   {name}\n" for name in names)
    body = yaml.dump(_styled(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return head + "\n" + str(body)


def _sections(tenant: Any, slug: str, variables: set[str]) -> Values:
    found: Values = {}
    with scope(opened(tenant, "")):
        for make in KINDS:
            kind = make(whoever_applies(tenant, slug))
            rows = [values for row in kind.rows() if (values := _row(kind, row, slug, variables)) is not None]
            if rows:
                found[kind.section] = rows
    return found


def _row(kind: Kind, row: Any, slug: str, variables: set[str]) -> Values | None:
    said = kind.exported(row)
    for name in kind.secrets if said is not None else ():
        if said is not None and kind.sealed(row, name):
            said[name] = {"env": _variable(kind, said, slug, name, variables)}
    return said


def _variable(kind: Kind, said: Values, slug: str, name: str, variables: set[str]) -> str:
    """A name for a secret that no other one has."""
    wanted = variable("" if slug == PLATFORM_PART else slug, *map(str, kind.key(said)), name)
    found, number = wanted, 1
    while found in variables:
        number += 1
        found = f"{wanted}_{number}"
    variables.add(found)
    return found


def _styled(data: Any, section: str = "") -> Any:
    """The same with its one-line objects marked."""
    if isinstance(data, dict):
        inner = {str(name): _styled(value, str(name)) for name, value in data.items()}
        return Line(inner) if section in ("env", "line") or "env" in inner else inner
    if isinstance(data, list):
        place = "line" if section in LINES or all(isinstance(one, dict) and "deployment" in one for one in data) else ""
        styled = [_styled(one, place) for one in data]
        return styled if any(isinstance(one, dict) for one in data) else _Words(styled)
    return data


class _Words(list[Any]):
    """A list of plain values, in one line."""


_Dumper.add_representer(
    _Words, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)
