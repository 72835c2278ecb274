"""The Celery application: work that nobody waits for on the request path."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("customhouse")
app.config_from_object("django.conf:settings.CELERY")
app.autodiscover_tasks()
