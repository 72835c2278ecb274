"""What we know: collections of documents, what was uploaded, and the chunks that are searched.

Rights are the database's. Documents and originals show themselves by their own departments and classification, and by
their collection. Chunks, texts and postings are many: they carry the number of a row of Access, which stands for one
combination of departments and classification within one collection, and show themselves to whom that row does. So
moving a document changes numbers, and moving a collection changes one row.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import MD5
from pgvector.django import HalfVectorField, SparseVectorField

from tenants.isolation.model import TenantForeignKey, TenantModel
from tenants.models import Clearance, Department

from .analyser import SLOTS

DIMENSION = 384


def default_chunking() -> dict[str, int]:
    """Words a chunk, words shared with the one before, and up to how many words a document stays whole."""
    return {"words": 200, "overlap": 40, "whole": 300}


class Collection(TenantModel):
    """Documents that belong together. With a department it is that department's alone; its classification is the least
    that its documents have. Personal data: none.
    """

    name = models.CharField(max_length=120)
    department = TenantForeignKey(Department, models.PROTECT, related_name="collections", null=True, blank=True)
    classification = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.PUBLIC)
    embedding_model = models.CharField(max_length=200, blank=True, default="")
    chunking = models.JSONField(default=default_chunking)
    synonyms = models.JSONField(default=list, blank=True)  # groups of words that mean the same
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="collection_name")]

    def __str__(self) -> str:
        return self.name


class Access(TenantModel):
    """Who may read: one row for each combination that occurs in a collection. `departments` empty means all.
    Personal data: none.
    """

    # small, because every posting carries it
    id = models.AutoField(primary_key=True)  # type: ignore[assignment]
    collection = TenantForeignKey(Collection, models.CASCADE, related_name="+", db_index=False)
    departments = ArrayField(models.UUIDField(), default=list, blank=True)
    classification = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.PUBLIC)

    class Meta:
        verbose_name_plural = "access"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "collection", "departments", "classification"], name="access_once"
            )
        ]


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class Document(TenantModel):
    """A document of a collection. `version` is the latest that was submitted, `indexed_version` the one that answers.
    `state`, `stage` (of the pipeline), `progress` (percent of the chunks that are embedded) and `attempts` tell how far
    the latest version is; of one that failed, `stage` says where and `error` why.
    Personal data: whatever the tenant's documents, titles and metadata hold.
    """

    collection = TenantForeignKey(Collection, models.CASCADE, related_name="documents", db_index=False)
    access = TenantForeignKey(Access, models.RESTRICT, related_name="+", editable=False, db_index=False)
    external_id = models.CharField(max_length=300, null=True, blank=True)
    title = models.CharField(max_length=500, blank=True, default="")
    version = models.PositiveIntegerField(default=1, editable=False)
    indexed_version = models.PositiveIntegerField(null=True, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED, editable=False)
    stage = models.CharField(max_length=20, blank=True, default="", db_default="", editable=False)
    progress = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    error = models.CharField(max_length=500, blank=True, default="", editable=False)
    language = models.CharField(max_length=20, blank=True, default="")
    classification = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.PUBLIC)
    departments = ArrayField(models.UUIDField(), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    mime = models.CharField(max_length=120, blank=True, default="", editable=False)
    size = models.PositiveBigIntegerField(default=0, editable=False)
    digest = models.CharField(max_length=64, editable=False, default="")
    pages = models.PositiveIntegerField(null=True, editable=False)
    chunks = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    uploaded_by = models.CharField(max_length=80, blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "collection", "external_id"], name="document_external_id")
        ]
        indexes = [
            models.Index(fields=["tenant", "access"], name="document_access"),
            models.Index(fields=["tenant", "expires_at"], name="document_expiry", condition=~models.Q(expires_at=None)),
        ]

    def __str__(self) -> str:
        return self.title or self.external_id or str(self.id)


class Original(TenantModel):
    """What was uploaded as one version of a document, and how that version is to be described once it answers: until
    then the version before is shown, with its own title and to its own readers. Personal data: as Document.
    """

    document = TenantForeignKey(Document, models.CASCADE, related_name="originals", db_index=False)
    version = models.PositiveIntegerField()
    content = models.BinaryField()
    filename = models.CharField(max_length=300, blank=True, default="")
    mime = models.CharField(max_length=120, blank=True, default="")
    digest = models.CharField(max_length=64)
    title = models.CharField(max_length=500, blank=True, default="")
    language = models.CharField(max_length=20, blank=True, default="")
    classification = models.PositiveSmallIntegerField(choices=Clearance.choices)
    departments = ArrayField(models.UUIDField(), default=list)
    metadata = models.JSONField(default=dict)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "document", "version"], name="original_version")]


class IngestJob(TenantModel):
    """One submission of documents. Readable by who submitted, and by whoever sees all departments.
    Personal data: the submitter's id.
    """

    submitted_by = models.CharField(max_length=80, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]


class IngestItem(TenantModel):
    """One document of a job: where it stands and, if it failed, why. While it waits, `message` names the fault that
    ended the attempt before. Personal data: none.
    """

    job = TenantForeignKey(IngestJob, models.CASCADE, related_name="items", db_index=False)
    document = TenantForeignKey(Document, models.CASCADE, related_name="+", db_index=False)
    version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    stage = models.CharField(max_length=20, blank=True, default="")
    message = models.CharField(max_length=500, blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "job"], name="item_job"),
            models.Index(fields=["tenant", "document"], name="item_document"),
            models.Index(
                fields=["tenant", "changed_at"],
                name="item_waiting",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]


class Chunk(TenantModel):
    """A piece of a document as it is searched; its text lies apart, so that scoring reads narrow rows.

    `lex` holds BM25's saturated term frequencies. The table lies in 16 parts by a hash of the tenant
    (retrieval/sql/parts.sql), each with an approximate index of its vectors.
    Personal data: as Document, in derived form.
    """

    document = TenantForeignKey(Document, models.DO_NOTHING, related_name="+", db_index=False)
    access = TenantForeignKey(Access, models.DO_NOTHING, related_name="+", db_index=False)
    version = models.PositiveIntegerField()
    ordinal = models.PositiveIntegerField()
    embedding = HalfVectorField(dimensions=DIMENSION)
    lex = SparseVectorField(dimensions=SLOTS)


class ChunkText(TenantModel):
    """A chunk's text (same id), and where in the document it stands: characters of the extracted text, from 0.
    Personal data: as Document.
    """

    document = TenantForeignKey(Document, models.DO_NOTHING, related_name="+", db_index=False)
    access = TenantForeignKey(Access, models.DO_NOTHING, related_name="+", db_index=False)
    text = models.TextField()
    page = models.PositiveIntegerField(null=True)
    section = models.CharField(max_length=300, default="")
    starts = models.PositiveIntegerField()
    ends = models.PositiveIntegerField()


class Posting(models.Model):
    """A chunk under one of its most telling terms: where the lexical search finds its candidates.
    Personal data: as Document, hashed.
    """

    pk = models.CompositePrimaryKey("tenant_id", "chunk_id", "term")
    tenant = models.ForeignKey("tenants.Tenant", models.DO_NOTHING, db_index=False, related_name="+")
    term = models.IntegerField()
    weight = models.FloatField()
    chunk_id = models.UUIDField()
    document = TenantForeignKey(Document, models.DO_NOTHING, related_name="+", db_index=False)
    access = TenantForeignKey(Access, models.DO_NOTHING, related_name="+", db_index=False)


class TermCount(models.Model):
    """In how many of a tenant's chunks a term occurs; term 0 counts the chunks. It may lag: a sample would do.
    Personal data: none.
    """

    pk = models.CompositePrimaryKey("tenant_id", "term")
    tenant = models.ForeignKey("tenants.Tenant", models.DO_NOTHING, db_index=False, related_name="+")
    term = models.IntegerField()
    chunks = models.IntegerField()


class Feedback(TenantModel):
    """What somebody held of a passage for a question. Personal data: what the question says, and who judged."""

    document = TenantForeignKey(Document, models.CASCADE, related_name="+", db_index=False)
    chunk_id = models.UUIDField()
    question = models.CharField(max_length=4000)
    useful = models.BooleanField()
    actor_id = models.CharField(max_length=80)
    actor_name = models.CharField(max_length=200, blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-changed_at", "-id"]
        verbose_name_plural = "feedback"
        indexes = [models.Index(fields=["tenant", "document"], name="feedback_document")]
        constraints = [
            models.UniqueConstraint(
                models.F("tenant"),
                models.F("actor_id"),
                models.F("chunk_id"),
                MD5("question"),
                name="one_judgement_of_a_passage",
            )
        ]

    def __str__(self) -> str:
        return f"{'useful' if self.useful else 'not useful'}: {self.question[:60]}"
