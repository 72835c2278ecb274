"""Charlie speaks SQL as the application does, in Globex's scope: every way to ask, and nothing of Acme's comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.utils import NotSupportedError
from guardian.shortcuts import get_objects_for_user
from psycopg import errors

from billing.models import Budget
from tenants.isolation import PLATFORM, scope
from tenants.models import Department, PersonPermission, User
from tenants.services import add_person, make_grant
from tests.architecture.test_wall import tables
from tests.conftest import House, keep_body


@pytest.fixture(scope="module")
def house(acme: House) -> House:
    """Acme, with something in the tables that tests read."""
    keep_body(acme)
    with scope(acme.id):
        Budget.objects.create(scope="tenant", period="month", limit=9)
    return acme


@pytest.fixture
def cursor(house: House, globex: House) -> Iterator[Any]:
    """The connection in Globex's scope, in a transaction that is taken back."""
    with scope(globex.id), connection.cursor() as opened:
        before = transaction.savepoint()
        yield opened.cursor
        transaction.savepoint_rollback(before)


def readable(cursor: Any) -> list[str]:
    """Protected tables of tenants' rows that the application may read by name."""
    cursor.execute(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' "
        "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') "
        "and has_table_privilege(c.oid, 'select')"
    )
    return sorted(row[0] for row in cursor.fetchall())


def copied(cursor: Any, statement: str) -> str:
    with cursor.copy(statement) as rows:
        return b"".join(bytes(row) for row in rows).decode(errors="replace")


def refused(cursor: Any, statement: str, *kinds: type[Exception]) -> None:
    """The statement fails, and the transaction goes on."""
    with pytest.raises(kinds or (errors.InsufficientPrivilege,)), cursor.connection.transaction():
        cursor.execute(statement)


def test_copy_gives_nothing_of_acme(cursor: Any, house: House):
    names = readable(cursor)
    assert len(names) > 40
    for table in names:
        for what in (f'"{table}"', f'(select * from "{table}")'):
            if what.startswith('"') and table in partitioned(cursor):
                continue
            assert str(house.id) not in copied(cursor, f"copy {what} to stdout"), table


def partitioned(cursor: Any) -> set[str]:
    """Tables that only a select can copy."""
    cursor.execute("select relname from pg_class where relkind = 'p'")
    return {row[0] for row in cursor.fetchall()}


def test_copy_puts_nothing_in_and_reaches_no_file_or_program(cursor: Any, house: House):
    refused(cursor, "copy tenants_department (id, tenant_id, slug, name) from stdin", errors.FeatureNotSupported)
    refused(cursor, "copy tenants_department to '/tmp/out'")
    refused(cursor, "copy tenants_department to program 'cat'")
    refused(cursor, "copy tenants_department from program 'cat /etc/passwd'")
    refused(cursor, "select pg_read_file('/etc/passwd')")
    refused(cursor, "select lo_import('/etc/passwd')")


@pytest.mark.parametrize(
    "statement",
    [
        "alter table tenants_department disable row level security",
        "alter table tenants_department no force row level security",
        "drop policy wall on tenants_department",
        "create policy open on tenants_department using (true)",
        "create function public.leak() returns int language sql security definer as 'select 1'",
        "create view public.leak as select * from tenants_department",
        "create table public.leak (id int)",
        "select wall.protect('tenants_department', 'true', 'true', 'select')",
        "select wall.release('tenants_department')",
        "alter role current_user bypassrls",
        "alter role current_user superuser",
        "set role postgres",
        "set session authorization postgres",
        "set session_replication_role = replica",
        "truncate tenants_department",
        "update audit_event set reason = ''",
        "delete from audit_event",
        "delete from billing_usage",
        "select * from guardian_userobjectpermission",
    ],
)
def test_the_wall_is_not_the_applications_to_move(cursor: Any, statement: str):
    refused(cursor, statement, errors.InsufficientPrivilege, errors.InvalidParameterValue)


def test_switching_row_security_off_makes_it_an_error(cursor: Any):
    cursor.execute("set local row_security = off")
    refused(cursor, "select * from tenants_department")


def test_joins_subselects_and_locks_find_nothing(cursor: Any, house: House):
    legal = house.departments["legal"].pk
    for statement in (
        "select d.id from tenants_department d join tenants_apikey k on true where d.tenant_id = %(acme)s",
        "select id from tenants_department where id = %(legal)s",
        "select id from tenants_department where id = %(legal)s for update",
        "with all_of as materialized (select * from tenants_department) select id from all_of where id = %(legal)s",
        "select x.id from tenants_membership m right join lateral (select * from tenants_department) x on true "
        "where x.tenant_id = %(acme)s",
        "select id from (table tenants_department union all table tenants_department) both_ where id = %(legal)s",
        "update tenants_department set name = 'taken' where id = %(legal)s returning id",
        "delete from tenants_department where tenant_id = %(acme)s returning id",
        "merge into tenants_department t using (select %(legal)s::uuid id) s on t.id = s.id "
        "when matched then update set name = 'taken' returning t.id",
        "select id from tenants_tenant where id = %(acme)s",
        "select id from tenants_user where email like '%%' || %(slug)s || '%%'",
    ):
        cursor.execute(statement, {"acme": house.id, "legal": legal, "slug": house.slug})
        assert cursor.fetchall() == [], statement


def test_what_is_written_stays_ones_own(cursor: Any, house: House, globex: House):
    legal, own = house.departments["legal"].pk, globex.departments["research"].pk
    row = f"(id, tenant_id, slug, name) values ('{legal}', '{house.id}', 'x', 'x')"
    refused(cursor, f"insert into tenants_department {row}")
    refused(cursor, f"insert into tenants_department {row} on conflict (tenant_id, id) do update set name = 'taken'")
    refused(cursor, f"update tenants_department set tenant_id = '{house.id}' where id = '{own}'")
    # a row of one's own that points at another tenant's
    cursor.execute("select id from tenants_apikey limit 1")
    key = cursor.fetchone()[0]
    cursor.execute("set constraints all immediate")
    refused(
        cursor, f"update tenants_apikey set department_id = '{legal}' where id = '{key}'", errors.ForeignKeyViolation
    )


def test_a_function_that_tells_is_not_told(cursor: Any, house: House):
    """One that is cheap and leaks what it is asked runs after the wall, not before it."""
    heard: list[str] = []
    cursor.connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    cursor.execute(
        "create function pg_temp.tell(word text, owner uuid) returns boolean language plpgsql cost 0.0001 as "
        "$$ begin raise notice '% %', word, owner; return true; end $$"
    )
    cursor.execute("select name from tenants_department where pg_temp.tell(name, tenant_id)")
    assert len(heard) == len(cursor.fetchall()) > 0
    assert str(house.id) not in " ".join(heard)


def test_statistics_of_protected_tables_are_not_shown(cursor: Any):
    cursor.execute("select tablename from pg_stats where schemaname = 'public'")
    shown = {row[0] for row in cursor.fetchall()}
    assert shown & {name for name, state in tables().items() if state == (True, True)} == set()


@pytest.mark.parametrize("failure", [errors.DivisionByZero, RuntimeError])
def test_a_connection_forgets_whose_it_was_when_a_transaction_fails(house: House, globex: House, failure: Any):
    with pytest.raises(Exception), scope(house.id):  # noqa: PT012  (either kind)
        assert Department.objects.count() == 2
        with connection.cursor() as opened:
            opened.execute("select pg_backend_pid()")
            used = opened.fetchone()[0]
        if failure is RuntimeError:
            raise RuntimeError
        with connection.cursor() as opened:
            opened.execute("select 1/0")
    assert Department.objects.count() == 0
    with scope(globex.id), connection.cursor() as opened:
        opened.execute("select pg_backend_pid()")
        assert opened.fetchone()[0] == used
        assert {row.tenant_id for row in Department.objects.all()} == {globex.id}


def test_a_nested_scope_that_fails_puts_back_the_outer_one(house: House, globex: House):
    with scope(globex.id):
        with pytest.raises((IntegrityError, ProgrammingError, NotSupportedError)), scope(house.id):
            Department.objects.create(slug="legal", name="There is one of that name.")
        assert {row.tenant_id for row in Department.objects.all()} == {globex.id}


def test_guardians_rows_hold_in_their_tenant_alone(house: House, globex: House):
    """Dora belongs to both; what she is granted at Acme is nothing at Globex."""
    with scope(house.id):
        own = Budget.objects.first()
        dora = add_person(f"dora@{house.slug}.example", "Dora", "member", 1, []).user_id
        make_grant("budget", own.pk, "user", dora, "view")
    with scope(globex.id):
        add_person(f"dora@{house.slug}.example", "Dora", "member", 1, [])
    for tenant, sees in ((house.id, True), (globex.id, False), (PLATFORM, False)):
        with scope(tenant, user=UUID(str(dora))):
            user = User.objects.get(pk=dora)
            assert PersonPermission.objects.exists() is sees
            assert user.has_perm("billing.view_budget", own) is sees
            assert get_objects_for_user(user, "billing.view_budget").exists() is sees
