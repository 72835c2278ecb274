from django.db import migrations, models

from audit.operations import AuditTable

#: What the pipeline writes on its way; the audit trail records what people decide.
PROGRESS = ("state", "stage", "progress", "attempts", "error", "indexed_version", "pages", "chunks", "updated_at")


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0003_parts")]

    operations = [
        migrations.AddField(
            "document", "stage", models.CharField(blank=True, db_default="", default="", editable=False, max_length=20)
        ),
        migrations.AddField(
            "document", "progress", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)
        ),
        migrations.AddField(
            "document", "attempts", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)
        ),
        AuditTable("Document", "document", secret=PROGRESS),
    ]
