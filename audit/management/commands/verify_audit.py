"""Verifies the audit trail in the database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import verify
from audit.verify_customhouse import Unreadable, read_kept
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant


class Command(BaseCommand):
    help = (
        "Verifies every record and seal of the audit trail. Ends with 0 when all is true, 1 when not, 2 on bad input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="a tenant's slug; without it all tenants")
        parser.add_argument("--seal", help="a seal or pack that was kept: it must be part of its tenant's history")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            kept = read_kept(options["seal"]) if options["seal"] else None
        except Unreadable as error:
            raise CommandError(str(error), returncode=2) from error
        with scope(PLATFORM):
            names = {tenant.pk: tenant.slug for tenant in Tenant.objects.order_by("slug")}
        chosen = [key for key, slug in names.items() if options["tenant"] in (None, slug)]
        if not chosen:
            raise CommandError(f"There is no tenant {options['tenant']!r}.", returncode=2)
        if kept is not None and kept["tenant"] not in map(str, chosen):
            raise CommandError("The kept seal belongs to none of these tenants.", returncode=2)
        false = [names[key] for key in chosen if not self._verify(key, names[key], kept)]
        if false:
            sys.exit(1)

    def _verify(self, tenant: Any, name: str, kept: dict[str, Any] | None) -> bool:
        report = verify.verify(tenant, kept if kept is not None and kept["tenant"] == str(tenant) else None)
        self.stdout.write(f"{name}: {'FALSE' if report.faults else 'TRUE'}")
        for sentence in report.faults or report.facts:
            self.stdout.write(f"  {sentence}")
        return not report.faults
