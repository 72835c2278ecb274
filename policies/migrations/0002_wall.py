from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import SHARED, TENANT, Wall


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial"), ("audit", "0002_wall")]

    operations = [
        Wall("Policy", read=SHARED, write=TENANT, notify=True),
        Wall("VaultEntry"),
        AuditTable("Policy", "policy"),
    ]
