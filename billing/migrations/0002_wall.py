from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import SHARED, TENANT, Wall


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("audit", "0002_wall")]

    operations = [
        Wall("Price", read=SHARED, write=TENANT, notify=True),
        Wall("Budget", notify=True),
        Wall("BudgetWindow"),
        Wall("Lease"),
        Wall("Worker"),
        # The ledger is append-only.
        Wall("Usage", grants="select, insert"),
        AuditTable("Price", "price"),
        AuditTable("Budget", "budget"),
    ]
