"""Gives tenants a new key to sign seals with."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import keyring, seals
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant


class Command(BaseCommand):
    help = f"Makes a new key that signs seals; the old one signs beside it for {keyring.OVERLAP.days} days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="a tenant's slug; without it all tenants")

    def handle(self, *args: Any, **options: Any) -> None:
        with scope(PLATFORM):
            chosen = [one for one in Tenant.objects.order_by("slug") if options["tenant"] in (None, one.slug)]
        if not chosen:
            raise CommandError(f"There is no tenant {options['tenant']!r}.", returncode=2)
        for tenant in chosen:
            self.stdout.write(f"{tenant.slug}: {seals.rotate_key(tenant.pk)}")
