from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import Wall


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_bodies")]

    operations = [
        # A body is written once and removed; who was to be forgotten is no part of the trail.
        Wall("Body", grants="select, insert, delete"),
        Wall("ErasureRequest"),
        AuditTable("ErasureRequest", "erasure_request", secret=("value", "traces", "certificate")),
    ]
