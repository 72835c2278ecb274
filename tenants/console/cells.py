"""How values look in the console: money, counts, times, ids, labels and bars, as safe HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = SafeString('<span class="ch-none">–</span>')

#: Tones of a label; each differs by its word as well, never by colour alone.
TONES = frozenset({"plain", "good", "bad", "warn", "note"})


def dollars(amount: Decimal) -> str:
    """`$1,234.56`; amounts under a dollar keep three significant digits, so that small costs are not zero."""
    size = abs(amount)
    places = 2 if size >= 1 or size == 0 else max(2, 2 - size.adjusted())
    sign = "-" if amount < 0 else ""
    whole, _, fraction = f"{size:,.{places}f}".partition(".")
    return f"{sign}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def money(amount: Decimal | None) -> SafeString:
    """An amount, with all its digits on hover."""
    if amount is None:
        return NOTHING
    return format_html('<span class="ch-num" title="{} USD">{}</span>', _exact(amount), dollars(amount))


def _exact(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int | None) -> SafeString:
    """A count with separators."""
    return NOTHING if number is None else format_html('<span class="ch-num">{}</span>', f"{number:,}")


def moment(when: datetime | None) -> SafeString:
    """A time: written in UTC, shown in the viewer's zone by the page's script, UTC on hover."""
    if when is None:
        return NOTHING
    utc = when.astimezone(UTC)
    return format_html(
        '<time class="ch-time" datetime="{}" title="{} UTC"><span>{}</span> <small>{} UTC</small></time>',
        utc.isoformat(timespec="milliseconds"),
        f"{utc:%Y-%m-%d %H:%M:%S}",
        f"{utc:%Y-%m-%d}",
        f"{utc:%H:%M:%S}",
    )


def short_id(value: UUID | str | None) -> SafeString:
    """The end of an id (its beginning is a time, which many share) with a button that copies the whole."""
    if not value:
        return NOTHING
    text = str(value)
    shown = f"…{text[-8:]}" if len(text) > 12 else text
    return format_html(
        '<span class="ch-id"><code title="{}">{}</code>'
        '<button type="button" class="ch-copy" data-copy="{}" aria-label="Copy the id {}"></button></span>',
        text,
        shown,
        text,
        text,
    )


def label(text: str, tone: str = "plain", title: str = "") -> SafeString:
    """A word in a box."""
    assert tone in TONES, tone
    return format_html('<span class="ch-label ch-{}" title="{}">{}</span>', tone, title, text)


def labels(texts: Iterable[object], tone: str = "plain") -> SafeString:
    """Several words in boxes, a dash when there are none."""
    found = format_html_join(" ", "{}", ((label(str(text), tone),) for text in texts))
    return SafeString(f'<span class="ch-labels">{found}</span>') if found else NOTHING


def counts(entities: Mapping[str, int]) -> SafeString:
    """Numbers by type, as `PERSON 2`."""
    return labels(f"{name} {number:,}" for name, number in sorted(entities.items()) if number)


def link(href: str, text: object) -> SafeString:
    return format_html('<a class="ch-link" href="{}">{}</a>', href, text)


def bar(spent: Decimal, reserved: Decimal, limit: Decimal) -> SafeString:
    """Spent and reserved as parts of a limit; the figures stand in its description for those who do not see it."""
    parts = [_percent(part, limit) for part in (spent, reserved)]
    tone = "bad" if parts[0] >= 100 else "warn" if parts[0] + parts[1] >= 80 else "good"
    said = f"{dollars(spent)} spent, {dollars(reserved)} reserved of {dollars(limit)}"
    return format_html(
        '<span class="ch-bar" role="img" aria-label="{}" title="{}"><span class="ch-bar-{}" style="width:{}%"></span>'
        '<span class="ch-bar-reserved" style="width:{}%"></span></span>',
        said,
        said,
        tone,
        *parts,
    )


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    if whole <= 0:
        return Decimal(100) if part > 0 or whole == 0 else Decimal(0)
    return min(Decimal(100), (part * 100 / whole).quantize(Decimal("0.1")))


def document(value: Any) -> SafeString:
    """A JSON value to be read by people."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="ch-json" tabindex="0">{}</pre>', text)


def words(first: object, second: object = "") -> SafeString:
    """A line of text with a smaller one below."""
    if not second:
        return format_html("{}", first)
    return format_html('<span class="ch-two"><span>{}</span><small>{}</small></span>', first, second)


def lines(items: Iterable[object]) -> SafeString:
    """Several things below each other, a dash when there are none."""
    found = format_html_join("", "<li>{}</li>", ((item,) for item in items))
    return SafeString(f'<ul class="ch-lines">{found}</ul>') if found else NOTHING


def size(octets: int) -> SafeString:
    """A size in bytes, kilobytes (1,000) or megabytes."""
    for unit, step in (("MB", 1_000_000), ("kB", 1_000)):
        if octets >= step:
            return format_html(
                '<span class="ch-num" title="{} bytes">{} {}</span>', f"{octets:,}", f"{octets / step:,.1f}", unit
            )
    return format_html('<span class="ch-num">{} bytes</span>', octets)
