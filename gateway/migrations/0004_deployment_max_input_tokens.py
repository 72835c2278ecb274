from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0003_stored_responses")]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="max_input_tokens",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
    ]
