"""Compares the committed OpenAPI schema with the one that the code describes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.renderers import OpenApiYamlRenderer

from config.schema import generate


class Command(BaseCommand):
    help = "Fails when docs/reference/openapi.yaml is not in step; --write brings it there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        file = settings.BASE_DIR / "docs" / "reference" / "openapi.yaml"
        fresh = OpenApiYamlRenderer().render(generate(), renderer_context={})  # type: ignore[no-untyped-call]
        if options["write"]:
            file.write_bytes(fresh)
        elif not file.exists() or file.read_bytes() != fresh:
            raise CommandError("docs/reference/openapi.yaml is not in step: run `manage.py check_schema --write`.")
