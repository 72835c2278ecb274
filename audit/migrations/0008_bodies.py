import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.isolation.model


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0007_webhooks"),
        ("tenants", "0005_webhooks"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasureRequest",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "subject_type",
                    models.CharField(
                        choices=[
                            ("email", "Email"),
                            ("phone", "Phone"),
                            ("name", "Name"),
                            ("id", "Id"),
                            ("user", "User"),
                            ("key", "Key"),
                        ],
                        max_length=10,
                    ),
                ),
                ("subject_hash", models.CharField(max_length=64)),
                ("value", models.BinaryField(null=True)),
                ("reason", models.CharField(max_length=1000)),
                ("keep_documents", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("searching", "Searching"),
                            ("found", "Found"),
                            ("erasing", "Erasing"),
                            ("erased", "Erased"),
                            ("failed", "Failed"),
                        ],
                        default="searching",
                        max_length=10,
                    ),
                ),
                ("error", models.CharField(blank=True, default="", max_length=300)),
                ("made_by", models.CharField(blank=True, default="", max_length=200)),
                ("makers", models.JSONField(default=dict)),
                ("executed_by", models.CharField(blank=True, default="", max_length=200)),
                ("found", models.JSONField(default=dict)),
                ("held", models.JSONField(default=dict)),
                ("erased", models.JSONField(default=dict)),
                ("traces", models.JSONField(default=list)),
                ("certificate", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
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
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Body",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("mode", models.CharField(max_length=10)),
                ("actor_id", models.CharField(max_length=80)),
                ("user_id", models.UUIDField(null=True)),
                ("department_id", models.UUIDField(null=True)),
                ("key", models.BinaryField()),
                ("sealed", models.BinaryField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_default=django.db.models.functions.comparison.Cast(
                            django.db.models.functions.comparison.NullIf(
                                tenants.isolation.model.OpenTenant(), models.Value("")
                            ),
                            models.UUIDField(),
                        ),
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "bodies",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["tenant", "expires_at"], name="body_expiry")],
            },
        ),
    ]
