"""Children of the launcher: what they get to say when processors are scarce."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from launch import process

_SHARES = Path("/proc/self/autogroup")


@pytest.mark.skipif(not _SHARES.exists(), reason="processors are not shared between sessions here")
def test_a_child_in_the_background_steps_back_behind_other_sessions(tmp_path: Path) -> None:
    """Each child has a session of its own, and between sessions a process's niceness says nothing."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = process.spawn(command, tmp_path / "log", environment=os.environ, directory=tmp_path, niceness=7)
    try:
        assert Path(f"/proc/{child.pid}/autogroup").read_text().split()[-1] == "7"
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 7
    finally:
        process.stop(child, signal.SIGKILL, 5)
