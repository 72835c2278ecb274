from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import RunSqlFile, Wall


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_evidence")]

    operations = [
        # What proves the trail is append-only as well: sealing adds rows and changes none.
        Wall("Leaf", grants="select, insert"),
        Wall("Node", grants="select, insert"),
        Wall("SealKey", grants="select, insert"),
        Wall("Seal", grants="select, insert"),
        Wall("Export"),
        Wall("ExportPart", grants="select, insert, delete"),
        RunSqlFile("audit/sql/evidence.sql"),
        AuditTable("SealKey", "seal_key", secret=("sealed",)),
    ]
