from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import SHARED, TENANT, Wall


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_initial"), ("audit", "0002_wall")]

    operations = [
        Wall("Provider", read=SHARED, write=TENANT, notify=True),
        Wall("Deployment", read=SHARED, write=TENANT, notify=True),
        Wall("Model", read=SHARED, write=TENANT, notify=True),
        Wall("Route", read=SHARED, write=TENANT, notify=True),
        AuditTable("Provider", "provider", secret=("credential",)),
        AuditTable("Deployment", "deployment"),
        AuditTable("Model", "model"),
        AuditTable("Route", "route"),
    ]
