"""An export is asked for, made and fetched through the processes that do it in life: a server and a Celery worker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from io import BytesIO
from typing import Any

import httpx
from django.conf import settings

from audit.verify_customhouse import check_pack
from tests.conftest import house
from tests.dataplane.conftest import Server, server

__all__ = ["server"]


def test_a_worker_makes_the_pack_and_the_server_streams_it(server: Server, capfd: Any) -> None:
    key = {"authorization": f"Bearer {house('acme', ('legal',)).owner_key}"}
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-c", "1", "-l", "WARNING"]
    worker = subprocess.Popen(command, cwd=settings.BASE_DIR, env=dict(os.environ))
    try:
        place = server.root + "/api/v1/audit/exports"
        made = httpx.post(place, json={"format": "pack"}, headers=key, timeout=30).json()
        shown: dict[str, Any] = {"state": "queued"}
        until = time.monotonic() + 90
        while shown["state"] in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.2)
            shown = httpx.get(f"{place}/{made['id']}", headers=key, timeout=30).json()
        assert shown["state"] == "succeeded"
        data = httpx.get(shown["download"], headers=key, timeout=30).content
    finally:
        worker.terminate()
        worker.wait(30)
    assert check_pack(BytesIO(data)).faults == []
    assert "Traceback" not in capfd.readouterr().err
