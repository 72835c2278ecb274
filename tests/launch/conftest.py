"""A checkout with Customhouse's own launcher and stand-ins for everything that it starts beside the servers."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.home import Home
from tests.launch.standin import CELERY, MANAGE, SERVER, Start

REAL = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that starts in a second: real launcher and servers, stand-ins for the rest."""
    made = tmp_path / "a checkout with spaces"
    shutil.copytree(REAL / "launch", made / "launch", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REAL / "Makefile", made)
    for name, text in {
        "config/serve.py": SERVER,
        "manage.py": MANAGE,
        "celery/__main__.py": CELERY,
        "launch/install.sh": "exit 0",
        ".venv/bin/python": f'#!/bin/sh\nexec "{sys.executable}" "$@"',
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    (made / ".venv/bin/python").chmod(0o755)
    return made


@pytest.fixture
def begin(checkout: Path) -> Iterator[Callable[..., Start]]:
    """Starts the stand-in checkout in a home of the given name; whatever still runs at the end is killed."""
    started: list[Start] = []

    def start(home: str = "home", command: tuple[str, ...] = (sys.executable, "-m", "launch"), **more: str) -> Start:
        started.append(Start(checkout, checkout.parent / home, list(command), **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)
        Home(one.home).remove_outside()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]
