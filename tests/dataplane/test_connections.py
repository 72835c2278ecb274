"""What the server holds open while it works."""

from __future__ import annotations

from django.db import connection

from tests.dataplane.conftest import Gateway


def test_management_calls_leave_no_connections_to_the_database_behind(gateway: Gateway):
    gateway.manage("GET", "departments")
    before = _connections()
    for _ in range(20):
        gateway.manage("GET", "departments")
    assert _connections() <= before + 2


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_stat_activity where datname = current_database()")
        found: int = cursor.fetchone()[0]
    return found
