"""Keeps processes alive, and ends them in order."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import process

#: A process that has run this long is forgiven its earlier ends.
_SETTLED_SECONDS = 60.0
_LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class Kept:
    """A process that is started again whenever it ends: at once the first time, then more and more slowly."""

    name: str
    log: Path
    begin: Callable[[], subprocess.Popen[bytes]]
    running: subprocess.Popen[bytes] | None = None
    ends: int = 0
    begun_at: float = 0.0
    again_at: float = 0.0

    def start(self) -> None:
        """Starts the process."""
        self.begun_at, self.again_at = time.monotonic(), 0.0
        self.running = self.begin()

    def ended(self) -> bool:
        """Whether the process was started and is no more."""
        return self.running is not None and self.running.poll() is not None

    def revive(self) -> None:
        """Starts the process again if it has ended and its pause is over."""
        now = time.monotonic()
        if not self.ended():
            if self.ends and now - self.begun_at > _SETTLED_SECONDS:
                self.ends = 0
            return
        assert self.running is not None
        if self.again_at == 0.0:
            process.kill_session(self.running)  # what it started must not work on beside its successor
            pause = pause_after(self.ends)
            self.again_at, self.ends = now + pause, self.ends + 1
            say(f"{self.name} has ended ({_how(self.running.returncode)}); starting it again. Its log: {self.log}")
        if now >= self.again_at:
            self.start()


def pause_after(ends: int) -> float:
    """Seconds to wait before a process is started again that has ended so often before."""
    return 0.0 if ends == 0 else min(_LONGEST_PAUSE, 0.5 * 2.0**ends)


def end_all(kept: list[Kept], seconds: float, hurry: Callable[[], bool]) -> None:
    """Asks all to end and waits for them, together no longer than `seconds`; `hurry` answers True to wait no more."""
    running = [child.running for child in kept if child.running is not None]
    for child in running:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    until = time.monotonic() + seconds
    while any(child.poll() is None for child in running) and time.monotonic() < until and not hurry():
        time.sleep(0.02)
    for child in running:
        process.kill_session(child)


def say(text: str) -> None:
    """Tells the person at the terminal, which may be gone."""
    try:
        print(text, flush=True)
    except OSError:
        pass  # the terminal was closed; there is nobody to tell


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
