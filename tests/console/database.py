"""A migrated database which Django enters as the application's role: the one that is given, or one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from psycopg import sql


@pytest.fixture(scope="session")
def database(django_db_blocker: Any) -> Iterator[None]:
    """What tests write here is committed and stays: each makes tenants of its own."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("select rolsuper from pg_roles where rolname = current_user")
            [bound_by_nothing] = cursor.fetchone()
        if not bound_by_nothing:
            yield
            return
        with fresh():
            yield


@contextmanager
def fresh() -> Iterator[None]:
    """Migrates a database of its own as the owner, and removes it in the end."""
    name, role, password, default = f"test_{token_hex(4)}", f"test_{token_hex(4)}", token_hex(8), connections["default"]
    owner = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        command = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(command, check=True, cwd=settings.BASE_DIR, env=os.environ | {"DATABASE_URL": owner})
        login = sql.SQL("create role {} login password {} in role customhouse_app")
        server.execute(login.format(sql.Identifier(role), sql.Literal(password)))
        default.close()
        before = dict(default.settings_dict)
        default.settings_dict |= {"NAME": name, "USER": role, "PASSWORD": password}
        yield
        default.close()
        default.settings_dict |= before
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        server.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
