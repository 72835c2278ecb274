"""Processes that are kept alive."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import process
from launch.supervisor import Kept, end_all, pause_after
from tests.launch.standin import wait_until


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[str], Kept]:
    def start(program: str) -> Kept:
        log = tmp_path / "log"
        command = [sys.executable, "-c", program]
        kept = Kept("It", log, lambda: process.spawn(command, log, environment=os.environ, directory=tmp_path))
        kept.start()
        return kept

    return start


def test_it_starts_again_at_once_the_first_time(keep: Callable[[str], Kept]) -> None:
    kept = keep("import time; time.sleep(60)")
    assert kept.running is not None
    kept.running.kill()
    kept.running.wait()
    kept.revive()
    assert not kept.ended()
    end_all([kept], 5, lambda: False)


def test_what_ends_again_and_again_is_started_more_and_more_slowly(keep: Callable[[str], Kept]) -> None:
    kept = keep("")
    until = time.monotonic() + 1
    while time.monotonic() < until:
        kept.revive()
        time.sleep(0.01)
    assert kept.ends <= 2
    assert [pause_after(ends) for ends in (0, 1, 2, 10)] == [0, 1, 2, 30]


def test_what_a_dead_process_started_does_not_outlive_it(keep: Callable[[str], Kept], tmp_path: Path) -> None:
    kept = keep("import os, time; open('pid', 'w').write(str(os.fork())) and time.sleep(60) or time.sleep(60)")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert kept.running is not None
    os.kill(kept.running.pid, signal.SIGKILL)
    kept.running.wait()
    children = [pid for pid in process.in_directory(tmp_path) if process.alive(pid)]
    assert children
    kept.revive()
    wait_until(lambda: not any(process.alive(pid) for pid in children), 5)
    end_all([kept], 5, lambda: False)


def test_what_does_not_end_when_asked_is_killed_in_time(keep: Callable[[str], Kept], tmp_path: Path) -> None:
    kept = keep("import signal, time; signal.signal(15, signal.SIG_IGN); open('deaf', 'w'); time.sleep(60)")
    wait_until((tmp_path / "deaf").exists)
    began = time.monotonic()
    end_all([kept], 0.3, lambda: False)
    assert kept.ended()
    assert time.monotonic() - began < 5


def test_a_second_wish_to_stop_waits_no_longer(keep: Callable[[str], Kept], tmp_path: Path) -> None:
    kept = keep("import signal, time; signal.signal(15, signal.SIG_IGN); open('deaf', 'w'); time.sleep(60)")
    wait_until((tmp_path / "deaf").exists)
    began = time.monotonic()
    end_all([kept], 60, lambda: True)
    assert time.monotonic() - began < 5
