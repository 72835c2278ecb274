from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0010_identity_providers"), ("tenants", "0007_invitations")]

    operations = [
        AuditTable(
            "tenants.Invitation",
            "invitation",
            secret=("digest", "inviter", "origin", "next_at", "attempts"),
        )
    ]
