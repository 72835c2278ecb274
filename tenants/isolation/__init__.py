"""The wall: every row of a tenant is visible to that tenant alone, because PostgreSQL refuses everything else.

`scope` opens a tenant for one transaction, `TenantModel` is what a tenant's table derives from, `Wall` is the
migration operation that protects it, `checks` asks the database's catalogue whether all of it stands.
"""

from .scope import PLATFORM, Scope, current, scope

__all__ = ["PLATFORM", "Scope", "current", "scope"]
