from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0011_scim"), ("tenants", "0008_invitations")]

    operations = [
        AuditTable(
            "tenants.Invitation",
            "invitation",
            secret=("digest", "inviter", "origin", "next_at", "attempts"),
        )
    ]
