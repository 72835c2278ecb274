"""What a crash leaves behind in a home."""

from __future__ import annotations

import shelve
from pathlib import Path

from launch.home import Home


def test_a_schedule_that_a_crash_left_half_written_is_begun_anew(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with shelve.open(str(home.schedule)) as shelf:
        shelf["entries"] = {"billing.sweep": 1}
    for file in tmp_path.glob("schedule*"):
        if file.stat().st_size > 100 or file.suffix == ".dat":
            file.write_bytes(b"")
    home.mend_schedule()
    assert not list(tmp_path.glob("schedule*"))


def test_a_whole_schedule_is_kept(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with shelve.open(str(home.schedule)) as shelf:
        shelf["entries"] = {"billing.sweep": 1}
    home.mend_schedule()
    with shelve.open(str(home.schedule), "r") as shelf:
        assert shelf["entries"] == {"billing.sweep": 1}


def test_no_schedule_is_none_to_mend(tmp_path: Path) -> None:
    Home.at(tmp_path).mend_schedule()
    assert not list(tmp_path.glob("schedule*"))
