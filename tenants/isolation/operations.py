"""The migration operation that puts a table behind the wall."""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation

from .model import TenantForeignKey

TENANT = "tenant_id = wall.tenant()"
SHARED = (
    "tenant_id = wall.tenant() or (tenant_id = wall.platform() and wall.tenant() is not null "
    "and (shared_with is null or wall.tenant() = any(shared_with)))"
)


class Wall(Operation):
    """Protects a model's table: row-level security forced with USING and WITH CHECK, grants to the application's role,
    a primary key that begins with tenant_id, and composite foreign keys for every TenantForeignKey.

    `read` and `write` are SQL conditions on a row; `grants` the privileges of the application's role. A table whose
    rows others may reference across tenants (SHARED) keeps its plain key on id beside.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(
        self,
        model: str,
        read: str = TENANT,
        write: str = TENANT,
        grants: str = "select, insert, update, delete",
        notify: bool = False,
    ) -> None:
        self.model, self.read, self.write, self.grants, self.notify = model, read, write, grants, notify

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The wall changes the database alone."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model)
        table = model._meta.db_table
        schema_editor.execute("select wall.protect(%s, %s, %s, %s)", [table, self.read, self.write, self.grants])
        if self.notify:
            schema_editor.execute("select wall.announce(%s)", [table])
        for field in model._meta.local_fields:
            if isinstance(field, TenantForeignKey):
                self._link(schema_editor, table, field)

    def _link(self, schema_editor: Any, table: str, field: Any) -> None:
        target = field.related_model
        shared = any(other.name == "shared_with" for other in target._meta.local_fields)
        names = [table, field.column, target._meta.db_table]
        schema_editor.execute(
            "select wall.link_shared(%s, %s, %s)" if shared else "select wall.link(%s, %s, %s)", names
        )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = from_state.apps.get_model(app_label, self.model)._meta.db_table
        schema_editor.execute("select wall.release(%s)", [table])

    def describe(self) -> str:
        return f"Puts {self.model} behind the wall"


class RunSqlFile(Operation):
    """Runs one named SQL file of the application; migrations name it, so it is read when the migration is run."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, path: str) -> None:
        self.path = path

    def state_forwards(self, app_label: str, state: Any) -> None:
        """SQL files change the database alone."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        from django.conf import settings

        schema_editor.execute((settings.BASE_DIR / self.path).read_text(), params=None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """What a file makes goes with the tables that it serves."""

    def describe(self) -> str:
        return f"Runs {self.path}"
