"""The migration operation that records every change of a table: console, API, bulk updates and psql alike."""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation


class AuditTable(Operation):
    """Attaches the trigger that writes one audit event per inserted, updated or deleted row, in the same transaction.

    `model` is a name of the migration's own app, or a label of an app below (`tenants.Department`);
    `name` is the object's name in the vocabulary of actions (`department` gives `department.create`); `secret` are
    columns that are never recorded: of secrets (bytea, passwords) only that they were replaced, of others nothing.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, model: str, name: str, secret: tuple[str, ...] = ()) -> None:
        self.model, self.name, self.secret = model, name, secret

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The trigger changes the database alone."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = self._table(app_label, to_state)
        schema_editor.execute("select audit.watch(%s, %s, %s)", [table, self.name, list(self.secret)])

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        schema_editor.execute("select audit.unwatch(%s)", [self._table(app_label, from_state)])

    def _table(self, app_label: str, state: Any) -> str:
        app, _, name = self.model.rpartition(".")
        return str(state.apps.get_model(app or app_label, name)._meta.db_table)

    def describe(self) -> str:
        return f"Records every change of {self.model} as {self.name}.*"
