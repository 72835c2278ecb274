"""The embedded PostgreSQL and Redis."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from launch import postgres, process
from launch.errors import HomeInUse
from launch.home import Home
from launch.servers import Servers, embedded, servers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def write(running: Servers) -> None:
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute("create table parcels as select 'crate' as name")
    redis.Redis.from_url(running.redis_url).set("parcel", "crate")


def read(running: Servers) -> tuple[str, str]:
    with psycopg.connect(running.database_url) as connection:
        row = connection.execute("select name from parcels").fetchone()
    assert row is not None
    return row[0], redis.Redis.from_url(running.redis_url, decode_responses=True).get("parcel")


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        write(running)
    with embedded(tmp_path) as running:
        assert read(running) == ("crate", "crate")


def test_durability_is_never_traded(tmp_path: Path) -> None:
    with embedded(tmp_path) as running, psycopg.connect(running.database_url) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert connection.execute("select current_setting(%s)", [name]).fetchone() == ("on",), name


def test_vectors_are_there(tmp_path: Path) -> None:
    with embedded(tmp_path) as running, psycopg.connect(running.database_url) as connection:
        connection.execute("create extension vector")
        assert connection.execute("select '[3,4]'::halfvec(2) <-> '[0,0]'").fetchone() == (5.0,)


def test_killed_servers_come_back_at_their_addresses(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        write(running)
        assert running.postgres is not None
        assert running.redis is not None
        running.postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(running.database_url)
        running.postgres.start()
        running.redis.stop()
        running.redis.start()
        assert read(running) == ("crate", "crate")


def test_a_pid_file_that_names_somebody_else_is_no_obstacle(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        write(running)
        pid_file = (tmp_path / "postgres" / "data" / "postmaster.pid").read_text()
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n" + pid_file.partition("\n")[2])
    with embedded(tmp_path) as running:
        assert read(running)[0] == "crate"


def test_two_homes_run_side_by_side(tmp_path: Path) -> None:
    with embedded(tmp_path / "one") as one, embedded(tmp_path / "other") as other:
        write(one)
        write(other)
        assert one.redis_url != other.redis_url


def test_a_home_is_held_by_one_start(tmp_path: Path) -> None:
    with embedded(tmp_path), pytest.raises(HomeInUse, match="process"), embedded(tmp_path):
        pass


def test_a_long_path_with_spaces_is_a_home_like_any_other(tmp_path: Path) -> None:
    with embedded(tmp_path / ("a very long name " * 10) / ("and another one " * 10)) as running:
        write(running)


def test_given_servers_are_used_as_they_are(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://given", "REDIS_URL": "redis://given"}
    with servers(tmp_path / "unused", given) as running:
        assert (running.database_url, running.redis_url) == ("postgresql://given", "redis://given")
    assert not (tmp_path / "unused").exists()


def test_nothing_is_left_outside_the_home(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        socket = Path(psycopg.conninfo.conninfo_to_dict(running.database_url)["host"])
        assert socket.is_dir()
        assert socket.stat().st_mode & 0o077 == 0
    assert not socket.exists()


def test_a_wrong_password_opens_neither(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        secret = Home(tmp_path).password("postgres-owner")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(running.database_url.replace(secret, "guess"))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(running.redis_url.replace(Home(tmp_path).password("redis"), "guess")).ping()


def test_passwords_are_on_no_command_line(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        assert running.postgres is not None
        assert running.redis is not None
        for pid in (running.postgres.pid, running.redis.pid):
            line = Path(f"/proc/{pid}/cmdline").read_text()
            assert not any(Home(tmp_path).password(name) in line for name in ("postgres-owner", "redis"))


@as_root
def test_the_server_of_root_is_not_root_and_no_account(tmp_path: Path) -> None:
    with embedded(tmp_path) as running:
        assert running.postgres is not None
        owner = os.stat(f"/proc/{running.postgres.pid}").st_uid
        assert owner == (tmp_path / "postgres" / "data").stat().st_uid
        assert owner != 0
        assert not postgres._has_account(owner)


@as_root
def test_programs_that_only_root_can_reach_run_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = postgres._installed(tmp_path)
    hidden = tmp_path / "hidden" / "site-packages"
    for part in (installed.relative_to(installed.parents[1]), Path(installed.parent.name + ".libs")):
        shutil.copytree(installed.parents[1] / part, hidden / part, symlinks=True)
    hidden.parent.chmod(0o700)
    monkeypatch.setattr(postgres, "_installed", lambda data: hidden / installed.parent.name / installed.name)
    with embedded(tmp_path / "home") as running:
        write(running)
        assert running.postgres is not None
        program = Path(os.readlink(f"/proc/{running.postgres.pid}/exe"))
        assert not program.is_relative_to(hidden)
    assert not program.exists()


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork without surprises")
def test_an_ordinary_user_starts_it_too(tmp_path: Path) -> None:
    nobody = process.Identity(65534, 65534)
    if not postgres._runs(postgres._installed(tmp_path) / "bin", nobody):
        pytest.skip("this checkout cannot be entered by other users")
    home = Path("/tmp") / f"customhouse-test-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.uid, nobody.gid)
    try:
        assert _as_user(nobody, lambda: _start_and_write(home)) == 0
        assert (home / "postgres" / "data").stat().st_uid == nobody.uid
    finally:
        shutil.rmtree(home)


def _start_and_write(home: Path) -> None:
    with embedded(home) as running:
        write(running)


def _as_user(identity: process.Identity, what: Callable[[], None]) -> int:
    """Does something in a copy of this process that is another user; 0 when it went well."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    status = 1
    try:
        os.setgroups([])
        os.setgid(identity.gid)
        os.setuid(identity.uid)
        what()
        status = 0
    finally:
        os._exit(status)
