"""Processes under measurement: a free port, waiting until one answers, its CPU time and its memory."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass

import psutil


def free_port() -> int:
    """A port of the loopback interface that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answering(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Returns when something listens on the port. Raises RuntimeError when the process ends or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended while it started")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen within {seconds:g} s")


@dataclass(frozen=True, slots=True)
class Watched:
    """A process and its children."""

    pid: int

    def cpu_seconds(self) -> float:
        """CPU time that those alive have used so far."""
        return sum(times.user + times.system for times in self._each("cpu_times"))

    def megabytes(self) -> float:
        """Resident memory."""
        resident: int = sum(memory.rss for memory in self._each("memory_info"))
        return resident / 2**20

    def _each(self, question: str) -> list:
        found = []
        root = psutil.Process(self.pid)
        for process in (root, *root.children(recursive=True)):
            try:
                found.append(getattr(process, question)())
            except psutil.NoSuchProcess:
                continue
        return found
