from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0010_identity_providers"), ("tenants", "0007_scim")]

    operations = [
        AuditTable("tenants.ScimUser", "scim_user"),
        AuditTable("tenants.ScimGroup", "scim_group"),
        AuditTable("tenants.ScimMember", "scim_member"),
        AuditTable("tenants.GroupMapping", "group_mapping"),
    ]
