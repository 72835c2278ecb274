from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0015_replaced_secrets"), ("tenants", "0011_passkeys")]

    operations = [
        AuditTable(
            "tenants.Passkey",
            "passkey",
            secret=("credential", "public", "counter", "last_challenge", "used_at"),
        )
    ]
