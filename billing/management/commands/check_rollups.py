"""Compares the roll-ups of usage with the ledger."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import rollups
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Compares the roll-ups of usage with the ledger, all days. Ends with 0 when they are its sums, 1 when not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="a tenant's slug; without it all tenants")
        parser.add_argument("--rebuild", action="store_true", help="make those that differ anew from the ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        with scope(PLATFORM):
            found = [tenant for tenant in Tenant.objects.order_by("slug") if options["tenant"] in (None, tenant.slug)]
        if not found:
            raise CommandError(f"There is no tenant {options['tenant']!r}.", returncode=2)
        wrong = [tenant.slug for tenant in found if not self._check(tenant, options["rebuild"])]
        if wrong:
            sys.exit(1)

    def _check(self, tenant: Tenant, rebuild: bool) -> bool:
        with scope(tenant.pk):
            found = rollups.compare_everything()
            if found and rebuild:
                rollups.rebuild()
                found = rollups.compare_everything()
        told = "; ".join(f"{one.what}: {one.count} rows, {', '.join(one.examples)}" for one in found)
        self.stdout.write(f"{tenant.slug}: {told or 'the roll-ups are the sums of the ledger'}")
        return not found
