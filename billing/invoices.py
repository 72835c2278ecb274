"""What a vendor's export says: usage or cost by day, model and key, from the CSV files that vendors let one download.

    openai      the usage export (`num_model_requests`, …) and the cost export (`amount_value`, `line_item`)
    anthropic   the usage export (`usage_date_utc`, `usage_input_tokens_no_cache`, …) and the cost export (`cost_usd`)
    generic     any table: a mapping says which column holds what

Token counts are made disjoint as the ledger's are: `input` without what was read from a cache or written to it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from io import StringIO

from .errors import InvoiceUnreadable

Line = Mapping[str, str]
TOKENS = ("input", "cached_input", "cache_write", "output")
#: what a generic mapping may name; day and model are needed, and one of the others
MAPPED = ("day", "model", "key", "requests", *TOKENS, "cost")
#: days × models × keys of a file; more is no invoice
MOST_CELLS = 200_000
_DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@\d{8}|-latest)$")


@dataclass(slots=True)
class Told:
    """Figures of one day, model and key; None: the file does not tell."""

    requests: int | None = None
    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    output: int | None = None
    cost: Decimal | None = None

    def add(self, other: Told) -> None:
        for one in fields(self):
            value = getattr(other, one.name)
            if value is not None:
                setattr(self, one.name, (getattr(self, one.name) or 0) + value)


Cell = tuple[date, str, str]


def read(text: str, vendor: str, mapping: Mapping[str, str] | None = None) -> dict[Cell, Told]:
    """A file's figures by (day, model, key). Raises InvoiceUnreadable, which says what is wrong and where."""
    head = text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    lines = csv.DictReader(StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    columns = [name.strip() for name in lines.fieldnames or ()]
    lines.fieldnames = columns
    take = _reader(vendor, columns, mapping or {})
    found: dict[Cell, Told] = {}
    for line in lines:
        if not any(value for value in line.values() if isinstance(value, str)):
            continue
        try:
            cell, told = take({name: (value or "").strip() for name, value in line.items() if isinstance(name, str)})
        except (ValueError, InvalidOperation, KeyError, OverflowError) as error:
            raise InvoiceUnreadable(f"Line {lines.line_num}: {error}.") from error
        if cell[1]:  # a bucket of time in which nothing happened has no model
            found.setdefault(cell, Told()).add(told)
        if len(found) > MOST_CELLS:
            raise InvoiceUnreadable(f"More than {MOST_CELLS:,} days, models and keys.")
    if not found:
        raise InvoiceUnreadable("The file holds no line with a model.")
    return found


def bare(model: str) -> str:
    """A model's name without its path and date: `openai/gpt-4o-2024-08-06` is `gpt-4o`."""
    return _DATED.sub("", model.rpartition("/")[2].lower())


def _reader(vendor: str, columns: Iterable[str], mapping: Mapping[str, str]) -> Callable[[Line], tuple[Cell, Told]]:
    named = set(columns)
    forms: dict[str, list[tuple[set[str], Callable[[Line], tuple[Cell, Told]]]]] = {
        "openai": [
            ({"model", "input_tokens", "output_tokens", "num_model_requests"}, _openai_usage),
            ({"amount_value", "line_item"}, _openai_cost),
        ],
        "anthropic": [
            (
                {"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"},
                _anthropic_usage,
            ),
            ({"usage_date_utc", "model", "cost_usd"}, _anthropic_cost),
        ],
    }
    if vendor == "generic":
        return _generic(mapping, named)
    for needed, reader in forms.get(vendor, ()):
        if needed <= named:
            return reader
    wanted = " or ".join(", ".join(sorted(needed)) for needed, _ in forms.get(vendor, ()))
    raise InvoiceUnreadable(f"The first line must name the columns of {vendor}'s export: {wanted}.")


def _openai_usage(line: Line) -> tuple[Cell, Told]:
    """`input_tokens` includes what was read from the cache."""
    cached = _count(line.get("input_cached_tokens")) or 0
    into = _count(line["input_tokens"]) or 0
    if cached > into:
        raise ValueError("more cached than input tokens")
    told = Told(
        requests=_count(line["num_model_requests"]),
        input=into - cached,
        cached_input=cached,
        output=_count(line["output_tokens"]) or 0,
    )
    return (_day(line.get("start_time_iso") or line["start_time"]), line["model"], line.get("api_key_id", "")), told


def _openai_cost(line: Line) -> tuple[Cell, Told]:
    """`line_item` is `<model>, <kind of token>`."""
    if line.get("amount_currency", "usd").lower() not in ("usd", ""):
        raise ValueError("costs must be in US dollars")
    model = line["line_item"].partition(",")[0].strip()
    day = _day(line.get("start_time_iso") or line["start_time"])
    return (day, model, line.get("api_key_id", "")), Told(cost=_amount(line["amount_value"]))


def _anthropic_usage(line: Line) -> tuple[Cell, Told]:
    written = [_count(value) or 0 for name, value in line.items() if name.startswith("usage_input_tokens_cache_write")]
    told = Told(
        input=_count(line["usage_input_tokens_no_cache"]) or 0,
        cached_input=_count(line.get("usage_input_tokens_cache_read")) or 0,
        cache_write=sum(written),
        output=_count(line["usage_output_tokens"]) or 0,
    )
    return (_day(line["usage_date_utc"]), line["model_version"], line.get("api_key", "")), told


def _anthropic_cost(line: Line) -> tuple[Cell, Told]:
    return (_day(line["usage_date_utc"]), line["model"], line.get("api_key", "")), Told(cost=_amount(line["cost_usd"]))


def _generic(mapping: Mapping[str, str], named: set[str]) -> Callable[[Line], tuple[Cell, Told]]:
    unknown = sorted(set(mapping) - set(MAPPED))
    absent = sorted(column for column in mapping.values() if column not in named)
    if unknown or absent or not {"day", "model"} <= set(mapping) or len(set(mapping) - {"day", "model", "key"}) < 1:
        raise InvoiceUnreadable(
            f"The mapping names columns of the file for day, model and any of {', '.join(MAPPED[3:])}."
            + (f" Unknown: {', '.join(unknown)}." if unknown else "")
            + (f" Not in the file: {', '.join(absent)}." if absent else "")
        )

    def take(line: Line) -> tuple[Cell, Told]:
        counts = {name: _count(line[mapping[name]]) for name in ("requests", *TOKENS) if name in mapping}
        cost = _amount(line[mapping["cost"]]) if "cost" in mapping else None
        key = line[mapping["key"]] if "key" in mapping else ""
        return (_day(line[mapping["day"]]), line[mapping["model"]], key), Told(**counts, cost=cost)

    return take


def _day(text: str) -> date:
    """A day (UTC) from a date, a time in ISO 8601 or unix seconds."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text), UTC).date()
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no date") from None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _count(text: str | None) -> int | None:
    """A whole number, separators allowed; None for an empty field."""
    if not text:
        return None
    number = _amount(text)
    assert number is not None
    if number != number.to_integral_value() or number < 0:
        raise ValueError(f"{text[:40]!r} is no count")
    return int(number)


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        number = Decimal(text.replace(",", "").replace("_", "").removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no number") from None
    if not number.is_finite() or abs(number) > 10**15:
        raise ValueError(f"{text[:40]!r} is no number")
    return number
