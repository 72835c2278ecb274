from django.db import migrations

from audit.operations import AuditTable


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_holds_wall"), ("tenants", "0005_webhooks")]

    operations = [AuditTable("tenants.Webhook", "webhook", secret=("sealed", "seen_at"))]
