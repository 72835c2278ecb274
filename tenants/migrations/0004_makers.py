from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_kept_answers")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="made_by_key",
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="made_by_user",
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="four_eyes",
            field=models.BooleanField(default=False),
        ),
    ]
