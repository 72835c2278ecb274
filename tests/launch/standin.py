"""A running start of a stand-in checkout: the real launcher, stand-ins for what it starts beside the servers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from launch import process

SERVER = """
import http.server, os, pathlib, signal, socket, sys
home = pathlib.Path(os.environ["CUSTOMHOUSE_HOME"])
def end(*_):
    running = (home / "postgres/data/postmaster.pid").exists()
    (home / "server-ended").write_text("before its database" if running else "after its database")
    sys.exit(0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(503 if (home / "not-yet").exists() else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
signal.signal(signal.SIGTERM, end)
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
"""

MANAGE = """
import json, os, pathlib, sys
if os.environ.get("FAILING") == sys.argv[1]:
    sys.exit("no such table: parcels")
if sys.argv[1] == "seed_demo":
    root = f"http://127.0.0.1:{os.environ['CUSTOMHOUSE_PORT']}"
    tenant = {"slug": "acme", "api_key": "sk-ch-demo", "collection": "handbook", "question": "What is Alice's notice?"}
    console = {"url": root + "/console/", "email": "alice@acme.example", "password": "demo"}
    told = {"base_url": root + "/v1", "console": console, "tenants": [tenant]}
    pathlib.Path(sys.argv[3]).write_text(json.dumps(told))
"""

CELERY = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""


class Start:
    """A running `python -m launch` (or `make up`) of a stand-in checkout."""

    def __init__(self, checkout: Path, home: Path, command: list[str], **more: str) -> None:
        self.home = home
        self.output = checkout / f"{home.name}-{len(list(checkout.glob('*.out')))}.out"
        kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=checkout,
                env=kept | {"CUSTOMHOUSE_HOME": str(home), "CUSTOMHOUSE_PORT": "0"} | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def ready(self) -> Start:
        """Waits until it says that it is ready."""
        wait_until(lambda: "is ready" in self.said() or self.process.poll() is not None)
        assert "is ready" in self.said(), self.said()
        return self

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signals the whole group, as a terminal does, and waits."""
        os.killpg(self.process.pid, number)
        return self.process.wait(40)

    def strays(self) -> list[int]:
        """What of this start is left."""
        servers = [*process.in_directory(self.home / "postgres" / "data"), *process.in_directory(self.home / "redis")]
        return [pid for pid in [*process.marked(self.home), *servers] if process.alive(pid)]


def wait_until(happened: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
