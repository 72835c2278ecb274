"""Mail about money: written in the transaction of what it tells of, and sent behind it until the server takes it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from tenants.isolation import scope

from .errors import NoMailServer
from .formats import NAMES
from .models import Mail, MailState, Report, ReportFile, ReportFormat

log = logging.getLogger("customhouse.mail")

#: seconds before the second, third, … attempt; after the last the message has failed
WAITS = (30, 120, 600, 3600, 4 * 3600)
#: a worker that has a message in hand may take so long; then another one may
LEASE = timedelta(minutes=2)
MOST_AT_ONCE = 50
KEPT = timedelta(days=30)


def is_possible() -> bool:
    """Whether there is a server that takes mail."""
    return bool(settings.EMAIL_HOST)


def check() -> None:
    """Raises NoMailServer when mail could not be sent."""
    if not is_possible():
        raise NoMailServer


def write(to: Iterable[str], subject: str, body: str, report: Report | None = None) -> None:
    """A message to each address, in the open scope; a report's file goes with it. Without a server there is none."""
    if is_possible():
        line = " ".join(subject.split())[:200]
        Mail.objects.bulk_create(Mail(to=one, subject=line, body=body, report=report) for one in dict.fromkeys(to))


def send_due(tenant: UUID) -> int:
    """Sends a tenant's mail that is due; returns how many messages the server took."""
    now = timezone.now()
    with scope(tenant):
        due = Mail.objects.filter(state=MailState.PENDING, next_at__lte=now).order_by("next_at")
        found = list(due.select_for_update(skip_locked=True).select_related(None)[:MOST_AT_ONCE])
        Mail.objects.filter(pk__in=[one.pk for one in found]).update(next_at=now + LEASE)
        Mail.objects.filter(created_at__lt=now - KEPT).delete()
    return sum(_send(tenant, one) for one in found)


def _send(tenant: UUID, mail: Mail) -> bool:
    """One attempt. No transaction is open while the server answers."""
    with scope(tenant):
        message = _message(mail)
    error = ""
    try:
        message.send()
    except (OSError, SMTPException) as failure:
        error = f"{type(failure).__name__}: {failure}"[:300]
        log.warning("mail %s: %s", mail.pk, error)
    attempts = mail.attempts + 1
    over = bool(error) and attempts > len(WAITS)
    wait = WAITS[attempts - 1] if error and not over else 0
    with scope(tenant):
        Mail.objects.filter(pk=mail.pk).update(
            state=MailState.FAILED if over else MailState.PENDING if error else MailState.SENT,
            attempts=attempts,
            error=error,
            next_at=timezone.now() + timedelta(seconds=wait),
        )
    return not error


def _message(mail: Mail) -> EmailMessage:
    message = EmailMessage(mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.to])
    file = ReportFile.objects.select_related("report").filter(report=mail.report_id).first() if mail.report_id else None
    if file is not None:
        report = file.report
        ending, kind = NAMES[ReportFormat(report.format)]
        name = f"{report.kind}-{report.since:%Y-%m-%d}.{ending}"
        message.attach(name, bytes(file.data), kind.partition(";")[0])
    return message
