"""What can go wrong with documents and search.

RetrievalError
 ├── CollectionNotFound     no such collection, or none that the caller may read (the two are never told apart)
 ├── DocumentNotFound       the same for a document
 ├── PassageNotFound        the same for a passage
 ├── JobNotFound            the same for an ingest job
 ├── Conflict               a name or external id is taken
 ├── OutsideRights          the caller would store what the caller could not read
 ├── InvalidUpload          an upload says something that has no meaning
 ├── FilterError            a metadata filter cannot be read; the message names the place
 ├── SearchUnavailable      the database or the embedder does not answer; try again
 └── IngestError            one document cannot be read; `stage` says where, the message why
      ├── UnsupportedFormat
      ├── Encrypted
      ├── Unreadable
      ├── TooLarge
      └── NoText
           └── NeedsRecognition
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Something about documents or search."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class CollectionNotFound(RetrievalError):
    """There is no such collection."""


class DocumentNotFound(RetrievalError):
    """There is no such document."""


class PassageNotFound(RetrievalError):
    """There is no such passage. Documents may have been read anew since: search again."""


class JobNotFound(RetrievalError):
    """There is no such ingest job."""


class Conflict(RetrievalError):
    """The name is taken."""


class OutsideRights(RetrievalError):
    """Departments and classification must lie within your own rights: you would store what you could not read."""


class InvalidUpload(RetrievalError):
    """The document cannot be accepted as it was sent."""


class FilterError(RetrievalError):
    """The filter cannot be read."""


class SearchUnavailable(RetrievalError):
    """Documents cannot be searched at the moment. Try again shortly."""


class IngestError(RetrievalError):
    """The document cannot be read."""

    stage = "extract"


class UnsupportedFormat(IngestError):
    """This format cannot be read. PDF, office files, web pages, mails, text and pictures can."""


class Encrypted(IngestError):
    """The file is encrypted. Upload it again with its `password`, or a copy without one."""


class Unreadable(IngestError):
    """The file is damaged and cannot be read."""


class TooLarge(IngestError):
    """The file is too large, or unpacks to too much."""


class NoText(IngestError):
    """The file holds no text that can be read."""


class NeedsRecognition(NoText):
    """The file holds pictures of text. Reading them needs OCR: install tesseract, or upload a copy that holds text."""
