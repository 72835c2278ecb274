from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import RunSqlFile, Wall


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("tenants", "0002_wall")]

    operations = [
        # Append-only: the application's role may neither change nor remove an event.
        Wall("Event", grants="select, insert"),
        RunSqlFile("audit/sql/watch.sql"),
        # tenants lies below audit, so its tables are watched from here
        AuditTable("tenants.Tenant", "tenant"),
        AuditTable("tenants.Department", "department"),
        AuditTable("tenants.User", "user", secret=("password", "last_login")),
        AuditTable("tenants.Membership", "membership"),
        AuditTable("tenants.MembershipDepartment", "membership_department"),
        AuditTable("tenants.ApiKey", "api_key", secret=("digest",)),
        AuditTable("tenants.ApiKeyDepartment", "api_key_department"),
        AuditTable("tenants.Grant", "grant"),
        AuditTable("tenants.PersonPermission", "person_permission"),
        AuditTable("tenants.GroupPermission", "group_permission"),
    ]
