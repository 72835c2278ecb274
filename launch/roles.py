"""The database role that the application connects as: a member of customhouse_app that owns and bypasses nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from .errors import BadSetting, NotAllowed, StartFailed
from .home import Home
from .schema import identity

GROUP = "customhouse_app"
_ROLE = (Path(__file__).parent / "sql" / "role.sql").read_bytes()
_HARMLESS = "nosuperuser nobypassrls nocreatedb nocreaterole"


def application_url(home: Home, owner_url: str, given: str = "") -> str:
    """The address that the application connects with: `given`, or a login role that is made when it is missing.

    Raises NotAllowed when the owner may not make roles or the application's role could pass the wall, BadSetting when
    the two addresses are not of one database, StartFailed when it cannot be reached.
    """
    try:
        url = given or _login(home, owner_url)
        with psycopg.connect(url, autocommit=True) as connection:
            _check(connection)
        if identity(url) != identity(owner_url):
            raise BadSetting("DATABASE_APP_URL and DATABASE_URL name two different databases: they must be one.")
    except psycopg.errors.InsufficientPrivilege:
        raise NotAllowed(
            "The role of DATABASE_URL may not create roles: give it CREATEROLE, or have somebody make a login role "
            f"that is a member of {GROUP} ({_HARMLESS}) and set DATABASE_APP_URL to connect as it."
        ) from None
    except psycopg.OperationalError as error:
        which = "DATABASE_APP_URL" if given else "DATABASE_URL"
        raise StartFailed(f"The database of {which} cannot be reached: {str(error).splitlines()[0]}") from None
    return url


def _login(home: Home, owner_url: str) -> str:
    name = "customhouse_login_" + hashlib.sha256(str(home.path).encode()).hexdigest()[:8]
    password = home.password("application")
    with psycopg.connect(owner_url, autocommit=True) as connection:
        _make(connection, GROUP, "nologin " + _HARMLESS)
        _make(connection, name, "login " + _HARMLESS)
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(password)))
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(GROUP), sql.Identifier(name)))
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]  # may be empty: the socket's directory stands in the query
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{host}"))


def _make(connection: psycopg.Connection, name: str, rights: str) -> None:
    if connection.execute("select from pg_roles where rolname = %s", (name,)).fetchone() is None:
        try:
            made = sql.SQL("create role {} {}").format(sql.Identifier(name), sql.SQL(rights))
            connection.execute(made)
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # another start made it at the same moment


def _check(connection: psycopg.Connection) -> None:
    """Row-level security does not bind superusers, roles that bypass it and (without FORCE) owners."""
    passes, member = connection.execute(_ROLE, (GROUP,)).fetchone() or (True, False)
    if passes or not member:
        raise NotAllowed(
            f"The application's database role must be a member of {GROUP}, and neither a superuser nor BYPASSRLS: "
            "row-level security, the wall between tenants, would not bind it."
        )
