from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_bodies_wall"), ("tenants", "0006_identity_providers")]

    operations = [AuditTable("tenants.IdentityProvider", "identity_provider")]
