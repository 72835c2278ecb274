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
from django.utils import timezone

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


class GaveUp(IngestError):
    """The document could not be finished after several attempts."""

    stage = "ingest"


def of_tenant(tenant: UUID) -> Scope:
    """The scope in which documents of a tenant are ingested, and no others."""
    return Scope(tenant=tenant, actor={"type": "system", "id": "", "name": "ingestion"})


def process(tenant: UUID, item: UUID) -> None:
    """Ingests what one item asks for. A document's own fault is recorded; raises only what is TRANSIENT, after having
    put the item back. Doing the same item twice does no harm.
    """
    try:
        work = _claim(tenant, item)
        if work is not None:
            _replace(tenant, work, *_prepared(tenant, work))
    except IngestError as error:
        _fail(tenant, item, error.stage, str(error))
    except TRANSIENT:
        _put_back(tenant, item)
        raise
    except Exception as error:  # noqa: BLE001  recorded, and the next document goes on
        # a parser met something that nobody foresaw; its message could quote the document, so it is not kept
        log.error("ingest item %s: %s at %s", item, type(error).__name__, _place(error))
        _fail(tenant, item, "ingest", f"The document could not be read ({type(error).__name__}).")


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _claim(tenant: UUID, item: UUID) -> _Work | None:
    """Takes an item, unless it is finished, gone, or being worked on."""
    with scope(of_tenant(tenant)):
        found = IngestItem.objects.select_for_update().filter(pk=item).first()
        if found is None or not _is_free(found):
            return None
        found.attempts += 1
        found.state = State.RUNNING
        found.save(update_fields=["attempts", "state", "changed_at"])
        if found.attempts <= MOST_ATTEMPTS:
            return _work(found)
    raise GaveUp


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
        Document.objects.filter(pk=document.pk).update(state=State.RUNNING)
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


def _prepared(tenant: UUID, work: _Work) -> tuple[list[Indexed], int | None]:
    """The chunks of a document with their vectors and terms, and its number of pages."""
    extracted = extract(work.content, work.filename, work.mime, lambda: _show_life(tenant, work.item))
    found = pieces(extracted, work.chunking)
    if len(found) > MOST_CHUNKS:
        raise IngestError(f"The document has more than {MOST_CHUNKS:,} chunks.")
    model = embedder()
    chunks: list[Indexed] = []
    for batch in _beats(found):
        texts = [_titled(work.title, piece.text) for piece in batch]
        vectors = model.documents(texts)
        chunks += [
            Indexed(piece, vector, analyser.terms(text))
            for piece, vector, text in zip(batch, vectors, texts, strict=True)
        ]
        if len(found) > BEAT:
            _show_life(tenant, work.item)
    return chunks, extracted.page_count


def _titled(title: str, text: str) -> str:
    """What is embedded and indexed: many questions name the document, and few chunks do."""
    return f"{title}\n{text}" if title else text


def _beats(found: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    for first in range(0, len(found), BEAT):
        yield found[first : first + BEAT]


def _show_life(tenant: UUID, item: UUID) -> None:
    with scope(of_tenant(tenant)):
        IngestItem.objects.filter(pk=item, state=State.RUNNING).update(changed_at=timezone.now())


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
        document.state, document.error = State.READY, ""
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
            state=State.FAILED, error=message[:500], updated_at=timezone.now()
        )


def _put_back(tenant: UUID, item: UUID) -> None:
    """Frees an item for another attempt, as far as the database lets us; if not, it counts as dead after a while."""
    try:
        with scope(of_tenant(tenant)):
            waiting = IngestItem.objects.filter(pk=item, state=State.RUNNING)
            Document.objects.filter(pk__in=waiting.values("document"), state=State.RUNNING).update(state=State.QUEUED)
            waiting.update(state=State.QUEUED, changed_at=timezone.now())
    except (OperationalError, InterfaceError):
        log.warning("ingest item %s could not be put back; it will be found", item)
