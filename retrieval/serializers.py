"""Collections and documents on the outside."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from tenants.api.fields import Clearance, Reference, Strict
from tenants.models import Department

from .models import Collection, Document, Feedback, State


class CollectionSerializer(Strict, serializers.ModelSerializer[Collection]):
    department = Reference(Department, by="slug", required=False, allow_null=True, default=None)
    classification = Clearance(default=0)
    embedding_model = serializers.CharField(required=False, allow_blank=True, default="")
    chunking = serializers.DictField(child=serializers.IntegerField(), required=False, allow_null=True, default=None)
    synonyms = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), required=False, default=list
    )

    class Meta:
        model = Collection
        fields = (
            *("id", "name", "department", "classification", "embedding_model", "chunking", "synonyms", "created_at"),
        )
        read_only_fields = ("id", "created_at")


class UploadSerializer(Strict):
    """A document as JSON with `text`, or as multipart with `file`."""

    collection = serializers.CharField()
    text = serializers.CharField(required=False, trim_whitespace=False)
    file = serializers.FileField(required=False, allow_empty_file=True)
    external_id = serializers.CharField(required=False, max_length=200)
    title = serializers.CharField(required=False, max_length=300, default="")
    language = serializers.CharField(required=False, max_length=20, default="")
    classification = Clearance(required=False)
    department = Reference(Department, by="slug", required=False)
    departments = serializers.ListField(child=Reference(Department, by="slug"), required=False, default=list)
    metadata = serializers.JSONField(required=False, default=dict)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    password = serializers.CharField(required=False, max_length=200, default="", trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("text" in attrs) == ("file" in attrs):
            raise serializers.ValidationError({"text": "Send either text or a file."})
        if not isinstance(attrs["metadata"], dict):
            raise serializers.ValidationError({"metadata": "Must be an object."})
        return attrs


class ChangeSerializer(Strict):
    """What may change without a new version."""

    metadata = serializers.JSONField(required=False)
    departments = serializers.ListField(child=Reference(Department, by="slug"), required=False)
    classification = Clearance(required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class DocumentSerializer(serializers.ModelSerializer[Document]):
    classification = Clearance()
    progress = serializers.SerializerMethodField(help_text="percent; it grows while the chunks are embedded")

    class Meta:
        model = Document
        fields = (
            "id",
            "collection",
            "external_id",
            "title",
            "version",
            "state",
            "stage",
            "progress",
            "attempts",
            "error",
            "language",
            "classification",
            "departments",
            "metadata",
            "mime",
            "size",
            "pages",
            "chunks",
            "expires_at",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_progress(self, document: Document) -> int:
        return 100 if document.state == State.READY else document.progress


class FeedbackSerializer(Strict, serializers.ModelSerializer[Feedback]):
    """What somebody held of a passage for a question; the passage's id is the `chunk_id` that a search gave."""

    document = serializers.UUIDField(source="document_id", read_only=True)
    question = serializers.CharField(max_length=4000)
    by = serializers.CharField(source="actor_name", read_only=True)

    class Meta:
        model = Feedback
        fields = ("id", "question", "chunk_id", "document", "useful", "by", "changed_at")
        read_only_fields = ("id", "changed_at")
        validators: ClassVar[list[Any]] = []  # the constraint is met by what is there already
