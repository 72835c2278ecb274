"""The door of retrieval: documents in, passages and citations out."""

from __future__ import annotations

from .citations import SOURCES_BUDGET, cite, numbered
from .data import KEEP, Cited, NumberedPassage, Passage, Submitted, SubmittedMany, Upload
from .documents import (
    change_collection,
    change_document,
    create_collection,
    delete_collection,
    delete_document,
    find_collection,
    find_document,
    find_job,
    ingest_now,
    job_report,
    original,
    retry,
    retry_failed,
    submit,
    submit_many,
)
from .questions import standalone
from .reranking import rank
from .search import MIN_SCORE, classification_of, ready, recall, recall_now

__all__ = [
    "KEEP",
    "MIN_SCORE",
    "SOURCES_BUDGET",
    "Cited",
    "NumberedPassage",
    "Passage",
    "Submitted",
    "SubmittedMany",
    "Upload",
    "change_collection",
    "change_document",
    "cite",
    "classification_of",
    "create_collection",
    "delete_collection",
    "delete_document",
    "find_collection",
    "find_document",
    "find_job",
    "ingest_now",
    "job_report",
    "numbered",
    "original",
    "rank",
    "ready",
    "recall",
    "recall_now",
    "retry",
    "retry_failed",
    "standalone",
    "submit",
    "submit_many",
]
