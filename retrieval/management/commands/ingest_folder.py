"""Brings a folder of files into a collection, once or for as long as it runs."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from retrieval.documents import job_report
from retrieval.errors import CollectionNotFound
from retrieval.folder import Folder, Synced
from tenants.isolation.scope import scope
from tenants.services import tenant_of

POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Brings a folder's files into a collection: new and changed ones are read by the workers, the same content "
        "again is not. Shows how far they are, and ends when all are read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--collection", required=True, help="name of a collection that is there")
        parser.add_argument("--delete", action="store_true", help="remove documents whose files are gone")
        parser.add_argument("--watch", type=float, metavar="SECONDS", help="look again every so often; Ctrl-C ends it")
        parser.add_argument("--no-wait", action="store_true", help="do not wait for the workers")

    def handle(
        self,
        *,
        folder: Path,
        tenant: str,
        collection: str,
        delete: bool,
        watch: float | None,
        no_wait: bool,
        **options: Any,
    ) -> None:
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder.")
        whose = _found(tenant)
        kept = Folder(folder.resolve(), whose, collection)
        while True:
            try:
                done = kept.sync(remove=delete)
            except CollectionNotFound:
                raise CommandError(f"There is no collection {collection!r} in {tenant}: make it first.") from None
            failed = self._told(whose, done, wait=not no_wait)
            if watch is None:
                if failed:
                    raise CommandError(f"{failed} of the files could not be read.")
                return
            time.sleep(watch)

    def _told(self, tenant: UUID, done: Synced, *, wait: bool) -> int:
        """Says what a pass did, and waits for its documents; returns how many could not be read."""
        if done.accepted or done.removed or done.rejected:
            self.stdout.write(f"{done.accepted} handed over, {done.removed} removed, {len(done.rejected)} refused")
        for path, reason in done.rejected:
            self.stderr.write(f"  {path}: {reason}")
        failed = len(done.rejected)
        for job in done.jobs if wait else ():
            failed += self._waited(tenant, job)
        return failed

    def _waited(self, tenant: UUID, job: UUID) -> int:
        before = -1
        while True:
            with scope(tenant):
                report = job_report(job)
            count = report["documents"]
            read = count["done"] + count["failed"]
            if read != before:
                self.stdout.write(f"  {read} of {count['total']} read")
                before = read
            if read == count["total"]:
                break
            time.sleep(POLL_SECONDS)
        for error in report["errors"]:
            self.stderr.write(f"  {error['document']}: {error['message']}")
        return int(count["failed"])


def _found(slug: str) -> UUID:
    found = tenant_of(slug)
    if found is None:
        raise CommandError(f"There is no tenant {slug!r}.")
    return found
