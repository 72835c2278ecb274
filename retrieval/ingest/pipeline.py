"""One document from its original to the index: extract, chunk, embed, and then, in one transaction, replace.

Until that last step the version before answers. The steps in between hold no transaction open.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from audit.services import Action, record
from retrieval import analyser
from retrieval.data import Piece
from retrieval.errors import IngestError, SearchUnavailable
from retrieval.models import Document, IngestItem, Original, State
from tenants.isolation.scope import Scope, scope

from . import index
from .chunk import Chunking, pieces
from .embed import embedder
from .extract import extract
from .index import Indexed

log = logging.getLogger("customhouse.ingest")

#: What another attempt may cure: the database or the embedder was away.
TRANSIENT = (OperationalError, InterfaceError, SearchUnavailable, ConnectionError, TimeoutError)

#: The stages of an item, as `stage` tells them.
EXTRACT, EMBED, INDEX = "extract", "embed", "index"

_DONE = {EXTRACT: "read", EMBED: "embedded", INDEX: "indexed"}

MOST_ATTEMPTS = 5
#: A running item that showed no sign of life for so long belonged to a worker that is gone.
DEAD_AFTER = timedelta(minutes=3)
#: Chunks embedded between two signs of life.
BEAT = 128
MOST_CHUNKS = 20_000


@dataclass(frozen=True, slots=True)
class _Work:
    """What an item asks for, read once."""

    item: UUID
    document: UUID
    version: int
    title: str
    filename: str
    mime: str
    content: bytes = field(repr=False)
    chunking: Chunking


@dataclass(slots=True)
class _Course:
    """How far an item is. To tell it is also the sign of life of who works on it."""

    tenant: UUID
    item: UUID
    stage: str = EXTRACT

    def tell(self, progress: int = 0) -> None:
        """Shows the stage, and how many percent of the document are done."""
        with scope(of_tenant(self.tenant)):
            running = IngestItem.objects.filter(pk=self.item, state=State.RUNNING)
            running.update(stage=self.stage, changed_at=timezone.now())
            _document_of(running).update(stage=self.stage, progress=progress)


class GaveUp(IngestError):
    """The document could not be finished in several attempts."""

    def __init__(self, stage: str, fault: str) -> None:
        last = f"met {fault}" if fault else "ended without a word, as when its worker is killed or has no memory left"
        super().__init__(
            f"Given up after {MOST_ATTEMPTS} attempts; the last one {last}. Try again when the cause is mended."
        )
        self.stage = stage


def of_tenant(tenant: UUID) -> Scope:
    """The scope in which documents of a tenant are ingested, and no others."""
    return Scope(tenant=tenant, actor={"type": "system", "id": "", "name": "ingestion"})


def process(tenant: UUID, item: UUID) -> None:
    """Ingests what one item asks for. A document's own fault is recorded; raises only what is TRANSIENT, after having
    put the item back. Doing the same item twice does no harm.
    """
    course = _Course(tenant, item)
    try:
        work = _claim(tenant, item)
        if work is not None:
            chunks, pages = _prepared(course, work)
            course.stage = INDEX
            _replace(tenant, work, chunks, pages)
    except IngestError as error:
        _fail(tenant, item, error.stage, str(error))
    except TRANSIENT as error:
        _put_back(course, type(error).__name__)
        raise
    except Exception as error:  # noqa: BLE001  recorded, and the next document goes on
        # a parser met something that nobody foresaw; its message could quote the document, so it is not kept
        log.error("ingest item %s: %s at %s", item, type(error).__name__, _place(error))
        _fail(tenant, item, course.stage, f"The document could not be {_DONE[course.stage]} ({type(error).__name__}).")


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _claim(tenant: UUID, item: UUID) -> _Work | None:
    """Takes an item, unless it is finished, gone, or being worked on."""
    with scope(of_tenant(tenant)):
        found = IngestItem.objects.select_for_update().filter(pk=item).first()
        if found is None or not _is_free(found):
            return None
        if found.attempts < MOST_ATTEMPTS:
            found.attempts += 1
            found.state, found.stage, found.message = State.RUNNING, EXTRACT, ""
            found.save(update_fields=["attempts", "state", "stage", "message", "changed_at"])
            return _work(found)
    raise GaveUp(found.stage or EXTRACT, found.message)


def _is_free(item: IngestItem) -> bool:
    if item.state == State.RUNNING:
        return item.changed_at < timezone.now() - DEAD_AFTER
    return item.state == State.QUEUED


def _work(item: IngestItem) -> _Work | None:
    document = Document.objects.select_related("collection").get(pk=item.document_id)
    original = Original.objects.filter(document=document, version=item.version).first()
    if original is None or (document.indexed_version or 0) >= item.version:
        # answered already, or replaced by a version that came later
        IngestItem.objects.filter(pk=item.pk).update(state=State.READY, changed_at=timezone.now())
        return None
    if document.version == item.version:
        Document.objects.filter(pk=document.pk).update(
            state=State.RUNNING, stage=EXTRACT, progress=0, attempts=item.attempts
        )
    return _Work(
        item=item.pk,
        document=document.pk,
        version=item.version,
        title=original.title,
        filename=original.filename,
        mime=original.mime,
        content=bytes(original.content),
        chunking=Chunking(**document.collection.chunking),
    )


def _document_of(items: QuerySet[IngestItem]) -> QuerySet[Document]:
    """The running document of an item, unless a newer version of it was submitted meanwhile."""
    return Document.objects.filter(
        pk__in=items.values("document_id"), version__in=items.values("version"), state=State.RUNNING
    )


def _prepared(course: _Course, work: _Work) -> tuple[list[Indexed], int | None]:
    """The chunks of a document with their vectors and terms, and its number of pages."""
    extracted = extract(work.content, work.filename, work.mime, course.tell)
    found = pieces(extracted, work.chunking)
    if len(found) > MOST_CHUNKS:
        raise IngestError(f"The document has more than {MOST_CHUNKS:,} chunks.")
    course.stage = EMBED
    course.tell()
    model = embedder()
    chunks: list[Indexed] = []
    for batch in _beats(found):
        texts = [_titled(work.title, piece.text) for piece in batch]
        vectors = model.documents(texts)
        chunks += [
            Indexed(piece, vector, analyser.terms(text))
            for piece, vector, text in zip(batch, vectors, texts, strict=True)
        ]
        if len(chunks) < len(found):
            course.tell(100 * len(chunks) // len(found))
    return chunks, extracted.page_count


def _titled(title: str, text: str) -> str:
    """What is embedded and indexed: many questions name the document, and few chunks do."""
    return f"{title}\n{text}" if title else text


def _beats(found: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    for first in range(0, len(found), BEAT):
        yield found[first : first + BEAT]


def _replace(tenant: UUID, work: _Work, chunks: list[Indexed], pages: int | None) -> None:
    """The new version answers, the one before is gone: one transaction."""
    with scope(of_tenant(tenant)):
        index.lock()
        document = Document.objects.select_for_update().filter(pk=work.document).first()
        original = Original.objects.defer("content").filter(document_id=work.document, version=work.version).first()
        if document is None or original is None or (document.indexed_version or 0) >= work.version:
            IngestItem.objects.filter(pk=work.item).update(state=State.READY, changed_at=timezone.now())
            return
        index.remove(document.pk)
        _describe(document, original, len(chunks), pages, len(work.content))
        detail = {"version": work.version, "chunks": len(chunks), "pages": pages}
        record(Action.DOCUMENT_READY, object_type="document", object_id=str(document.pk), detail=detail)
        index.write(document.pk, work.version, document.access_id, chunks)
        Original.objects.filter(document=document, version__lt=work.version).delete()
        IngestItem.objects.filter(pk=work.item).update(
            state=State.READY, stage="", message="", changed_at=timezone.now()
        )


def _describe(document: Document, original: Original, chunks: int, pages: int | None, size: int) -> None:
    """The document takes on what was said of the version that answers now."""
    document.title, document.language, document.metadata = original.title, original.language, original.metadata
    document.classification, document.departments = original.classification, original.departments
    document.expires_at, document.mime, document.digest = original.expires_at, original.mime, original.digest
    document.indexed_version, document.chunks, document.pages, document.size = original.version, chunks, pages, size
    if document.version == original.version:
        document.state, document.stage, document.progress, document.error = State.READY, "", 0, ""
    document.save()
    document.refresh_from_db(fields=["access"])  # the database finds it


def _fail(tenant: UUID, item: UUID, stage: str, message: str) -> None:
    """Records why; an older version goes on answering."""
    with scope(of_tenant(tenant)):
        found = IngestItem.objects.filter(pk=item).first()
        if found is None:
            return
        found.state, found.stage, found.message = State.FAILED, stage, message[:500]
        found.save(update_fields=["state", "stage", "message", "changed_at"])
        Document.objects.filter(pk=found.document_id, version=found.version).update(
            state=State.FAILED, stage=stage, error=message[:500], updated_at=timezone.now()
        )
        detail = {"version": found.version, "stage": stage}
        record(
            Action.DOCUMENT_FAIL,
            reason=message,
            object_type="document",
            object_id=str(found.document_id),
            detail=detail,
        )


def _put_back(course: _Course, fault: str) -> None:
    """Frees an item for another attempt, as far as the database lets us; if not, it counts as dead after a while."""
    try:
        with scope(of_tenant(course.tenant)):
            waiting = IngestItem.objects.filter(pk=course.item, state=State.RUNNING)
            _document_of(waiting).update(state=State.QUEUED, stage=course.stage)
            waiting.update(state=State.QUEUED, stage=course.stage, message=fault, changed_at=timezone.now())
    except (OperationalError, InterfaceError):
        log.warning("ingest item %s could not be put back; it will be found", course.item)
