"""What is found, in which order, and when nothing is."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest
from django.conf import settings

from retrieval import search
from retrieval.errors import CollectionNotFound, FilterError, SearchUnavailable
from retrieval.ingest import index
from retrieval.ingest.embed import embedder, fertility
from retrieval.services import delete_document, recall
from tenants.isolation import scope
from tenants.isolation.pool import make_pool

TOPICS = {
    "bees": "Bees winter as a cluster around their queen and live on honey until spring.",
    "tides": "The pull of the moon raises the tides; at new and full moon they are highest.",
    "bread": "Sourdough bread rises slowly because wild yeast works at room temperature.",
    "locks": "A canal lock lifts boats by filling a chamber with water from the upper reach.",
}


@pytest.fixture
def library(people):
    for name, text in TOPICS.items():
        people.keep(text, "library", title=name.title(), external_id=name)
    return people


@pytest.fixture(params=["exact", "hybrid"])
def way(request, monkeypatch):
    """Both paths of the search: all chunks scored, or candidates from the indexes."""
    if request.param == "hybrid":
        monkeypatch.setattr(search, "EXACT_TENANT", 0)
        monkeypatch.setattr(search, "EXACT_VISIBLE", -1)
    return request.param


@pytest.mark.parametrize(
    ("question", "answer"),
    [("How do bees survive the cold?", "bees"), ("When are tides highest?", "tides"), ("What lifts a boat?", "locks")],
)
def test_the_best_passage_answers_the_question(library, way, question, answer):
    assert library.find(library.admin, question)[0].external_id == answer


def test_both_paths_give_the_same_scores(library, monkeypatch):
    exact = library.find(library.admin, "bread and water", min_score=0.0)
    monkeypatch.setattr(search, "EXACT_TENANT", 0)
    monkeypatch.setattr(search, "EXACT_VISIBLE", -1)
    assert library.find(library.admin, "bread and water", min_score=0.0) == exact
    assert len(exact) == 4


def test_a_foreign_topic_finds_nothing(library, way):
    assert library.find(library.admin, "Which court hears appeals against a parking fine?") == []


def test_the_threshold_is_the_callers(library, way):
    found = library.find(library.admin, "How do bees survive the cold?", min_score=0.0)
    assert len(found) == 4
    assert library.find(library.admin, "How do bees survive the cold?", min_score=0.99) == []


def test_top_k_limits(library):
    assert len(library.find(library.admin, "bread and water", min_score=0.0, top_k=2)) == 2


@pytest.mark.parametrize(
    "question", ["88213", "What is the status of INV-88213?", "please look up 88213 for the boats"]
)
def test_an_identifier_is_found_in_whatever_sentence_it_stands(library, way, question):
    for number in range(88208, 88218):
        text = f"Invoice INV-{number} concerns the delivery of boats, water and bread in the spring."
        library.keep(text, "invoices", external_id=str(number))
    assert library.find(library.admin, question)[0].external_id == "88213"


def test_an_identifier_counts_for_more_than_the_words_around_it(library, way):
    library.keep("Ticket 88213 was closed by the porter.", "tickets", external_id="ticket")
    question = "How do insects survive the cold, 88213?"
    best = library.find(library.admin, question)[0]
    share = search.share_of(fertility(embedder(), question))
    assert best.external_id == "ticket"
    assert best.score == pytest.approx(share * best.vector + (1 - share) * best.lexical + 0.4, abs=1e-4)


def test_identifiers_are_the_first_candidates(library, monkeypatch):
    for name, most in (("EXACT_TENANT", 0), ("EXACT_VISIBLE", -1), ("NEAREST", 1), ("WORDED", 1)):
        monkeypatch.setattr(search, name, most)
    library.keep("Ticket 88213, closed.", "tickets", external_id="ticket")
    library.keep("Bees, queen, cluster, winter, honey and spring.", "tickets", external_id="other")
    found = library.find(library.admin, "bees queen cluster winter honey spring 88213")
    assert "ticket" in {passage.external_id for passage in found}


def test_a_passage_says_where_it_stands(library):
    text = "# Harbour\n\nA few words.\n\n## Lighthouse\n\n" + "The lighthouse keeper counts every passing ship. " * 60
    library.keep(text, "harbour", mime="text/markdown", title="Harbour")
    found = library.find(library.admin, "Who counts the ships at the lighthouse?", collections=["harbour"])
    assert [passage.text for passage in found] == [text[passage.start : passage.end].strip() for passage in found]
    sections = {passage.start > text.index("## Lighthouse"): passage.section for passage in found}
    assert sections == {False: "Harbour", True: "Harbour › Lighthouse"}


def test_the_title_is_searched_with_the_text(library, way):
    library.keep("It is closed on Mondays.", "places", title="Museum of Clocks, Furtwangen", external_id="clocks")
    assert library.find(library.admin, "When is the museum of clocks in Furtwangen closed?")[0].external_id == "clocks"


def test_the_same_text_twice_is_one_passage(library, way):
    library.keep(TOPICS["bees"], "copies", title="Bees", external_id="copy")
    found = library.find(library.admin, "How do bees survive the cold?", min_score=0.0)
    assert sorted(passage.text for passage in found) == sorted(TOPICS.values())


def test_only_the_named_collections_are_searched(library, way):
    library.keep("Bees dance to show where flowers are.", "dances", external_id="dance")
    named = library.find(library.admin, "What do bees do?", collections=["dances"], min_score=0.0)
    assert [passage.external_id for passage in named] == ["dance"]
    assert len(library.find(library.admin, "What do bees do?", collections=["dances", "library"], min_score=0.0)) == 5
    assert library.find(library.admin, "What do bees do?", collections=[]) == []


def test_of_several_questions_the_best_score_of_a_passage_counts(library, way):
    both = library.find(library.admin, ["How do bees survive the cold?", "When are tides highest?", " "])
    assert {passage.external_id for passage in both[:2]} == {"bees", "tides"}
    for name, question in (("bees", "How do bees survive the cold?"), ("tides", "When are tides highest?")):
        alone = next(p for p in library.find(library.admin, question) if p.external_id == name)
        assert next(p for p in both if p.external_id == name).score == alone.score
    assert len({passage.chunk_id for passage in both}) == len(both)


@pytest.mark.parametrize("name", ["LIBRARY", "library\0", "\ud800", "", "00000000-0000-0000-0000-000000000001"])
def test_an_unknown_collection_is_not_found(library, name):
    with pytest.raises(CollectionNotFound):
        library.find(library.admin, "bees", collections=["library", name])


def test_a_collection_is_found_by_its_id(library):
    with scope(library.admin):
        collection = search_collection("library")
    assert len(library.find(library.admin, "bees", collections=[str(collection)])) == 1


def search_collection(name):
    from retrieval.services import find_collection

    return find_collection(name).pk


@pytest.mark.parametrize("question", ["", "   ", "?!", "the of and", "\0", "\ud800", "🐝", "x" * 100_000])
def test_odd_questions_are_answered_without_failing(library, way, question):
    assert library.find(library.admin, question) == []


@pytest.mark.parametrize("named", [0, 2_000])
def test_the_filter_narrows_both_paths_whether_its_documents_are_few_or_many(library, way, named, monkeypatch):
    monkeypatch.setattr(search, "NAMED_DOCUMENTS", named)
    library.keep("Bees fly from ten degrees on.", "facts", metadata={"year": 2020}, external_id="old")
    library.keep("Bees sleep at night, mostly.", "facts", metadata={"year": 2024}, external_id="new")
    found = library.find(library.admin, "What do bees do?", filter={"year": {"gte": 2021}}, min_score=0.0)
    assert [passage.external_id for passage in found] == ["new"]
    assert library.find(library.admin, "What do bees do?", filter={"year": 1999}, min_score=0.0) == []


def test_a_filter_without_meaning_is_an_error_before_anything_is_asked(library):
    with pytest.raises(FilterError):
        library.find(library.admin, "bees", filter={"year": {"near": 2020}})


def test_russian_words_are_found_in_their_other_forms(library, way):
    library.keep("Мы купили новые книги о пчёлах для городской библиотеки.", "foreign", external_id="ru")
    assert library.find(library.admin, "книга о пчёлах")[0].external_id == "ru"


def test_chinese_is_found_by_pairs_of_characters(library, way):
    library.keep("蜜蜂在冬天聚集在蜂后周围，靠蜂蜜生活。", "foreign", external_id="zh")
    assert library.find(library.admin, "蜜蜂冬天吃什么")[0].external_id == "zh"
    assert library.find(library.admin, "法院开庭时间") == []


def test_the_async_search_gives_what_the_sync_one_gives(library):
    async def ask(source):
        return await recall(source, library.admin, "How do bees survive the cold?", collections=["library"])

    async def both():
        pool = make_pool(settings.DATABASE_URL, 1)
        await pool.open()
        try:
            async with pool.connection() as connection:
                by_connection = await ask(connection)
            return by_connection, await ask(pool)
        finally:
            await pool.close()

    by_connection, by_pool = asyncio.run(both())
    assert (
        by_connection
        == by_pool
        == library.find(library.admin, "How do bees survive the cold?", collections=["library"])
    )


def test_a_connection_forgets_the_scope_after_the_search(library):
    async def look():
        async with await psycopg.AsyncConnection.connect(settings.DATABASE_URL, row_factory=psycopg.rows.dict_row) as c:
            found = await recall(c, library.admin, "How do bees survive the cold?")
            cursor = await c.execute("select count(*) as rows from retrieval_chunk")
            return found, (await cursor.fetchone())["rows"]

    found, rows = asyncio.run(look())
    assert (len(found), rows) == (1, 0)


def test_a_database_that_is_away_is_told_from_an_empty_answer(library):
    async def ask():
        pool = make_pool("postgresql://nobody@127.0.0.1:1/nothing", 1)
        pool.timeout = 0.2
        await pool.open()
        try:
            await recall(pool, library.admin, "bees")
        finally:
            await pool.close()

    with pytest.raises(SearchUnavailable):
        asyncio.run(ask())


def test_a_database_that_stands_still_is_not_waited_for(library, monkeypatch):
    monkeypatch.setattr(search, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(search, "_PLAN", "select pg_sleep(3)")

    async def ask():
        async with make_pool(settings.DATABASE_URL, 1) as pool:
            began = time.monotonic()
            with pytest.raises(SearchUnavailable):
                await recall(pool, library.admin, "bees")
            return time.monotonic() - began

    assert asyncio.run(ask()) < 2.5


def test_the_event_loop_goes_on_while_a_question_is_embedded(library):
    async def ticks():
        count = 0
        asked = asyncio.ensure_future(search._queries.embed(library.acme, "word " * 200))
        while not asked.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert asyncio.run(ticks()) > 3


def test_postings_of_a_large_tenant_are_its_most_telling_terms(library, monkeypatch):
    monkeypatch.setattr(index, "EARLY", 0)
    text = " ".join(f"word{'abcdefghijklmnopqrstuvwxyz'[n % 26]}{'x' * (n // 26)}" for n in range(60)) + " A-4711"
    document = library.keep(text, "large")
    with scope(library.admin):
        from retrieval.models import Posting

        postings = Posting.objects.filter(access=document.access_id).count()
        assert postings == index.POSTINGS + 1
        delete_document(document.pk)
    assert library.find(library.admin, "4711") == []
