import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.comparison
import pgvector.django.halfvec
import pgvector.django.sparsevec
import retrieval.models
import tenants.ids
import tenants.isolation.model
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('tenants', '0002_wall'),
    ]

    operations = [
        migrations.CreateModel(
            name='Collection',
            fields=[
                ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('classification', models.PositiveSmallIntegerField(choices=[(0, 'Public'), (1, 'Internal'), (2, 'Confidential'), (3, 'Restricted')], default=0)),
                ('embedding_model', models.CharField(blank=True, default='', max_length=200)),
                ('chunking', models.JSONField(default=retrieval.models.default_chunking)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('department', tenants.isolation.model.TenantForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='collections', to='tenants.department')),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Access',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('departments', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None)),
                ('classification', models.PositiveSmallIntegerField(choices=[(0, 'Public'), (1, 'Internal'), (2, 'Confidential'), (3, 'Restricted')], default=0)),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
                ('collection', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='retrieval.collection')),
            ],
            options={
                'verbose_name_plural': 'access',
            },
        ),
        migrations.CreateModel(
            name='Document',
            fields=[
                ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('external_id', models.CharField(blank=True, max_length=300, null=True)),
                ('title', models.CharField(blank=True, default='', max_length=500)),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('indexed_version', models.PositiveIntegerField(editable=False, null=True)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('ready', 'Ready'), ('failed', 'Failed')], default='queued', editable=False, max_length=10)),
                ('error', models.CharField(blank=True, default='', editable=False, max_length=500)),
                ('language', models.CharField(blank=True, default='', max_length=20)),
                ('classification', models.PositiveSmallIntegerField(choices=[(0, 'Public'), (1, 'Internal'), (2, 'Confidential'), (3, 'Restricted')], default=0)),
                ('departments', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None)),
                ('metadata', models.JSONField(blank=True, default=dict)),
                ('mime', models.CharField(blank=True, default='', editable=False, max_length=120)),
                ('size', models.PositiveBigIntegerField(default=0, editable=False)),
                ('digest', models.CharField(default='', editable=False, max_length=64)),
                ('pages', models.PositiveIntegerField(editable=False, null=True)),
                ('chunks', models.PositiveIntegerField(default=0, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('uploaded_by', models.CharField(blank=True, default='', editable=False, max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('access', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, editable=False, on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='retrieval.access')),
                ('collection', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='documents', to='retrieval.collection')),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='IngestJob',
            fields=[
                ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('submitted_by', models.CharField(blank=True, default='', max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='IngestItem',
            fields=[
                ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('ready', 'Ready'), ('failed', 'Failed')], default='queued', max_length=10)),
                ('stage', models.CharField(blank=True, default='', max_length=20)),
                ('message', models.CharField(blank=True, default='', max_length=500)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('document', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='retrieval.document')),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
                ('job', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='retrieval.ingestjob')),
            ],
        ),
        migrations.CreateModel(
            name='Original',
            fields=[
                ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('filename', models.CharField(blank=True, default='', max_length=300)),
                ('mime', models.CharField(blank=True, default='', max_length=120)),
                ('digest', models.CharField(max_length=64)),
                ('title', models.CharField(blank=True, default='', max_length=500)),
                ('language', models.CharField(blank=True, default='', max_length=20)),
                ('classification', models.PositiveSmallIntegerField(choices=[(0, 'Public'), (1, 'Internal'), (2, 'Confidential'), (3, 'Restricted')])),
                ('departments', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('metadata', models.JSONField(default=dict)),
                ('expires_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('document', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='originals', to='retrieval.document')),
                ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
            ],
        ),
        migrations.AddConstraint(
            model_name='collection',
            constraint=models.UniqueConstraint(fields=('tenant', 'name'), name='collection_name'),
        ),
        migrations.AddConstraint(
            model_name='access',
            constraint=models.UniqueConstraint(fields=('tenant', 'collection', 'departments', 'classification'), name='access_once'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(fields=['tenant', 'access'], name='document_access'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(condition=models.Q(('expires_at', None), _negated=True), fields=['tenant', 'expires_at'], name='document_expiry'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(fields=('tenant', 'collection', 'external_id'), name='document_external_id'),
        ),
        migrations.AddIndex(
            model_name='ingestitem',
            index=models.Index(fields=['tenant', 'job'], name='item_job'),
        ),
        migrations.AddIndex(
            model_name='ingestitem',
            index=models.Index(fields=['tenant', 'document'], name='item_document'),
        ),
        migrations.AddIndex(
            model_name='ingestitem',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['tenant', 'changed_at'], name='item_waiting'),
        ),
        migrations.AddConstraint(
            model_name='original',
            constraint=models.UniqueConstraint(fields=('tenant', 'document', 'version'), name='original_version'),
        ),
        # their tables are partitioned or without a key: made by retrieval/sql/chunks.sql
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Chunk',
                    fields=[
                        ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('version', models.PositiveIntegerField()),
                        ('ordinal', models.PositiveIntegerField()),
                        ('embedding', pgvector.django.halfvec.HalfVectorField(dimensions=384)),
                        ('lex', pgvector.django.sparsevec.SparseVectorField(dimensions=1048576)),
                        ('access', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.access')),
                        ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
                        ('document', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.document')),
                    ],
                    options={
                        'abstract': False,
                    },
                ),
                migrations.CreateModel(
                    name='ChunkText',
                    fields=[
                        ('id', models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('text', models.TextField()),
                        ('page', models.PositiveIntegerField(null=True)),
                        ('section', models.CharField(default='', max_length=300)),
                        ('starts', models.PositiveIntegerField()),
                        ('ends', models.PositiveIntegerField()),
                        ('access', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.access')),
                        ('tenant', models.ForeignKey(db_default=django.db.models.functions.comparison.Cast(django.db.models.functions.comparison.NullIf(tenants.isolation.model.OpenTenant(), models.Value('')), models.UUIDField()), db_index=False, editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant')),
                        ('document', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.document')),
                    ],
                    options={
                        'abstract': False,
                    },
                ),
                migrations.CreateModel(
                    name='Posting',
                    fields=[
                        ('pk', models.CompositePrimaryKey('tenant_id', 'chunk_id', 'term', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('term', models.IntegerField()),
                        ('weight', models.FloatField()),
                        ('access', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.access')),
                        ('chunk_id', models.UUIDField()),
                        ('document', tenants.isolation.model.TenantForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='retrieval.document')),
                        ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
                    ],
                ),
                migrations.CreateModel(
                    name='TermCount',
                    fields=[
                        ('pk', models.CompositePrimaryKey('tenant_id', 'term', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('term', models.IntegerField()),
                        ('chunks', models.IntegerField()),
                        ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
                    ],
                ),
            ],
        ),
    ]
