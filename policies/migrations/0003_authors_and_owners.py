from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_wall")]

    operations = [
        migrations.AddField(
            model_name="policy",
            name="written_by",
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="vaultentry",
            name="principal",
            field=models.CharField(default="", max_length=80),
        ),
        migrations.AddIndex(
            model_name="vaultentry",
            index=models.Index(fields=["tenant", "expires_at"], name="vault_entry_expiry"),
        ),
    ]
