"""Everything that `make up` starts, with stand-ins for the application's processes and real servers beneath."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.launch.standin import Start, wait_until

Begin = Callable[..., Start]


def port(start: Start) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/console/", start.said())
    assert found
    return int(found.group(1))


def serving(start: Start) -> int:
    """The process that answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port(start), timeout=10)
    connection.request("GET", "/readyz")
    return int(connection.getresponse().read())


def test_it_tells_a_curl_line_that_can_be_pasted(begin: Begin) -> None:
    start = begin().ready()
    line = next(line for line in start.said().splitlines() if line.startswith("curl "))
    assert f"http://127.0.0.1:{port(start)}/v1/chat/completions" in shlex.split(line)
    assert "Authorization: Bearer sk-ch-demo" in shlex.split(line)


def test_keys_and_greeting_come_together_when_all_is_ready(begin: Begin) -> None:
    """Whoever waits for demo.json may call, and paste the line, at once."""
    first = begin().ready()
    first.end()
    (first.home / "demo.json").unlink()
    (first.home / "not-yet").touch()
    start = begin()
    wait_until((first.home / "demo.starting.json").exists)
    assert not (first.home / "demo.json").exists()
    assert "curl" not in start.said()
    (first.home / "not-yet").unlink()
    start.ready()
    assert (first.home / "demo.json").exists()
    assert not (first.home / "demo.starting.json").exists()


def test_ctrl_c_ends_all_of_it_without_a_word_from_make(begin: Begin) -> None:
    start = begin(command=("make", "up")).ready()
    assert len(start.strays()) >= 5  # server, worker, beat, PostgreSQL, Redis
    start.end(signal.SIGINT)
    wait_until(lambda: not start.strays(), 5)
    assert "***" not in start.said()
    assert not (start.home / "outside.json").exists()  # the socket's directory is gone as well


def test_servers_end_before_what_they_stand_on(begin: Begin) -> None:
    start = begin().ready()
    start.end(signal.SIGINT)
    assert (start.home / "server-ended").read_text() == "before its database"


def test_a_killed_server_is_replaced(begin: Begin) -> None:
    start = begin().ready()
    first = serving(start)
    os.kill(first, signal.SIGKILL)
    assert serving(start) != first  # the call waited in the shared socket


def test_a_killed_database_comes_back_at_its_address(begin: Begin) -> None:
    start = begin().ready()
    pid_file = start.home / "postgres" / "data" / "postmaster.pid"
    first = _lines(pid_file)
    os.kill(int(first[0]), signal.SIGKILL)
    wait_until(lambda: _lines(pid_file)[:1] != first[:1] and _lines(pid_file)[7:] == ["ready   "])
    assert _lines(pid_file)[4] == first[4]  # the directory of its socket


def _lines(pid_file: Path) -> list[str]:
    return pid_file.read_text().splitlines() if pid_file.exists() else []


def test_it_starts_again_on_the_same_port_after_everything_was_killed(begin: Begin) -> None:
    start = begin().ready()
    for pid in [start.process.pid, *start.strays()]:
        with suppress(ProcessLookupError):  # it has gone with the one that it belonged to
            os.kill(pid, signal.SIGKILL)
    start.process.wait()
    begin("home", CUSTOMHOUSE_PORT=str(port(start))).ready()


def test_a_server_that_a_crash_left_hanging_does_not_keep_the_port(begin: Begin) -> None:
    start = begin().ready()
    os.kill(serving(start), signal.SIGSTOP)
    os.kill(start.process.pid, signal.SIGKILL)
    start.process.wait()
    begin("home", CUSTOMHOUSE_PORT=str(port(start))).ready()


def test_what_a_killed_launcher_leaves_ends_by_itself(begin: Begin) -> None:
    start = begin().ready()
    os.kill(start.process.pid, signal.SIGKILL)
    wait_until(lambda: not start.strays(), 20)


def test_two_homes_run_side_by_side_and_one_home_runs_once(begin: Begin) -> None:
    one, other = begin("one"), begin("other")
    assert port(one.ready()) != port(other.ready())
    again = begin("one")
    assert again.process.wait(20) == 1
    assert "runs already in" in again.said()


def test_a_taken_port_is_told_in_one_sentence(begin: Begin, taken: int) -> None:
    start = begin(CUSTOMHOUSE_PORT=str(taken))
    assert start.process.wait(20) == 1
    assert start.said().count("\n") == 1
    assert f"Port {taken} is taken" in start.said()


def test_a_failed_step_shows_its_log_and_leaves_nothing(begin: Begin) -> None:
    start = begin(FAILING="migrate")
    assert start.process.wait(20) == 1
    assert "no such table: parcels" in start.said()
    assert not start.strays()


def test_a_second_start_does_not_migrate_again(begin: Begin) -> None:
    begin().ready().end()
    begin(FAILING="migrate").ready()
