"""What can go wrong while starting. The message of each is one sentence that says what to do.

LaunchError
├── HomeInUse          another start holds this home
├── HomeNotUsable      the home cannot be made, entered or written
├── PortBusy           the asked port is taken
├── BadSetting         a variable has a value that cannot be used
├── NotAllowed         the given database role lacks a right
└── StartFailed        a process ended or did not answer; carries the last lines of its log
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["BadSetting", "HomeInUse", "HomeNotUsable", "LaunchError", "NotAllowed", "PortBusy", "StartFailed"]


class LaunchError(Exception):
    """Customhouse cannot be started."""


class HomeInUse(LaunchError):
    """Another Customhouse runs in this home."""


class HomeNotUsable(LaunchError):
    """The home directory cannot be used."""


class PortBusy(LaunchError):
    """The port is taken by another program."""


class BadSetting(LaunchError):
    """A variable has a value that cannot be used."""


class NotAllowed(LaunchError):
    """The given database role lacks a right."""


class StartFailed(LaunchError):
    """A process ended, or did not answer in time."""

    def __init__(self, what: str, log: Path | None = None, lines: int = 20) -> None:
        super().__init__(what if log is None else f"{what}\n{last_lines(log, lines)}")


def last_lines(log: Path, count: int) -> str:
    """The end of a log, indented, with the place where the rest is."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join([f"The last lines of {log}:", *(f"    {line}" for line in lines or ["(nothing was written)"])])
