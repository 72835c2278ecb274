from django.db import migrations

from tenants.isolation.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0002_wall")]

    operations = [RunSqlFile("retrieval/sql/parts.sql")]
