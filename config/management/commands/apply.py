"""Brings the installation to what a file says."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from config.desired.applying import Outcome, apply
from config.desired.changes import counted
from config.desired.errors import Refused
from config.desired.reading import Document, read

#: the exit status of a dry run that found something to do
PENDING = 2


class Command(BaseCommand):
    help = (
        "Makes tenants, providers, models, policies, budgets and the rest what FILE says, and writes nothing where "
        "nothing differs. Exit status: 0 done, or nothing to do; 1 refused; 2 a dry run found changes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", default="", metavar="SLUG", help="this tenant's part alone, or `platform`")
        add_options(parser)

    def handle(self, *, file: Path, tenant: str, **options: Any) -> None:
        try:
            document = read(file)
        except Refused as refused:
            raise CommandError(problems(refused, file.name)) from None
        run(self, document, tenant, **options)


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--prune", action="store_true", help="end what the sections that the file has do not name")
    parser.add_argument(
        "--owner-keys", type=Path, metavar="FILE", help="where to write the owner keys of new tenants (mode 0600)"
    )


def run(
    command: BaseCommand,
    document: Document,
    only: str,
    *,
    dry_run: bool,
    prune: bool,
    owner_keys: Path | None,
    **options: Any,
) -> None:
    """Applies a document and says what differs. Ends with PENDING after a dry run that found something."""
    keeping = owner_keys is not None and not dry_run
    before = _kept(owner_keys) if owner_keys is not None and keeping else {}
    try:
        outcome = apply(document, only=only, prune=prune, dry_run=dry_run, keep_owner_keys=keeping)
    except Refused as refused:
        raise CommandError(problems(refused, document.name)) from None
    except OperationalError as error:
        raise CommandError("The database does not answer. Nothing that was begun is kept; try again.") from error
    if owner_keys is not None and outcome.owner_keys:
        owner_keys.write_text(json.dumps(before | outcome.owner_keys, indent=1) + "\n")
    _tell(command, outcome, dry_run)
    if outcome.problems:
        raise CommandError(problems(Refused(*outcome.problems), document.name))
    if dry_run and outcome.changes:
        sys.exit(PENDING)


def problems(refused: Refused, name: str) -> str:
    """One line for each."""
    return "\n".join(problem.text(name) for problem in refused.problems)


def _kept(path: Path) -> dict[str, str]:
    """The keys that are in the file already. It is opened before a key is made, so that none is made in vain."""
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as file:
            os.fchmod(file.fileno(), 0o600)
            found: dict[str, str] = json.loads(file.read() or "{}")
            return found
    except (OSError, ValueError) as error:
        raise CommandError(f"The owner keys cannot be kept in {path}: {error}.") from error


def _tell(command: BaseCommand, outcome: Outcome, dry_run: bool) -> None:
    for part in outcome.parts:
        for line in part.lines():
            command.stdout.write(line)
    count = counted(outcome.parts)
    done = "; nothing was written (dry run)" if dry_run else ""
    command.stdout.write(f"{count['+']} made, {count['~']} changed, {count['-']} removed{done}.")
