"""A text with what is replaced in it, for people: each stand-in marked by its type, with type and score on hover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

COLOURS: Final = 6


def marked(text: str, entities: Sequence[Mapping[str, Any]]) -> SafeString:
    """The text as it would leave. `entities` are those of a simulation; the originals do not appear."""
    types = list(dict.fromkeys(entity["type"] for entity in entities))
    return format_html_join("", "{}", ((piece,) for piece in _pieces(text, entities, types)))


def _pieces(text: str, entities: Iterable[Mapping[str, Any]], types: list[str]) -> Iterable[Any]:
    at = 0
    for entity in sorted(entities, key=lambda found: found["start"]):
        yield text[at : entity["start"]]
        at = entity["end"]
        yield format_html(
            '<mark class="ch-mark ch-series-{}" title="{}, score {}">{}</mark>',
            types.index(entity["type"]) % COLOURS,
            entity["type"],
            f"{entity['score']:.2f}",
            entity["replacement"],
        )
    yield text[at:]
