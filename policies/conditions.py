"""Rules that hold in a context: from which network, when, for what purpose, and by what device or other claim of a
caller's token a call is made.

The `conditions` section of a policy document is a list. Each condition only ever tightens:

    {"unless": {"network": ["10.0.0.0/8"]}, "refuse": "Only from the office's network."}
    {"when": {"time": {"days": ["sat", "sun"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}},
     "rules": {"models": {"deny": ["gpt-4o"]}}}
    {"when": {"purpose": ["marketing"]}, "rules": {"pii": {"PERSON": "block"}}}
    {"unless": {"claim": {"device.managed": ["true"]}}, "refuse": "Only from devices that we manage."}

`when` holds if all that it names hold, `unless` if not all of it does: what is not known (an address, a purpose, a
claim of a caller without a token) is never in a list. Conditions of wider policies stay beside those of narrower ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tenants.tokens import claim

from .errors import RulesError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FACETS = ("network", "time", "purpose", "claim")
LONGEST_REASON = 300

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Context:
    """From where, for what, with which proven claims and when a call is made; '' is not known, no moment means now."""

    address: str = ""
    purpose: str = ""
    moment: datetime | None = None
    claims: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the week. From 22:00 to 06:00 is the night that begins on those days."""

    days: frozenset[int]
    begins: time
    ends: time
    zone: ZoneInfo

    def hold(self, moment: datetime) -> bool:
        """Whether a moment lies in them."""
        local = moment.astimezone(self.zone)
        clock, day = local.time(), local.weekday()
        if self.begins < self.ends:
            return day in self.days and self.begins <= clock < self.ends
        return (day in self.days and clock >= self.begins) or ((day - 1) % 7 in self.days and clock < self.ends)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be so (None: is not asked), and what holds then: further rules, or a refusal."""

    negated: bool
    networks: tuple[Network, ...] | None
    hours: Hours | None
    purposes: frozenset[str] | None
    claims: tuple[tuple[str, frozenset[str]], ...] | None
    document: dict[str, Any]
    refusal: str

    def holds(self, context: Context) -> bool:
        """Whether the condition is fulfilled."""
        answers = []
        if self.networks is not None:
            answers.append(_within(context.address, self.networks))
        if self.hours is not None:
            answers.append(self.hours.hold(context.moment or datetime.now(UTC)))
        if self.purposes is not None:
            answers.append(context.purpose in self.purposes)
        if self.claims is not None:
            said = context.claims or {}
            answers += [not values.isdisjoint(_said(claim(said, name))) for name, values in self.claims]
        return all(answers) is not self.negated


def parse(section: Any) -> tuple[Condition, ...]:
    """The conditions that a document's section says. Raises RulesError, naming the place."""
    if not isinstance(section, list):
        raise RulesError("conditions must be a list.")
    return tuple(_condition(entry, f"conditions[{number}]") for number, entry in enumerate(section))


def _condition(entry: Any, place: str) -> Condition:
    _keys(entry, place, ("when", "unless", "rules", "refuse"))
    if ("when" in entry) == ("unless" in entry):
        raise RulesError(f"{place} must have either `when` or `unless`.")
    if ("rules" in entry) == ("refuse" in entry):
        raise RulesError(f"{place} must have either `rules` or `refuse`.")
    word = "when" if "when" in entry else "unless"
    asked, where = entry[word], f"{place}.{word}"
    _keys(asked, where, FACETS)
    if not asked:
        raise RulesError(f"{where} must name one of {', '.join(FACETS)}.")
    return Condition(
        negated=word == "unless",
        networks=_networks(asked["network"], f"{where}.network") if "network" in asked else None,
        hours=_hours(asked["time"], f"{where}.time") if "time" in asked else None,
        purposes=frozenset(_words(asked["purpose"], f"{where}.purpose")) if "purpose" in asked else None,
        claims=_claims(asked["claim"], f"{where}.claim") if "claim" in asked else None,
        document=entry.get("rules", {}),
        refusal=_sentence(entry["refuse"], f"{place}.refuse") if "refuse" in entry else "",
    )


def _networks(value: Any, place: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(network, strict=False) for network in _words(value, place))
    except ValueError as error:
        raise RulesError(f"{place}: {error}.") from error


def _claims(value: Any, place: str) -> tuple[tuple[str, frozenset[str]], ...]:
    if not isinstance(value, dict) or not value:
        raise RulesError(f"{place} must be an object of claims and the words that they may have.")
    return tuple((str(name), frozenset(_words(words, f"{place}.{name}"))) for name, words in value.items())


def _said(value: Any) -> list[str]:
    """What a claim says, as words: of a list each, numbers and truths as JSON writes them."""
    if isinstance(value, list):
        return [word for one in value for word in _said(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)] if isinstance(value, str | int) else []


def _hours(value: Any, place: str) -> Hours:
    _keys(value, place, ("days", "from", "to", "timezone"))
    days = _words(value.get("days", list(DAYS)), f"{place}.days")
    unknown = sorted(set(days) - set(DAYS))
    if unknown:
        raise RulesError(f"{place}.days: {unknown[0]!r} is none of {', '.join(DAYS)}.")
    try:
        zone = ZoneInfo(str(value.get("timezone", "UTC")))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RulesError(f"{place}.timezone: there is no time zone {value.get('timezone')!r}.") from error
    begins, ends = (_clock(value.get(name, "00:00"), f"{place}.{name}") for name in ("from", "to"))
    return Hours(frozenset(map(DAYS.index, days)), begins, ends, zone)


def _clock(value: Any, place: str) -> time:
    try:
        found = time.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise RulesError(f"{place} must be a time of day such as 08:30.") from error
    return found.replace(tzinfo=None)


def _words(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise RulesError(f"{place} must be a list of words that is not empty.")
    return value


def _sentence(value: Any, place: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_REASON:
        raise RulesError(f"{place} must be a sentence of at most {LONGEST_REASON} characters.")
    return value.strip()


def _keys(value: Any, place: str, known: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise RulesError(f"{place} must be an object.")
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise RulesError(f"{place}.{unknown[0]} is unknown; known are {', '.join(known)}.")


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
