"""Measures the detection of personal data on a marked data set."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from policies.pii.data import DEFAULT_THRESHOLD
from policies.pii.engine import Engine
from policies.pii.errors import DetectorFailed
from policies.pii.evaluation import Example, Report, Score, evaluate, read
from policies.pii.ner.detector import names


class Command(BaseCommand):
    help = (
        "Recall, precision and F2 by type, the share that is covered by spans of any type, and KB/s, on a data set: "
        "JSON Lines of text and spans, Presidio's JSON, or CoNLL's columns."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", type=Path, nargs="+")
        parser.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD, help="Lowest score that counts.")
        parser.add_argument("--case", choices=("as-is", "lower", "upper"), default="as-is")
        parser.add_argument("--limit", type=int, help="Only so many examples of each data set.")
        parser.add_argument("--patterns-only", action="store_true", help="Without the named-entity model.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            engine = Engine(() if options["patterns_only"] else (names(),))
        except DetectorFailed as error:
            raise CommandError(str(error)) from None
        for path in options["dataset"]:
            try:
                examples = read(path)[: options["limit"]]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CommandError(f"{path}: cannot be read as a data set ({type(error).__name__}).") from None
            report = evaluate(engine, [_in_case(each, options["case"]) for each in examples], options["threshold"])
            self.stdout.write(f"{path.name}: {table(report)}")


def table(report: Report) -> str:
    """The report as text."""
    head = (
        f"{report.examples:,} texts, {report.characters / 1024:,.0f} KB, {report.kilobytes_a_second:,.0f} KB/s\n"
        f"{'type':24} {'marked':>7} {'recall':>7} {'precis.':>7} {'F2':>7} {'covered':>7}\n"
    )
    rows = [*sorted(report.types.items()), ("all", report.all())]
    return head + "".join(_row(kind, score) for kind, score in rows)


def _row(kind: str, score: Score) -> str:
    return (
        f"{kind:24} {score.marked:7,} {score.recall:7.3f} {score.precision:7.3f} {score.f2:7.3f} {score.cover:7.3f}\n"
    )


def _in_case(example: Example, case: str) -> Example:
    """The example in one case; as it is when that would move its spans."""
    text = {"as-is": example.text, "lower": example.text.lower(), "upper": example.text.upper()}[case]
    return Example(text, example.spans, example.annotated) if len(text) == len(example.text) else example
