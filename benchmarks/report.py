"""RESULTS.md: what was measured, on what, in tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its Markdown."""

    title: str
    text: str


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def machine() -> str:
    """One line on what was measured with."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    names = ("uvicorn", "uvloop", "aiohttp", "psycopg", "presidio-analyzer")
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} CPUs, {memory:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
    )


def write(sections: Iterable[Section]) -> None:
    """Replaces RESULTS.md."""
    parts = [
        "# Benchmark results",
        "Written by `make bench`. Driver, gateway, vendor and database shared this machine's CPUs, so read ratios "
        f"rather than absolute figures.\n\n{machine()}",
        *(f"## {section.title}\n\n{section.text}" for section in sections),
    ]
    RESULTS.write_text("\n\n".join(parts) + "\n")
