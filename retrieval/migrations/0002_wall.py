from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import TENANT, RunSqlFile, Wall

# Who may see a collection, by grant: `object` is the row, `deny` whether it widens or narrows.
GRANT = """exists (
    select from tenants_grant g
    where g.tenant_id = retrieval_collection.tenant_id and g.object_type = 'collection'
      and g.object_id = retrieval_collection.id and {kind}
      and ((g.to_type = 'user' and g.to_id = wall.person())
        or (g.to_type = 'department' and g.to_id = any(wall.departments()::uuid[]))
        or (g.to_type = (select nullif(current_setting('app.actor', true), '')::jsonb ->> 'type')
            and g.to_id::text = (select nullif(current_setting('app.actor', true), '')::jsonb ->> 'id'))))"""

# Clearance first: no grant lifts it. A department's collection is that department's, and theirs to whom it is granted.
COLLECTION = (
    f"{TENANT} and classification <= wall.clearance() and (wall.departments() is null or department_id is null "
    f"or department_id = any(wall.departments()::uuid[]) or {GRANT.format(kind='not g.deny')}) "
    f"and not {GRANT.format(kind='g.deny and g.right <> ' + repr('change'))}"
)

RIGHTS = (
    f"{TENANT} and classification <= wall.clearance() and (wall.departments() is null or departments = '{{}}' "
    "or departments && wall.departments())"
)
# The collection's own policy holds inside these.
WITHIN = f"{RIGHTS} and collection_id in (select unnest(retrieval.readable_collections()))"
ORIGINAL = (
    f"{RIGHTS} and exists (select from retrieval_document d "
    "where d.tenant_id = retrieval_original.tenant_id and d.id = retrieval_original.document_id)"
)

# The submitter's, and theirs who see all departments.
JOB = (
    f"{TENANT} and (wall.departments() is null or submitted_by = "
    "(select nullif(current_setting('app.actor', true), '')::jsonb ->> 'id'))"
)
ITEM = (
    f"{TENANT} and exists (select from retrieval_ingestjob j "
    "where j.tenant_id = retrieval_ingestitem.tenant_id and j.id = retrieval_ingestitem.job_id)"
)

#: What the pipeline writes on its way; the audit trail records what people decide.
PROGRESS = ("state", "error", "indexed_version", "pages", "chunks", "updated_at")


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0001_initial"), ("audit", "0002_wall")]

    operations = [
        RunSqlFile("retrieval/sql/rights.sql"),
        Wall("Collection", read=COLLECTION, write=COLLECTION),
        Wall("Access", read=WITHIN, write=WITHIN),
        Wall("Document", read=WITHIN, write=WITHIN),
        Wall("Original", read=ORIGINAL, write=ORIGINAL),
        Wall("IngestJob", read=JOB, write=JOB),
        Wall("IngestItem", read=ITEM, write=ITEM),
        AuditTable("Collection", "collection"),
        AuditTable("Document", "document", secret=PROGRESS),
        RunSqlFile("retrieval/sql/chunks.sql"),
        RunSqlFile("retrieval/sql/access.sql"),
    ]
