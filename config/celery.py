"""The Celery application: work that nobody waits for on the request path."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("customhouse")
app.config_from_object(settings.CELERY)
app.autodiscover_tasks()
