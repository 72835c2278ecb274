"""A link at which somebody chooses a new password, for operators whose installation sends no mail."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.services import Action, record
from config.sign_in import places
from tenants import passwords
from tenants.isolation import scope


class Command(BaseCommand):
    help = "Prints a link at which a person chooses a new password. Hand it to nobody else; it works once, for an hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--origin", default="http://127.0.0.1:8000", help="where the console is reached")

    def handle(self, *, email: str, origin: str, **options: Any) -> None:
        person = passwords.account_of(email)
        if person is None:
            raise CommandError(f"No active account with a password has the address {email!r}.")
        for place in places(person):
            with scope(place):
                record(Action.PASSWORD_ASK, object_type="user", object_id=str(person.pk), detail={"by": "operator"})
        self.stdout.write(passwords.link(person, origin))
