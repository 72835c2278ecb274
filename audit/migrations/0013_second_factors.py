from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0012_invitations"), ("tenants", "0009_second_factors")]

    operations = [
        AuditTable(
            "tenants.SecondFactor",
            "second_factor",
            secret=("sealed", "recovery", "last_step", "tries", "tries_since"),
        )
    ]
