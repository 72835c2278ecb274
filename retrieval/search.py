"""Search in the caller's rights: one hybrid statement behind the wall, for async and for sync callers.

The question is embedded before a connection is taken. Nothing here filters by department or clearance: the row policies
of documents, chunks, texts and postings do, in the scope that is opened in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from django.db import OperationalError, connection
from psycopg_pool import PoolTimeout

from tenants.isolation.pool import Connection, Pool, scoped, within
from tenants.isolation.scope import CLEARANCES, WRITE, Scope, scope

from . import analyser
from .data import Passage
from .duplicates import distinct
from .errors import CollectionNotFound, SearchUnavailable
from .filters import Condition, compile_filter
from .ingest.embed import EmbeddedQuery, Queries
from .synonyms import varied

Row = Mapping[str, Any]
Found = TypeVar("Found")
#: Statements, one after the other; what executes them sends the rows back
Steps = Generator[tuple[str, dict[str, Any]], list[Row], Found]

#: Below this score a passage is off-topic: 91 to 100 % of a set's answerable questions reach it, and few others.
MIN_SCORE = 0.30
#: How far that falls with the vector's share: words alone never come as near to their bound. Measured on questions in
#: seven languages, half of them about other topics; a constant would have refused most Chinese answers.
MIN_SCORE_FALL = 0.27
MOST_PASSAGES = 100
#: That a call waits for its passages; the largest tenant's take a tenth of a second.
ANSWER_SECONDS = 10.0
#: What of a question is read: a longer one is a document.
MOST_CHARACTERS, MOST_TERMS = 4_000, 64
#: Questions of one call.
MOST_QUESTIONS = 8

#: All chunks are scored when there are no more than these, by tenant, or by what collections and filter leave of it ...
EXACT_TENANT, EXACT_VISIBLE = 5_000, 10_000
#: ... or some more, while they are so small a share of their part that its index would look at too many others.
EXACT_SPARSE, SPARSE = 50_000, 0.1
#: Candidates by vector, by words, and for one word.
NEAREST, WORDED, PER_TERM = 200, 300, 300
#: More access rows, or documents that a filter leaves, are not named in the statement.
NAMED_ACCESS, NAMED_DOCUMENTS = 200, 20_000

#: The vector's share of the score, and how it falls with the fertility of the question: the local model knows English,
#: and less and less of a language the more pieces it cuts its words into.
SHARE, LEAST_SHARE, FERTILITY_FROM, FERTILITY_FALL = 0.55, 0.10, 1.5, 0.5

_SQL = Path(__file__).parent / "sql"
_PLAN = (_SQL / "search_plan.sql").read_text()
_COUNT = (_SQL / "count_visible.sql").read_text()
_SYNONYMS = (_SQL / "synonyms.sql").read_text()
_HIGHEST = (_SQL / "classification.sql").read_text()
_SEARCH = (_SQL / "hybrid_search.sql").read_text()
_CANDIDATES = (_SQL / "search_candidates.sql").read_text()
_MATCHING = (_SQL / "matching_documents.sql").read_text()
#: A condition on documents: those found are named, and found anew where they are too many to name. A search of all
#: chunks reads theirs; one of candidates tests each, as the planner would else fetch and compare all of theirs as well.
_NAMED_DOCUMENTS = "and c.document_id = any(%(documents)s::uuid[])"
_NAMED_TESTED = "and (c.document_id in (select unnest(%(documents)s::uuid[]))) is true"
_MATCHING_DOCUMENTS = "and c.document_id in (select id from matching)"
_MATCHING_TESTED = "and (c.document_id in (select id from matching)) is true"
_REMEMBER = (
    "matching as materialized (select d.id from retrieval_document d where d.tenant_id = %(tenant)s and {condition}),\n"
)
#: One by one: a join would rather read the whole tenant.
_EACH_CANDIDATE = (
    "candidate cross join lateral "
    "(select * from retrieval_chunk where tenant_id = %(tenant)s and id = candidate.id limit 1) c"
)

_queries = Queries()


@dataclass(frozen=True, slots=True)
class _Search:
    """A question on its way: everything that the statements are given."""

    collections: tuple[str, ...] | None
    condition: Condition | None
    restricted: bool  #: by departments or clearance
    top_k: int
    values: dict[str, Any]


async def recall(
    source: Pool | Connection,
    wanted: Scope,
    query: str | Sequence[str],
    *,
    collections: Sequence[str] | None = None,
    top_k: int = 8,
    filter: Mapping[str, Any] | None = None,
    min_score: float | None = None,
) -> list[Passage]:
    """The passages that answer a question best, at most `top_k`, none below `min_score` (None: MIN_SCORE for English,
    less for languages that the embedder hardly knows). Of several questions, the best score of a passage counts.

    `source` is a pool, or a connection without an open transaction; `collections` are names or ids, None all that are
    readable. Raises CollectionNotFound, FilterError, SearchUnavailable.
    """
    condition = None if filter is None else compile_filter(filter)
    searches = []
    questions = _questions(query, collections, top_k)
    if questions:
        alike = _asked(source, wanted, [_alike(wanted, collections)])
        questions = varied(questions, (await _reached(source, alike))[0])
    for question in questions:
        embedded = await _queries.embed(wanted.tenant, question)
        searches.append(_search(wanted, question, embedded, collections, condition, top_k, min_score))
    if not searches:
        return []
    found = await _reached(source, _asked(source, wanted, [_steps(search) for search in searches]))
    return _best(found, searches[0].top_k)


def recall_now(
    wanted: Scope,
    query: str | Sequence[str],
    *,
    collections: Sequence[str] | None = None,
    top_k: int = 8,
    filter: Mapping[str, Any] | None = None,
    min_score: float | None = None,
    share: float | None = None,
) -> list[Passage]:
    """`recall` for sync callers, on Django's connection; it opens the scope itself.

    `share` is the vector's share of the score, None as the question's language asks (measurements compare them).
    """
    condition = None if filter is None else compile_filter(filter)
    searches = []
    questions = _questions(query, collections, top_k)
    if questions and share is None:
        questions = varied(questions, _asked_now(wanted, [_alike(wanted, collections)])[0])
    for question in questions:
        embedded = _queries.embed_now(wanted.tenant, question)
        searches.append(_search(wanted, question, embedded, collections, condition, top_k, min_score))
        if share is not None:
            searches[-1].values["share"] = share
    if not searches:
        return []
    return _best(_asked_now(wanted, [_steps(search) for search in searches]), top_k)


async def classification_of(source: Pool, wanted: Scope, documents: Sequence[UUID]) -> int | None:
    """The highest classification among documents, an index into CLEARANCES; None when none is readable. Raises
    SearchUnavailable.
    """
    try:
        async with scoped(source, wanted) as opened:
            cursor = await opened.execute(_HIGHEST.encode(), {"documents": list(documents)})
            row = await cursor.fetchone()
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as error:
        raise SearchUnavailable from error
    return None if row is None else row["highest"]


async def ready() -> None:
    """Loads the embedder, so that the first question of a worker does not wait for it."""
    await _queries.embed(None, "ready")


def _questions(query: str | Sequence[str], collections: Sequence[str] | None, top_k: int) -> list[str]:
    """The questions that are searched for, each once: of each the part that is read, in characters that exist."""
    if top_k < 1 or (collections is not None and not collections):
        return []
    given = [query] if isinstance(query, str) else query
    read = (question[:MOST_CHARACTERS].encode("utf-8", "replace").decode() for question in given)
    return list(dict.fromkeys(question for question in read if question.strip()))[:MOST_QUESTIONS]


def _named(wanted: Scope, collections: Sequence[str] | None) -> dict[str, Any]:
    """Collections as the statements take them: by name or id."""
    names = [name for name in collections or () if "\0" not in name and name.isprintable()]
    ids = [found for found in map(_uuid, names) if found is not None]
    return {"tenant": wanted.tenant, "named": collections is not None, "names": names, "ids": ids}


def _alike(wanted: Scope, collections: Sequence[str] | None) -> Steps[list[list[str]]]:
    """What means the same in the collections that are searched."""
    rows = yield _SYNONYMS, _named(wanted, collections)
    return [group for row in rows for group in json.loads(row["synonyms"])]


async def _reached(source: Pool | Connection, asking: Coroutine[Any, Any, Found]) -> Found:
    """What the database answers in time. Raises SearchUnavailable."""
    try:
        return await (asking if isinstance(source, psycopg.AsyncConnection) else within(ANSWER_SECONDS, asking))
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as error:
        raise SearchUnavailable from error


async def _asked(source: Pool | Connection, wanted: Scope, asking: Sequence[Steps[Found]]) -> list[Found]:
    async with _opened(source, wanted) as opened:
        return [await _run(opened, steps) for steps in asking]


def _asked_now(wanted: Scope, asking: Sequence[Steps[Found]]) -> list[Found]:
    try:
        with scope(wanted):
            return [_run_now(steps) for steps in asking]
    except OperationalError as error:
        raise SearchUnavailable from error


def _best(found: Sequence[list[Passage]], most: int) -> list[Passage]:
    """The best passages of several searches; one that several have found counts by its best score."""
    if len(found) == 1:
        return found[0]
    best: dict[UUID, Passage] = {}
    for passage in sorted((passage for passages in found for passage in passages), key=lambda p: -p.score):
        best.setdefault(passage.chunk_id, passage)
    return distinct(list(best.values()), most)


@asynccontextmanager
async def _opened(source: Pool | Connection, wanted: Scope) -> AsyncIterator[Connection]:
    if isinstance(source, psycopg.AsyncConnection):
        async with source.transaction():
            await source.execute(WRITE, wanted.settings())
            yield source
    else:
        async with scoped(source, wanted) as opened:
            yield opened


async def _run(opened: Connection, steps: Steps[Found]) -> Found:
    statement, values = next(steps)
    while True:
        cursor = await opened.execute(statement.encode(), values)
        try:
            statement, values = steps.send(list(await cursor.fetchall()))
        except StopIteration as end:
            found: Found = end.value
            return found


def _run_now(steps: Steps[Found]) -> Found:
    statement, values = next(steps)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement, values)
            names = [column.name for column in cursor.description]
            try:
                statement, values = steps.send([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
            except StopIteration as end:
                found: Found = end.value
                return found


def _steps(search: _Search) -> Steps[list[Passage]]:
    """The statements of a search, one after the other; what executes them sends the rows back. So there is one search,
    whether its connection is async or not.
    """
    [plan] = yield _PLAN, search.values
    values = _planned(search, plan)
    few = max(EXACT_VISIBLE, min(EXACT_SPARSE, int(SPARSE * plan["part"])))
    exact = values["chunks"] <= (EXACT_TENANT if few == EXACT_VISIBLE else few)
    if search.condition is not None:
        [matching] = yield _conditioned(_MATCHING, search), values | {"most": NAMED_DOCUMENTS}
        if not matching["found"]:
            return []
        values |= {"documents": matching["documents"]}  # as text, which goes back as it came
        exact = exact or matching["chunks"] <= few
    elif not exact and (search.collections is not None or search.restricted):
        [visible] = yield _COUNT, values | {"most": few}
        exact = visible["chunks"] <= few
    rows = yield _statement(search, values, exact), values
    return distinct([_passage(row) for row in rows], search.top_k)


def _search(
    wanted: Scope,
    query: str,
    embedded: EmbeddedQuery,
    collections: Sequence[str] | None,
    condition: Condition | None,
    top_k: int,
    min_score: float | None,
) -> _Search:
    terms = analyser.terms(query)
    if len(terms) > MOST_TERMS:  # the most frequent ones, by rising hash again
        terms = sorted(sorted(terms, key=lambda term: -term.count)[:MOST_TERMS], key=lambda term: term.slot)
    share = share_of(embedded.fertility)
    values = {
        **_named(wanted, collections),
        "most": NAMED_ACCESS,
        "terms": [term.slot for term in terms],
        "counts": [float(term.count) for term in terms],
        "identifiers": [term.identifier for term in terms],
        "vector": "[" + ",".join(f"{number:.5f}" for number in embedded.vector.tolist()) + "]",
        "share": share,
        "least": MIN_SCORE - MIN_SCORE_FALL * (SHARE - share) if min_score is None else min_score,
        "nearest": NEAREST,
        "worded": WORDED,
        "per_term": PER_TERM,
    }
    kept = None if collections is None else tuple(collections)
    restricted = wanted.departments is not None or wanted.clearance < len(CLEARANCES) - 1
    return _Search(kept, condition, restricted, min(top_k, MOST_PASSAGES), values)


def share_of(fertility: float) -> float:
    """The vector's share of the score for a question of that fertility."""
    fallen = SHARE - FERTILITY_FALL * (fertility - FERTILITY_FROM)
    return max(LEAST_SHARE, min(SHARE, fallen))


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _planned(search: _Search, plan: Row) -> dict[str, Any]:
    """The values of the search, now that the tenant's size and the visible collections are known."""
    found = {(UUID(number), name) for number, name in plan["collections"]}
    for name in search.collections or ():
        if not any(name == known or _uuid(name) == number for number, known in found):
            raise CollectionNotFound
    # Named collections are a condition of the search; the rows that remain without any are only a help to it.
    named = search.collections is not None or len(plan["access"]) <= NAMED_ACCESS
    values = search.values | {"chunks": plan["chunks"], "access": plan["access"] if named else None}
    if search.condition is not None:
        values |= search.condition.values
    # twice as many as asked, because near-duplicates are dropped afterwards
    return values | {"most": search.top_k * 2 + 8}


def _conditioned(statement: str, search: _Search) -> str:
    return statement.replace("{condition}", search.condition.sql if search.condition else "true")


def _statement(search: _Search, values: dict[str, Any], exact: bool) -> str:
    """The search, of all chunks or of candidates, within what a filter leaves."""
    matching, within = "", ""
    if search.condition is not None:
        if values["documents"] is not None:
            within = _NAMED_DOCUMENTS if exact else _NAMED_TESTED
        else:
            matching = _conditioned(_REMEMBER, search)
            within = _MATCHING_DOCUMENTS if exact else _MATCHING_TESTED
    whole = _SEARCH.replace("{candidates}", "" if exact else _CANDIDATES)
    whole = whole.replace("{source}", "retrieval_chunk c" if exact else _EACH_CANDIDATE)
    return whole.replace("{matching}", matching).replace("{within}", within)


def _passage(row: Row) -> Passage:
    return Passage(
        document_id=row["document_id"],
        external_id=row["external_id"],
        title=row["title"],
        version=row["version"],
        chunk_id=row["chunk_id"],
        text=row["text"],
        page=row["page"],
        section=row["section"],
        start=row["starts"],
        end=row["ends"],
        score=round(row["score"], 6),
        vector=round(row["vector"], 6),
        lexical=round(row["lexical"], 6),
        collection_id=row["collection_id"],
    )
