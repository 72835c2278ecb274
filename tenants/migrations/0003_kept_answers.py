import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models

import tenants.ids
import tenants.isolation.model
from tenants.isolation.operations import Wall


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_wall")]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("principal", models.CharField(max_length=80)),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("status", models.PositiveSmallIntegerField()),
                ("sealed", models.BinaryField()),
                ("expires_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_default=django.db.models.functions.comparison.Cast(
                            django.db.models.functions.comparison.NullIf(
                                tenants.isolation.model.OpenTenant(), models.Value("")
                            ),
                            models.UUIDField(),
                        ),
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "expires_at"], name="kept_answer_expiry")],
                "constraints": [
                    models.UniqueConstraint(fields=["tenant", "principal", "key"], name="one_answer_per_key")
                ],
            },
        ),
        Wall("KeptAnswer", grants="select, insert, delete"),
    ]
