"""What goes into retrieval and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from .models import Document, IngestJob


class Keep(Enum):
    """Says of a field that it stays as it is."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A document as it is submitted: either `text` or the bytes of a file.

    `collection` is an id or a name. `classification` None takes the collection's; `departments` empty means all.
    """

    collection: str | UUID
    text: str | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    filename: str = ""
    mime: str = ""
    external_id: str | None = None
    title: str = ""
    language: str = ""
    classification: int | None = None
    departments: tuple[UUID, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None
    uploaded_by: str = ""
    password: str = field(default="", repr=False)  #: opens the file as it comes in; it is not kept


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a submission: the document as it stands, and the job that shows its progress."""

    document: Document
    job: IngestJob


@dataclass(frozen=True, slots=True)
class SubmittedMany:
    """What came of many: `rejected` holds {"line", "message"}, lines counted from 1."""

    job: IngestJob
    accepted: int
    rejected: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as retrieved. `start` and `end` are characters of the document's extracted text; scores lie in 0..1
    (`score` may pass 1 when a rare identifier of the question stands in the text).
    """

    document_id: UUID
    external_id: str | None
    title: str
    version: int
    chunk_id: UUID
    text: str = field(repr=False)
    page: int | None
    section: str
    start: int
    end: int
    score: float
    vector: float
    lexical: float
    collection_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NumberedPassage(Passage):
    """A passage as a source of an answer, numbered from 1."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Cited:
    """The citations of an answer, in the contract's shape.

    `unknown` are marks that point at no source; `marked` says whether the answer carries any mark that does.
    """

    citations: list[dict[str, Any]]
    unknown: tuple[int, ...]
    marked: bool


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document's text, and what is known about places in it: (first character, page), (first character, heading path)
    and, of tables whose rows are lines, (first character, end, first character after the header), each in rising order.
    """

    text: str = field(repr=False)
    pages: tuple[tuple[int, int], ...] = ()
    sections: tuple[tuple[int, str], ...] = ()
    tables: tuple[tuple[int, int, int], ...] = ()
    page_count: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk before it is indexed: a range of the extracted text."""

    ordinal: int
    text: str = field(repr=False)
    start: int
    end: int
    page: int | None
    section: str
