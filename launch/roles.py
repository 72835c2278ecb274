"""The database role that the application connects as: a member of customhouse_app that owns and bypasses nothing."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from .errors import NotAllowed, StartFailed
from .home import Home

GROUP = "customhouse_app"


def application_url(home: Home, owner_url: str) -> str:
    """Makes the login role when it is missing; returns the URL that connects as it. Raises LaunchError."""
    name = "customhouse_login_" + hashlib.sha256(str(home.path).encode()).hexdigest()[:8]
    password = home.password("application")
    try:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            _make(connection, GROUP, sql.SQL("nologin nosuperuser nobypassrls nocreatedb nocreaterole"))
            rights = sql.SQL("login nosuperuser nobypassrls nocreatedb nocreaterole inherit")
            _make(connection, name, rights)
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(password)))
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(GROUP), sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        raise NotAllowed(
            "The role of DATABASE_URL may not create roles. Give it CREATEROLE, or make a login role that is a member of "
            f"{GROUP} yourself and set DATABASE_APP_URL to it."
        ) from None
    except psycopg.OperationalError as error:
        raise StartFailed(f"DATABASE_URL cannot be reached: {str(error).splitlines()[0]}") from None
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]  # may be empty: the socket's directory stands in the query
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{host}"))


def _make(connection: psycopg.Connection, name: str, rights: sql.SQL) -> None:
    if connection.execute("select from pg_roles where rolname = %s", (name,)).fetchone() is None:
        try:
            connection.execute(sql.SQL("create role {} {}").format(sql.Identifier(name), rights))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # another start made it at the same moment
