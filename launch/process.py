"""Child processes that live as long as the launcher, and no longer.

Each child has a session of its own, so that Ctrl-C reaches the launcher alone, which then decides the order of the end.
On Linux the kernel signals a child when the launcher dies, however it dies. That signal is bound to the *thread* that
started the child: start children from the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Set in every child's environment to the home it belongs to; strays of a crashed start are found by it.
MARK = "CUSTOMHOUSE_LAUNCHED_FROM"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Identity:
    """Numeric user and group that a child runs as."""

    uid: int
    gid: int


def spawn(
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str],
    directory: Path,
    identity: Identity | None = None,
    descriptors: Sequence[int] = (),
    when_orphaned: signal.Signals = signal.SIGTERM,
    stdin: bytes = b"",
    niceness: int = 0,
) -> subprocess.Popen[bytes]:
    """Starts a child; its output is appended to `log`. `when_orphaned` is what it gets when the launcher dies;
    `niceness` says how far others go before it when processors are scarce (0 to 19).
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=directory,
            pass_fds=tuple(descriptors),
            start_new_session=True,
            umask=0o077,
            preexec_fn=_prepared(os.getpid(), when_orphaned, niceness),
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
        )
    assert child.stdin is not None
    try:
        child.stdin.write(stdin)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it ended at once; whoever waits for it reads why in its log
    return child


def _prepared(parent: int, number: signal.Signals, niceness: int) -> Callable[[], None]:
    """What the child does before it becomes the program: steps back, and asks to be told of its parent's death.

    It runs after the change of user, which would clear the request.
    """

    def prepare() -> None:
        _step_back(niceness)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:
                os._exit(1)  # the parent was gone before we asked

    return prepare


def _step_back(niceness: int) -> None:
    """Lowers this process's priority, and its session's: Linux may share processors between sessions first, and then
    niceness alone says nothing outside of one's own.
    """
    if not niceness:
        return
    os.nice(niceness)
    for _ in range(3):
        try:
            Path("/proc/self/autogroup").write_text(str(niceness))
            return
        except BlockingIOError:
            time.sleep(0.1)  # taken from ordinary users ten times a second, of all of them together
        except OSError:
            return  # no such sharing here


def stop(child: subprocess.Popen[bytes], number: signal.Signals, seconds: float) -> bool:
    """Asks a child to end and waits; after `seconds` its whole session is killed. True if it ended by itself."""
    if child.poll() is None:
        child.send_signal(number)
    try:
        child.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill_session(child)


def kill_session(child: subprocess.Popen[bytes]) -> None:
    """Kills what is left of a child and of the processes it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing is left (a group of zombies answers with a refusal on some systems)
    child.wait()


def in_directory(directory: Path) -> list[int]:
    """Processes whose working directory is `directory`: a server of that data, whoever started it. Linux only."""
    wanted = str(directory.resolve())
    return [pid for pid in _all() if _read_link(pid, "cwd") == wanted]


def marked(home: Path) -> list[int]:
    """Processes that an earlier launcher started for this home. Linux only."""
    wanted = f"{MARK}={home}".encode()
    return [pid for pid in _all() if wanted in _environment(pid)]


def end(pids: Iterable[int], number: signal.Signals, seconds: float) -> None:
    """Signals strays (no children of ours) and waits until they are gone; kills those that are not."""
    left = set(pids)
    for step, patience in ((number, seconds), (signal.SIGKILL, 5.0)):
        for pid in left:
            _signal(pid, step)
        until = time.monotonic() + patience
        while left and time.monotonic() < until:
            left = {pid for pid in left if alive(pid)}
            time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) != "Z"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended in between


def _all() -> list[int]:
    if sys.platform != "linux":
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _read_link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:  # gone, or somebody else's
        return ""


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or somebody else's
        return []


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
