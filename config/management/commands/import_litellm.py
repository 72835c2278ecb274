"""Takes over the models of a LiteLLM proxy."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.desired.errors import Refused
from config.desired.litellm_config import translate
from config.desired.reading import read

from .apply import problems, run


class Command(BaseCommand):
    help = (
        "Makes the providers, deployments, models and prices of a LiteLLM config.yaml, and says in a sentence what of "
        "it cannot be carried over. Exit status as that of apply."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", metavar="SLUG", default="", help="they become this tenant's own")
        whose.add_argument("--platform", action="store_true", help="they serve all tenants")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *, file: Path, tenant: str, dry_run: bool, **options: Any) -> None:
        try:
            imported = translate(read(file), tenant)
        except Refused as refused:
            raise CommandError(problems(refused, file.name)) from None
        if imported.notes:
            self.stdout.write("Not, or not exactly, carried over:")
        for sentence in imported.notes:
            self.stdout.write(f"  {sentence}")
        run(self, imported.document, tenant or "platform", dry_run=dry_run, prune=False, owner_keys=None)
