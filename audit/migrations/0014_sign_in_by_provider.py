from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0013_second_factors"), ("tenants", "0010_sign_in_by_provider")]

    operations = [
        AuditTable("tenants.IdentityProvider", "identity_provider", secret=("sealed",)),
        AuditTable("tenants.Identity", "identity", secret=("used_at",)),
    ]
