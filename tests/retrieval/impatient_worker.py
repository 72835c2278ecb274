"""A Celery worker to which an item is dead that showed no sign of life for a second, so that tests need not wait."""

from __future__ import annotations

import sys
from datetime import timedelta

import django

django.setup()

from config.celery import app  # noqa: E402
from retrieval.ingest import pipeline  # noqa: E402

pipeline.DEAD_AFTER = timedelta(seconds=1)
quiet = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
app.worker_main(["worker", "--concurrency=2", f"--queues={sys.argv[1]}", *quiet])
