"""Work of the console that nobody waits for."""

from __future__ import annotations

from celery import shared_task

from . import forgotten


@shared_task(name="config.password_link", ignore_result=True)  # type: ignore[untyped-decorator]
def send_password_link(email: str, origin: str) -> None:
    """Sends a link for a forgotten password, if there is somebody to send it to."""
    forgotten.send(email, origin)
