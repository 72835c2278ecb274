"""The role that the application connects as."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from launch import roles
from launch.errors import BadSetting, NotAllowed, StartFailed
from launch.home import Home
from launch.servers import embedded


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("roles")) as running:
        yield running.database_url


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def limited(owner: str, name: str, rights: str) -> str:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"create role {name} login password 'x' {rights}")
    return owner.replace(owner.partition("@")[0], f"postgresql://{name}:x")


def test_it_is_made_once_and_binds_to_the_wall(owner: str, home: Home) -> None:
    url = roles.application_url(home, owner)
    assert roles.application_url(home, owner) == url
    with psycopg.connect(url) as connection:
        assert connection.execute(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, pg_has_role('customhouse_app', 'member') "
            "from pg_roles where rolname = current_user"
        ).fetchone() == (False, False, False, False, True)


def test_an_owner_that_may_not_make_roles_is_told_what_to_do(owner: str, home: Home) -> None:
    with pytest.raises(NotAllowed, match="DATABASE_APP_URL"):
        roles.application_url(home, limited(owner, "clerk", "nocreaterole"))


def test_an_owner_that_may_make_roles_need_not_be_superuser(owner: str, home: Home, tmp_path: Path) -> None:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("drop role if exists customhouse_app")
    roles.application_url(Home.at(tmp_path / "other"), limited(owner, "registrar", "createrole"))


def test_a_role_that_could_pass_the_wall_is_refused(owner: str, home: Home) -> None:
    with pytest.raises(NotAllowed, match="row-level security"):
        roles.application_url(home, owner, given=owner)
    roles.application_url(home, owner)
    with pytest.raises(NotAllowed, match="BYPASSRLS"):
        roles.application_url(home, owner, given=limited(owner, "ghost", "bypassrls in role customhouse_app"))


def test_a_role_outside_the_group_is_refused(owner: str, home: Home) -> None:
    roles.application_url(home, owner)
    with pytest.raises(NotAllowed, match="member"):
        roles.application_url(home, owner, given=limited(owner, "stranger", ""))


def test_both_addresses_must_be_of_one_database(owner: str, home: Home) -> None:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("create database another")
    elsewhere = roles.application_url(home, owner).replace("/customhouse?", "/another?")
    with pytest.raises(BadSetting, match="two different databases"):
        roles.application_url(home, owner, given=elsewhere)


def test_a_database_that_does_not_answer_is_told_without_its_password(home: Home) -> None:
    with pytest.raises(StartFailed, match="cannot be reached") as told:
        roles.application_url(home, "postgresql://owner:secret-word@127.0.0.1:1/none")
    assert "secret-word" not in str(told.value)
