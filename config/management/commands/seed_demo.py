"""Makes the demo tenants and tells their keys."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.demo import seed


class Command(BaseCommand):
    help = "Makes the platform, two demo tenants and their documents where they are missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo-json", type=Path, help="where to write keys and addresses (mode 0600)")

    def handle(self, *args: Any, **options: Any) -> None:
        root = f"http://127.0.0.1:{settings.PORT}"
        told = seed()
        told["console"] = {"url": f"{root}/console/", **told["console"]}
        told = {"base_url": f"{root}/v1", **told}
        if options["demo_json"]:
            _write_private(options["demo_json"], json.dumps(told, indent=1) + "\n")


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by the owner alone."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
