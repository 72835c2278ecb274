from django.db import migrations

from tenants.isolation.operations import TENANT, RunSqlFile, Wall

PLATFORM = "wall.tenant() = wall.platform()"
OF_PLATFORM = "(tenant_id = wall.platform() and wall.tenant() is not null)"
OWN_MEMBERSHIP = "exists (select from tenants_membership m where m.tenant_id = tenants_tenant.id)"
MEMBER = "exists (select from tenants_membership m where m.user_id = tenants_user.id)"
SELF = "id = wall.person() or email = wall.login()"


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial"), ("sessions", "0001_initial")]

    operations = [
        RunSqlFile("tenants/isolation/sql/wall.sql"),
        RunSqlFile("tenants/isolation/sql/announce.sql"),
        Wall("Revision", read=f"{TENANT} or {OF_PLATFORM} or {PLATFORM}", write=TENANT),
        Wall(
            "Tenant",
            read=f"id = wall.tenant() or {PLATFORM} or {OWN_MEMBERSHIP}",
            write=f"id = wall.tenant() or {PLATFORM}",
            grants="select, insert, update",
        ),
        Wall("Department", notify=True),
        Wall("Membership", read=f"{TENANT} or user_id = wall.person()", write=TENANT, notify=True),
        Wall("User", read=f"{SELF} or {MEMBER}", write=SELF, grants="select, insert, update"),
        Wall("MembershipDepartment", notify=True),
        # Before the tenant is known, a key's own public id makes its row readable, and no other.
        Wall(
            "ApiKey",
            read=f"{TENANT} or public_id = wall.presented_key()",
            write=TENANT,
            grants="select, insert, update",
            notify=True,
        ),
        Wall("ApiKeyDepartment", notify=True),
        Wall("Grant", notify=True),
        Wall("PersonPermission", notify=True),
        Wall("GroupPermission", notify=True),
        RunSqlFile("tenants/isolation/sql/people.sql"),
    ]
