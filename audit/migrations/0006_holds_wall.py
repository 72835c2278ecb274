from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import Wall


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_hold")]

    operations = [
        # A hold is released, never removed.
        Wall("Hold", grants="select, insert, update"),
        AuditTable("Hold", "hold"),
    ]
