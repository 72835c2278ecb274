"""The management plane of collections, documents and ingest jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import orjson
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, mixins
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser, FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from audit.services import Action, record
from tenants import references
from tenants.api import problems
from tenants.api.lists import Filter, refers_to, word_of
from tenants.api.views import FullView, ManagementView, ReadView
from tenants.isolation.scope import CLEARANCES

from . import feedback, services
from .data import Upload
from .errors import (
    CollectionNotFound,
    Conflict,
    DocumentNotFound,
    JobNotFound,
    OutsideRights,
    PassageNotFound,
    RetrievalError,
    TooLarge,
)
from .models import Collection, Document, Feedback, IngestJob
from .serializers import (
    ChangeSerializer,
    CollectionSerializer,
    DocumentSerializer,
    FeedbackSerializer,
    UploadSerializer,
)

MOST_LINES = 10_000
WRITE = "documents.change"
#: what of a collection may be changed
CHANGEABLE = ("name", "department", "classification", "synonyms")

Done = TypeVar("Done")


class FileTooLarge(exceptions.APIException):
    """The file is larger than what is accepted."""

    status_code = 413
    default_code = "too_large"


class JsonLines(BaseParser):
    """One JSON object a line."""

    media_type = "application/x-ndjson"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read()


def _done(change: Callable[[], Done], place: str = "detail") -> Done:
    """Runs a service; its errors become answers."""
    try:
        return change()
    except (DocumentNotFound, JobNotFound) as error:
        raise exceptions.NotFound(str(error)) from error
    except PassageNotFound as error:
        raise exceptions.ValidationError({"chunk_id": str(error)}) from error
    except CollectionNotFound as error:
        raise exceptions.ValidationError({"collection": str(error)}) from error
    except Conflict as error:
        raise problems.Conflict(str(error)) from error
    except OutsideRights as error:
        raise exceptions.PermissionDenied(str(error)) from error
    except TooLarge as error:
        raise FileTooLarge(str(error)) from error
    except RetrievalError as error:
        raise exceptions.ValidationError({place: str(error)}) from error


class CollectionView(FullView):
    queryset = Collection.objects.select_related("department")
    serializer_class = CollectionSerializer
    named_by = "name"
    filters: ClassVar[dict[str, Filter]] = {
        "name": "name",
        "department": refers_to("department", "department_id"),
        "classification": word_of(CLEARANCES, "classification"),
    }
    searched = ("name",)
    orderings = ("name", "classification", "created_at")
    granted = "collection"
    rights: ClassVar[dict[str, str]] = {
        "list": "collections.view",
        "retrieve": "collections.view",
        "create": "collections.change",
        "partial_update": "collections.change",
        "destroy": "collections.change",
    }

    def perform_create(self, serializer: Any) -> None:
        values = dict(serializer.validated_data)
        department = values.pop("department")
        serializer.instance = _done(
            lambda: services.create_collection(department=department.pk if department else None, **values), "name"
        )

    def perform_update(self, serializer: Any) -> None:
        values = dict(serializer.validated_data)
        if "department" in values:
            values["department"] = values["department"].pk if values["department"] else None
        known = {name: value for name, value in values.items() if name in CHANGEABLE}
        serializer.instance = _done(lambda: services.change_collection(serializer.instance.pk, **known), "name")

    def perform_destroy(self, instance: Collection) -> None:
        _done(lambda: services.delete_collection(instance.pk))


def _of_collection(value: str) -> Q:
    return Q(collection=_done(lambda: services.find_collection(value)))


def _in_department(value: str) -> Q:
    try:
        return Q(departments__contains=[references.resolve("department", value)])
    except ObjectDoesNotExist:
        return Q(pk__in=())


class DocumentView(mixins.DestroyModelMixin, ReadView):
    """A document is accepted at once and read by the workers; its state tells how far they are."""

    queryset = Document.objects.all()
    serializer_class = DocumentSerializer
    parser_classes = (JSONParser, MultiPartParser, FormParser, JsonLines)
    filters: ClassVar[dict[str, Filter]] = {
        "state": "state",
        "stage": "stage",
        "external_id": "external_id",
        "collection": _of_collection,
        "language": "language",
        "mime": "mime",
        "classification": word_of(CLEARANCES, "classification"),
        "department": _in_department,
    }
    searched = ("title", "external_id")
    orderings = ("title", "state", "size", "created_at", "updated_at")
    passing = ("state", "stage", "progress", "attempts", "error", "pages", "chunks", "updated_at")
    rights: ClassVar[dict[str, str]] = {
        "list": "documents.view",
        "retrieve": "documents.view",
        "create": WRITE,
        "partial_update": WRITE,
        "destroy": WRITE,
        "bulk": WRITE,
        "retry": WRITE,
    }

    def check_right(self, action: str) -> None:
        """Documents are changed by those who may change documents, or their collection by grant."""
        if self.rights.get(action) != WRITE:
            super().check_right(action)
        elif self.lookup_field in self.kwargs:
            self._must_write(self.get_object().collection_id)
        elif not self.caller.may(WRITE) and not self._granted():
            raise exceptions.PermissionDenied(f"The role {self.caller.role} may not do this.")

    def _granted(self) -> bool:
        """Whether there is any collection that the caller writes to by grant."""
        within = self.caller.scopes is None or WRITE in self.caller.scopes
        return within and any(of == "collection" and right == "change" for of, _, right in self.caller.grants.given)

    def _must_write(self, collection: UUID) -> None:
        if not self.caller.may_on(WRITE, "collection", collection, "change"):
            raise exceptions.PermissionDenied("The documents of this collection are not yours to change.")

    @extend_schema(request=UploadSerializer, responses={202: OpenApiTypes.OBJECT})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        upload = self._upload(_fields(request.data))
        made = _done(lambda: services.submit(upload), "file")
        return Response({**self.get_serializer(made.document).data, "ingest_job": str(made.job.pk)}, status=202)

    @extend_schema(request=ChangeSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        wanted = ChangeSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = dict(wanted.validated_data)
        if "departments" in values:
            values["departments"] = tuple(department.pk for department in values["departments"])
        changed = _done(lambda: services.change_document(self.get_object().pk, **values))
        return Response(self.get_serializer(changed).data)

    def perform_destroy(self, instance: Document) -> None:
        _done(lambda: services.delete_document(instance.pk))

    @extend_schema(request={JsonLines.media_type: OpenApiTypes.BINARY}, responses={202: OpenApiTypes.OBJECT})
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """JSON Lines of the JSON form; lines that cannot be accepted hold up no other."""
        body: Any = request.data
        if not isinstance(body, bytes):
            raise exceptions.UnsupportedMediaType(request.content_type or "")
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) > MOST_LINES:
            raise FileTooLarge(f"At most {MOST_LINES} lines are accepted at once.")
        rejected: list[dict[str, Any]] = []
        numbers: list[int] = []
        uploads = list(self._lines(lines, rejected, numbers))
        made = _done(lambda: services.submit_many(uploads))
        rejected += [{**row, "line": numbers[row["line"] - 1]} for row in made.rejected]
        rejected.sort(key=lambda row: row["line"])
        return Response({"ingest_job": str(made.job.pk), "accepted": made.accepted, "rejected": rejected}, status=202)

    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str = "") -> Response:
        """Reads a failed document once more."""
        made = _done(lambda: services.retry(self.get_object().pk))
        return Response({**self.get_serializer(made.document).data, "ingest_job": str(made.job.pk)}, status=202)

    def _lines(self, lines: list[bytes], rejected: list[dict[str, Any]], numbers: list[int]) -> Iterator[Upload]:
        for number, line in enumerate(lines, start=1):
            try:
                upload = self._upload(orjson.loads(line))
            except orjson.JSONDecodeError:
                rejected.append({"line": number, "message": "This line is not valid JSON."})
            except (exceptions.ValidationError, exceptions.PermissionDenied) as error:
                rejected.append({"line": number, "message": problems.body(400, error.detail)["detail"]})
            else:
                numbers.append(number)
                yield upload

    def _upload(self, data: Any) -> Upload:
        wanted = UploadSerializer(data=data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        self._must_write(_done(lambda: services.find_collection(values["collection"])).pk)
        places = [*values["departments"], *([values["department"]] if values.get("department") else [])]
        file = values.get("file")
        return Upload(
            collection=values["collection"],
            text=values.get("text"),
            content=file.read() if file is not None else None,
            filename=file.name if file is not None else "",
            mime=(file.content_type or "") if file is not None else "",
            external_id=values.get("external_id"),
            title=values["title"],
            language=values["language"],
            classification=values.get("classification"),
            departments=tuple(place.pk for place in places),
            metadata=values["metadata"],
            expires_at=values.get("expires_at"),
            uploaded_by=self.caller.actor["id"],
            password=values["password"],
        )


class IngestJobView(mixins.RetrieveModelMixin, ManagementView):
    queryset = IngestJob.objects.all()
    rights: ClassVar[dict[str, str]] = {"retrieve": "documents.view"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_done(lambda: services.job_report(self.get_object().pk)))


def _fields(data: Any) -> Any:
    """Multipart fields as JSON would say them: lists and objects come as text."""
    if not hasattr(data, "getlist"):
        return data
    found: dict[str, Any] = {name: data.get(name) for name in data}
    if "departments" in found:
        found["departments"] = [part for text in data.getlist("departments") for part in _listed(text)]
    return found


def _listed(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(item) for item in orjson.loads(text)]
        except orjson.JSONDecodeError:
            raise exceptions.ValidationError({"departments": "Must be a list."}) from None
    return [part.strip() for part in text.split(",") if part.strip()]


class FeedbackView(mixins.CreateModelMixin, ReadView):
    """What people hold of passages: one's own, or all on what one may read for those who may change documents."""

    queryset = Feedback.objects.all()
    serializer_class = FeedbackSerializer
    filters: ClassVar[dict[str, Filter]] = {
        "document": "document_id",
        "question": "question",
        "useful": word_of(("false", "true"), "useful"),
    }
    searched = ("question",)
    orderings = ("changed_at",)
    rights: ClassVar[dict[str, str]] = {
        "list": "documents.search",
        "retrieve": "documents.search",
        "create": "documents.search",
        "evaluation_set": "documents.change",
    }

    def get_queryset(self) -> QuerySet[Feedback]:
        return feedback.visible(self.caller)

    def perform_create(self, serializer: Any) -> None:
        given = serializer.validated_data
        serializer.instance = _done(
            lambda: feedback.judge(self.caller, given["question"], given["chunk_id"], given["useful"])
        )

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY}, filters=False)
    @action(detail=False, methods=["get"], url_path="evaluation-set", pagination_class=None)
    def evaluation_set(self, request: Request) -> HttpResponse:
        """What people asked and found useful, with the documents, as `manage.py evaluate_retrieval` reads it."""
        record(Action.DOCUMENT_READ, object_type="evaluation_set")
        answer = HttpResponse(feedback.evaluation_set(), content_type="application/zip")
        answer["Content-Disposition"] = 'attachment; filename="evaluation-set.zip"'
        return answer


__all__ = ["CollectionView", "DocumentView", "FeedbackView", "IngestJobView"]
