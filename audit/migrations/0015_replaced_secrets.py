from django.db import migrations

from tenants.isolation.operations import RunSqlFile


class Migration(migrations.Migration):
    dependencies = [("audit", "0014_sign_in_by_provider")]

    operations = [RunSqlFile("audit/sql/watch.sql")]
