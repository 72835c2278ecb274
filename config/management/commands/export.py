"""Writes the installation's configuration as a file that `apply` takes."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.core.management.base import BaseCommand, CommandError

from config.desired.exporting import export


class Command(BaseCommand):
    help = "Writes the configuration as YAML, to FILE or to the terminal. Secrets are named and not told."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")
        parser.add_argument("--tenant", default="", metavar="SLUG", help="this tenant's part alone, or `platform`")

    def handle(self, *, file: Path | None, tenant: str, **options: Any) -> None:
        try:
            text = export(tenant)
        except ObjectDoesNotExist as error:
            raise CommandError(str(error)) from None
        if file is None:
            self.stdout.write(text, ending="")
            return
        try:
            file.write_text(text)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
