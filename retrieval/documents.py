"""Collections and documents as people and programs handle them: every write of them passes here.

All functions run inside the scope that the caller opened; what the caller may do by role is the caller's to know, what
lies within department and clearance is the wall's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Count, Model, Q
from psycopg.errors import InsufficientPrivilege

from tenants.isolation.scope import CLEARANCES, current
from tenants.models import Department

from .data import KEEP, Keep, Submitted, SubmittedMany, Upload
from .errors import (
    CollectionNotFound,
    Conflict,
    DocumentNotFound,
    IngestError,
    InvalidUpload,
    JobNotFound,
    OutsideRights,
    RetrievalError,
    TooLarge,
)
from .ingest import index, pipeline
from .ingest.chunk import Chunking
from .ingest.reading import unlock
from .models import Access, Collection, Document, IngestItem, IngestJob, Original, State
from .synonyms import checked
from .tasks import dispatch

Found = TypeVar("Found", bound=Model)

MOST_BYTES = 50 * 1024 * 1024
MOST_METADATA = 64 * 1024
MOST_RETRIED = 10_000
MOST_TITLE, MOST_EXTERNAL_ID, MOST_NAME = 500, 300, 120


# Collections


def create_collection(
    name: str,
    *,
    department: UUID | None = None,
    classification: int = 0,
    embedding_model: str = "",
    chunking: Mapping[str, int] | None = None,
    synonyms: Any = (),
) -> Collection:
    """A new collection. Raises Conflict, OutsideRights, InvalidUpload."""
    _check_name(name)
    _check_classification(classification)
    _check_departments(() if department is None else (department,))
    with _refusals(f"A collection named {name} exists already."):
        return Collection.objects.create(
            name=name,
            department_id=department,
            classification=classification,
            embedding_model=embedding_model,
            chunking=asdict(_chunking(chunking)),
            synonyms=checked(list(synonyms)),
        )


def find_collection(reference: str | UUID) -> Collection:
    """A collection by id or name. Raises CollectionNotFound."""
    return _one(Collection, reference, CollectionNotFound, by_name=True)


def change_collection(
    reference: str | UUID,
    *,
    name: str | Keep = KEEP,
    department: UUID | Keep | None = KEEP,
    classification: int | Keep = KEEP,
    synonyms: Any = KEEP,
) -> Collection:
    """Renames or moves a collection (who may read its documents changes with it at once), or says what means the same
    in it. Raises CollectionNotFound, Conflict, OutsideRights, InvalidUpload.
    """
    collection = find_collection(reference)
    if not isinstance(name, Keep):
        _check_name(name)
        collection.name = name
    if not isinstance(department, Keep):
        _check_departments(() if department is None else (department,))
        collection.department_id = department
    if not isinstance(classification, Keep):
        _check_classification(classification)
        collection.classification = classification
    if not isinstance(synonyms, Keep):
        collection.synonyms = checked(synonyms)
    with _refusals(f"A collection named {collection.name} exists already."):
        collection.save()
    return collection


def delete_collection(reference: str | UUID) -> None:
    """Removes a collection with everything in it that the caller may read; Conflict if something else is in it."""
    collection = find_collection(reference)
    with _refusals("The collection holds documents that you may not remove."):
        for document in Document.objects.filter(collection=collection).values_list("pk", flat=True):
            delete_document(document)
        Access.objects.filter(collection=collection).delete()
        collection.delete()
        with connection.cursor() as cursor:
            cursor.execute("set constraints all immediate")


# Documents


def find_document(reference: str | UUID) -> Document:
    """A document by id. Raises DocumentNotFound."""
    return _one(Document, reference, DocumentNotFound)


def original(reference: str | UUID) -> Original:
    """What was uploaded as the version that answers, or the first one while none does. Raises DocumentNotFound."""
    document = find_document(reference)
    versions = Original.objects.filter(document=document).order_by("version")
    found = versions.filter(version=document.indexed_version or document.version).first()
    if found is None:
        raise DocumentNotFound
    return found


def submit(upload: Upload) -> Submitted:
    """Stores a document, new or as the next version of the one with its external id, and hands it to the workers after
    the commit. The same content again makes no new version. Raises CollectionNotFound, InvalidUpload, TooLarge,
    OutsideRights, Conflict.
    """
    with _refusals("The external id is taken."):
        job = _new_job()
        document, item = _accept(upload, job)
    _send([item])
    return Submitted(document, job)


def submit_many(uploads: Iterable[Upload]) -> SubmittedMany:
    """Stores many documents under one job. What cannot be accepted is told by line, from 1, and holds up no other."""
    rejected: list[dict[str, Any]] = []
    items: list[IngestItem] = []
    with _refusals("A document is taken."):
        job = _new_job()
        for line, upload in enumerate(uploads, start=1):
            try:
                with _refusals("The external id is taken."):
                    items.append(_accept(upload, job)[1])
            except RetrievalError as error:
                rejected.append({"line": line, "message": str(error)})
    _send(items)
    return SubmittedMany(job, len(items), rejected)


def ingest_now(upload: Upload) -> Document:
    """`submit` without waiting for workers: the document comes back ready, or failed with its error."""
    with _refusals("The external id is taken."):
        document, item = _accept(upload, _new_job())
    if item.state == State.QUEUED:
        pipeline.process(UUID(current()), item.pk)
    return find_document(document.pk)


def retry(reference: str | UUID) -> Submitted:
    """Tries a failed document again, from what was uploaded."""
    document = find_document(reference)
    if document.state != State.FAILED:
        raise InvalidUpload("Only a document that failed can be tried again.")
    with _refusals("The document is taken."):
        job = _new_job()
        _queue(document)
        document.save(update_fields=["state", "stage", "progress", "attempts", "error", "updated_at"])
        item = IngestItem.objects.create(job=job, document=document, version=document.version)
    _send([item])
    return Submitted(document, job)


def retry_failed() -> SubmittedMany:
    """Tries all failed documents of the open scope again under one job, at most MOST_RETRIED at once."""
    with _refusals("A document is taken."):
        job = _new_job()
        failed = Document.objects.select_for_update().filter(state=State.FAILED).order_by("pk")[:MOST_RETRIED]
        items = []
        for document in failed:
            _queue(document)
            document.save(update_fields=["state", "stage", "progress", "attempts", "error", "updated_at"])
            items.append(_item(job, document))
    _send(items)
    return SubmittedMany(job, len(items), [])


def change_document(
    reference: str | UUID,
    *,
    metadata: Mapping[str, Any] | Keep = KEEP,
    departments: tuple[UUID, ...] | Keep = KEEP,
    classification: int | Keep = KEEP,
    expires_at: Any = KEEP,
    language: str | Keep = KEEP,
) -> Document:
    """Changes what is said of a document, at once and without embedding it anew, for the version that answers and for
    one that waits. A new title is a new version: submit it.
    """
    document = find_document(reference)
    said: dict[str, Any] = {
        name: value
        for name, value in {
            "metadata": metadata,
            "departments": departments,
            "classification": classification,
            "expires_at": expires_at,
            "language": language,
        }.items()
        if not isinstance(value, Keep)
    }
    return _described(document, said)


def delete_document(reference: str | UUID) -> None:
    """Removes a document with its chunks, vectors, texts, postings and originals, in one transaction."""
    with transaction.atomic():
        document = find_document(reference)
        index.lock()
        index.remove(document.pk)
        document.delete()


# Jobs


def find_job(reference: str | UUID) -> IngestJob:
    """A job by id. Raises JobNotFound."""
    return _one(IngestJob, reference, JobNotFound)


def job_report(reference: str | UUID) -> dict[str, Any]:
    """Where a job stands, in the contract's shape."""
    job = find_job(reference)
    counts = job.items.aggregate(
        total=Count("pk"),
        done=Count("pk", filter=Q(state=State.READY)),
        failed=Count("pk", filter=Q(state=State.FAILED)),
        begun=Count("pk", filter=~Q(state=State.QUEUED)),
    )
    failed = job.items.filter(state=State.FAILED).order_by("pk")[:1000]
    errors = [{"document": str(item.document_id), "stage": item.stage, "message": item.message} for item in failed]
    begun = counts.pop("begun")
    return {"id": str(job.pk), "state": _job_state(begun=begun, **counts), "documents": counts, "errors": errors}


def _job_state(total: int, done: int, failed: int, begun: int) -> str:
    if done + failed < total:
        return "running" if begun else "queued"
    if not failed:
        return "succeeded"
    return "partial" if done else "failed"


# Submission


def _accept(upload: Upload, job: IngestJob) -> tuple[Document, IngestItem]:
    """Stores one upload: its document, the original of the version, and its place in the job."""
    collection = find_collection(upload.collection)
    content = _content(upload)
    said = _said(upload, collection)
    # The same file with its password is another one: it can be read.
    digest = hashlib.sha256(b"unlocked\0" + content if upload.password else content).hexdigest()
    document = _known(collection, upload.external_id)
    if document is not None and _is_same(document, digest, said["title"]):
        document = _described(document, {name: value for name, value in said.items() if name != "title"})
        return document, _item(job, document)
    if document is None:
        document = _created(upload, collection, said, digest, len(content))
    else:
        _next_version(document, said)
    Original.objects.create(
        document=document,
        version=document.version,
        content=_unlocked(content, upload.password),
        filename=_clean(upload.filename)[-300:],
        mime=_mime(upload),
        digest=digest,
        **said,
    )
    return document, _item(job, document)


def _known(collection: Collection, external_id: str | None) -> Document | None:
    if not external_id:
        return None
    return Document.objects.select_for_update().filter(collection=collection, external_id=external_id).first()


def _is_same(document: Document, digest: str, title: str) -> bool:
    """Whether the latest version is this very content under this very title."""
    latest = Original.objects.filter(document=document, version=document.version, digest=digest, title=title)
    return document.state != State.FAILED and latest.exists()


def _created(upload: Upload, collection: Collection, said: dict[str, Any], digest: str, size: int) -> Document:
    return Document.objects.create(
        collection=collection,
        external_id=upload.external_id or None,
        mime=_mime(upload),
        digest=digest,
        size=size,
        uploaded_by=upload.uploaded_by or _actor(),
        **said,
    )


def _next_version(document: Document, said: dict[str, Any]) -> None:
    """Counts up. While no version answers yet, what is said of the new one holds at once."""
    document.version += 1
    _queue(document)
    if document.indexed_version is None:
        for name, value in said.items():
            setattr(document, name, value)
    document.save()


def _queue(document: Document) -> None:
    document.state, document.stage, document.progress, document.attempts, document.error = State.QUEUED, "", 0, 0, ""


def _described(document: Document, said: Mapping[str, Any]) -> Document:
    """Writes what is said of a document to it and to the versions that wait; triggers move its access along."""
    _check_said(said)
    with _refusals("The document is taken."):
        for name, value in said.items():
            setattr(document, name, list(value) if name == "departments" else value)
        document.save()
        Original.objects.filter(document=document).update(**said)
    return document


def _item(job: IngestJob, document: Document) -> IngestItem:
    state = State.READY if document.state == State.READY else State.QUEUED
    return IngestItem.objects.create(job=job, document=document, version=document.version, state=state)


def _new_job() -> IngestJob:
    return IngestJob.objects.create(submitted_by=_actor())


def _send(items: list[IngestItem]) -> None:
    """Hands the items that need work to the workers once everything is committed."""
    tenant, waiting = UUID(current()), [item.pk for item in items if item.state == State.QUEUED]
    if waiting:
        transaction.on_commit(lambda: dispatch(tenant, waiting))


def _actor() -> str:
    """The id of whoever acts in the open scope."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(nullif(current_setting('app.actor', true), '')::jsonb ->> 'id', '')")
        return str(cursor.fetchone()[0])[:80]


# What an upload may say


def _said(upload: Upload, collection: Collection) -> dict[str, Any]:
    """The description of a document, checked; its classification is at least its collection's."""
    given = collection.classification if upload.classification is None else upload.classification
    said = {
        "title": _clean(upload.title or upload.filename)[:MOST_TITLE],
        "language": upload.language[:20],
        "classification": given,
        "departments": list(upload.departments),
        "metadata": dict(upload.metadata),
        "expires_at": upload.expires_at,
    }
    _check_said(said)
    said["classification"] = max(given, collection.classification)
    if upload.external_id is not None and (len(upload.external_id) > MOST_EXTERNAL_ID or "\0" in upload.external_id):
        raise InvalidUpload(f"external_id may have {MOST_EXTERNAL_ID} characters.")
    return said


def _content(upload: Upload) -> bytes:
    if (upload.text is None) == (upload.content is None):
        raise InvalidUpload("A document needs either a file or a text.")
    content = upload.content if upload.content is not None else str(upload.text).encode("utf-8", "replace")
    if len(content) > MOST_BYTES:
        raise TooLarge(f"A document may have {MOST_BYTES // 1024 // 1024} MB.")
    return bytes(content)


def _unlocked(content: bytes, password: str) -> bytes:
    """A file that its password opens, so that nobody needs to keep that. One that it does not open stays encrypted,
    and fails as such when it is read.
    """
    if not password:
        return content
    try:
        return unlock(content, password)
    except IngestError:
        return content


def _mime(upload: Upload) -> str:
    return _clean(upload.mime or ("text/plain" if upload.text is not None else ""))[:120]


def _check_said(said: Mapping[str, Any]) -> None:
    if "classification" in said:
        _check_classification(said["classification"])
    if "departments" in said:
        _check_departments(tuple(said["departments"]))
    if "metadata" in said:
        _check_metadata(said["metadata"])


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise InvalidUpload(f"A name has 1 to {MOST_NAME} printable characters.")


def _check_classification(classification: int) -> None:
    if classification not in range(len(CLEARANCES)):
        raise InvalidUpload(f"classification is one of {', '.join(CLEARANCES)}.")


def _check_departments(departments: tuple[UUID, ...]) -> None:
    wanted = set(departments)
    if wanted and Department.objects.filter(pk__in=wanted).count() != len(wanted):
        raise InvalidUpload("There is no such department.")


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, Mapping):
        raise InvalidUpload("metadata must be an object.")
    try:
        said = json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:  # also what is no Unicode
        raise InvalidUpload("metadata must be JSON.") from error
    if len(said) > MOST_METADATA or b"\\u0000" in said:
        raise InvalidUpload(f"metadata may have {MOST_METADATA // 1024} KB, without null characters.")


def _chunking(given: Mapping[str, int] | None) -> Chunking:
    names = {field.name for field in fields(Chunking)}
    if given is None:
        return Chunking()
    if set(given) - names or not all(isinstance(n, int) and not isinstance(n, bool) for n in given.values()):
        raise InvalidUpload(f"chunking has whole numbers for {', '.join(sorted(names))}.")
    wanted = Chunking(**given)
    if not (20 <= wanted.words <= 400 and 0 <= wanted.overlap <= wanted.words // 2 and 0 <= wanted.whole <= 600):
        raise InvalidUpload("chunking: words 20 to 400, overlap up to half of them, whole up to 600.")
    return wanted


def _clean(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()


# Reading and refusing


def _one(model: type[Found], reference: str | UUID, missing: type[RetrievalError], by_name: bool = False) -> Found:
    wanted = Q()
    try:
        wanted = Q(pk=UUID(str(reference)))
    except ValueError:
        if not by_name:
            raise missing from None
    if by_name and str(reference).isprintable():
        wanted |= Q(name=str(reference))
    found = model._default_manager.filter(wanted).first() if wanted else None
    if found is None:
        raise missing
    return found


@contextmanager
def _refusals(taken: str) -> Iterator[None]:
    """One transaction, in which the database's refusals become this app's errors."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise Conflict(taken) from error
    except DatabaseError as error:
        if isinstance(error.__cause__, InsufficientPrivilege):
            raise OutsideRights from error
        raise
