from django.db import migrations

from audit.operations import AuditTable
from tenants.isolation.operations import TENANT, Wall

# Whoever may read the document: what was asked of it says what stands in it.
FEEDBACK = (
    f"{TENANT} and exists (select from retrieval_document d "
    "where d.tenant_id = retrieval_feedback.tenant_id and d.id = retrieval_feedback.document_id)"
)


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0005_feedback")]

    operations = [
        Wall("Feedback", read=FEEDBACK, write=FEEDBACK),
        AuditTable("Feedback", "feedback", secret=("question", "changed_at")),
    ]
