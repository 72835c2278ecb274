"""The database is asked whether the wall stands: every table, policy, grant, view and function of the schema."""

from __future__ import annotations

from django.db import connection

#: Tables without a tenant's data, and why. The value is what the application's role may do with them.
EXCEPTIONS = {
    "auth_group": "select",  # names of permission groups; empty
    "auth_group_permissions": "select",
    "auth_permission": "select",  # Django's own list of permissions
    "django_admin_log": "",  # replaced by the audit trail; no access at all
    "django_content_type": "select",  # Django's own list of models
    "django_migrations": "select",
    "django_session": "select insert update delete",  # signed in or not; read by the session's own secret
    "guardian_groupobjectpermission": "",  # replaced by tenants_grouppermission
    "guardian_userobjectpermission": "",  # replaced by tenants_personpermission
    "tenants_user_groups": "select",  # Django's own relation; empty
    "tenants_user_user_permissions": "select",
}

#: Protected tables whose rows are not of one tenant alone: they have no tenant_id, but policies all the same.
ACROSS_TENANTS = {"tenants_tenant", "tenants_user", "tenants_secondfactor", "tenants_passkey"}

#: The only privileges of the application's role on append-only tables.
APPEND_ONLY = {
    "audit_event",
    "audit_leaf",
    "audit_node",
    "audit_seal",
    "audit_sealkey",
    "billing_usage",
    "billing_correction",
}


def rows(sql: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def tables() -> dict[str, tuple[bool, bool]]:
    """All tables and partitions: name -> (row security on, forced)."""
    found = rows(
        "select relname, relrowsecurity, relforcerowsecurity from pg_class "
        "where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
    )
    return {name: (on, forced) for name, on, forced in found}


def test_it_connects_as_a_role_that_the_wall_binds(database):
    [(superuser, bypass, create_role)] = rows(
        "select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user"
    )
    owned = rows("select relname from pg_class where pg_get_userbyid(relowner) = current_user")
    assert (superuser, bypass, create_role, owned) == (False, False, False, [])


def test_every_table_is_behind_the_wall_or_is_a_named_exception(database):
    open_tables = {name for name, state in tables().items() if state != (True, True)}
    assert open_tables == set(EXCEPTIONS) & set(tables())


def test_every_protected_table_begins_its_keys_with_the_tenant(database):
    found = rows(
        "select c.conrelid::regclass::text, a.attname from pg_constraint c "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] "
        "where c.contype = 'p' and c.connamespace = 'public'::regnamespace"
    )
    wrong = {table for table, column in found if column != "tenant_id"}
    assert wrong - set(EXCEPTIONS) - ACROSS_TENANTS == set()


def test_every_protected_table_has_policies_that_check_reads_and_writes(database):
    found = rows(
        "select polrelid::regclass::text, polcmd, polqual is not null, polwithcheck is not null from pg_policy "
        "where polpermissive"
    )
    protected = set(tables()) - set(EXCEPTIONS)
    whole = {table for table, command, using, check in found if command == "*" and using and check}
    assert protected - whole == set()


def test_no_policy_is_always_true(database):
    found = rows(
        "select polrelid::regclass::text, polname from pg_policy "
        "where polpermissive and 'true' in (pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))"
    )
    assert found == []


def test_every_policy_of_a_tenant_table_names_the_open_scope(database):
    found = rows(
        "select polrelid::regclass::text, polname, coalesce(pg_get_expr(polqual, polrelid), '') || "
        "coalesce(pg_get_expr(polwithcheck, polrelid), '') from pg_policy where polpermissive"
    )
    assert [(table, name) for table, name, text in found if "wall." not in text] == []


def test_the_application_may_do_what_is_listed_and_nothing_more(database):
    found: dict[str, set[str]] = {}
    for table, privilege in rows(
        "select table_name, lower(privilege_type) from information_schema.role_table_grants "
        "where grantee in ('customhouse_app', current_user, 'PUBLIC') and table_schema = 'public'"
    ):
        found.setdefault(table, set()).add(privilege)
    for table, allowed in EXCEPTIONS.items():
        assert found.get(table, set()) == set(allowed.split()), table
    for table in APPEND_ONLY:
        assert found[table] == {"select", "insert"}, table
    assert not any({"truncate", "references", "trigger"} & privileges for privileges in found.values())


def test_no_function_runs_with_its_owners_rights_and_no_view_bypasses_the_wall(database):
    functions = rows(
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
        "where prosecdef and nspname not in ('pg_catalog', 'information_schema')"
    )
    views = rows("select relname from pg_class where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace")
    assert (functions, views) == ([], [])


def test_without_a_scope_there_are_no_rows(database, acme):
    for table, (protected, _) in tables().items():
        if protected:
            [(readable,)] = rows(f"select has_table_privilege('{table}', 'select')")
            if readable:  # a partition is reached through its parent alone
                assert rows(f'select count(*) from "{table}"') == [(0,)], table
