"""From upload to answer: versions, failures, workers and removal."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from audit.models import Event
from retrieval import tasks
from retrieval.errors import Conflict, DocumentNotFound, InvalidUpload, TooLarge
from retrieval.ingest import pipeline
from retrieval.models import Chunk, ChunkText, Collection, Document, IngestItem, Original, Posting, TermCount
from retrieval.services import (
    Upload,
    change_document,
    create_collection,
    delete_collection,
    delete_document,
    find_document,
    ingest_now,
    job_report,
    original,
    retry,
    retry_failed,
    submit,
    submit_many,
)
from tenants.isolation import scope
from tests.retrieval.test_formats import encrypted

GARDEN = "Tomatoes want sun, water in the morning, and a stick to climb."
BEES = "Bees winter as a cluster around their queen and live on honey."


@pytest.fixture
def sent(monkeypatch):
    """What was handed to the workers: (tenant, items)."""
    found: list[tuple[UUID, list[UUID]]] = []
    monkeypatch.setattr("retrieval.documents.dispatch", lambda tenant, items: found.append((tenant, items)))
    return found


@pytest.fixture
def garden(people):
    with scope(people.admin):
        create_collection("garden")
    return people


def upload(text=GARDEN, **more) -> Upload:
    return Upload(**{"collection": "garden", "text": text, "external_id": "g-1", **more})


def work(sent) -> None:
    """Does what the workers would."""
    for tenant, items in sent:
        for item in items:
            pipeline.process(tenant, item)
    sent.clear()


def rows() -> list[int]:
    """Rows of an index that the open scope sees; terms that occur."""
    return [
        Chunk.objects.count(),
        ChunkText.objects.count(),
        Posting.objects.count(),
        TermCount.objects.filter(chunks__gt=0).count(),
        Original.objects.count(),
        Document.objects.count(),
    ]


def test_a_submission_is_handed_to_the_workers_after_the_commit(garden, sent):
    with scope(garden.admin):
        submitted = submit(upload())
        assert sent == []
    assert [tenant for tenant, _ in sent] == [garden.acme]
    assert submitted.document.state == "queued"


def test_a_job_shows_where_its_document_stands(garden, sent):
    with scope(garden.admin):
        job = submit(upload()).job
        assert job_report(job.pk)["state"] == "queued"
    work(sent)
    with scope(garden.admin):
        assert job_report(job.pk) == {
            "id": str(job.pk),
            "state": "succeeded",
            "documents": {"total": 1, "done": 1, "failed": 0},
            "errors": [],
        }


def test_the_old_version_answers_until_the_new_one_is_complete(garden, sent):
    with scope(garden.admin):
        ingest_now(upload(title="Garden"))
        document = submit(upload(BEES, title="Bees", departments=(garden.legal,))).document
        assert (document.version, document.indexed_version) == (2, 1)
    [passage] = garden.find(garden.bob, "What do tomatoes want?")
    assert (passage.version, passage.title, passage.text) == (1, "Garden", GARDEN)
    work(sent)
    assert garden.find(garden.alice, "What do tomatoes want?") == []
    [passage] = garden.find(garden.alice, "How do bees winter?")
    assert (passage.version, passage.title) == (2, "Bees")
    assert garden.find(garden.bob, "How do bees winter?") == []  # the new version's own readers


def test_a_restriction_holds_for_the_version_that_waits_as_well(garden, sent):
    with scope(garden.admin):
        document = ingest_now(upload())
        submit(upload(BEES))
        change_document(document.pk, classification=3)
    work(sent)
    assert garden.find(garden.bob, "How do bees winter?") == []


def test_what_is_said_of_a_document_is_said_of_the_version_that_waits(garden, sent):
    with scope(garden.admin):
        document = ingest_now(upload(metadata={"year": 2020}))
        submit(upload(BEES, metadata={"year": 2021}))
        change_document(document.pk, metadata={"year": 2024})
    work(sent)
    assert len(garden.find(garden.admin, "How do bees winter?", filter={"year": 2024})) == 1


def test_a_version_that_was_overtaken_answers_until_the_next_one_is_complete(garden, sent):
    with scope(garden.admin):
        submit(upload())
        document = submit(upload(BEES)).document
    overtaken, latest = sent
    work([overtaken])
    with scope(garden.admin):
        found = find_document(document.pk)
        assert (found.state, found.version, found.indexed_version) == ("queued", 2, 1)
    work([latest])
    work([overtaken])
    with scope(garden.admin):
        found = find_document(document.pk)
        assert (found.state, found.indexed_version) == ("ready", 2)


def test_an_update_replaces_every_row_of_the_version_before(garden):
    with scope(garden.admin):
        ingest_now(upload(GARDEN))
        ingest_now(upload(BEES))
        replaced = rows()
        delete_document(Document.objects.get().pk)
        ingest_now(upload(BEES))
        assert rows() == replaced


def test_deleting_a_document_leaves_nothing(garden):
    with scope(garden.admin):
        before = rows()
        document = ingest_now(upload())
        assert rows() != before
        delete_document(document.pk)
        assert rows() == before
        with pytest.raises(DocumentNotFound):
            find_document(document.pk)


def test_deleting_a_collection_leaves_nothing(garden):
    with scope(garden.admin):
        ingest_now(upload())
        delete_collection("garden")
        assert rows() == [0] * 6
        assert not Collection.objects.exists()


def test_a_collection_with_hidden_documents_is_not_deleted(garden):
    garden.keep("A secret of sales.", "garden", departments=(garden.sales,))
    with scope(garden.alice), pytest.raises(Conflict):
        delete_collection("garden")


def test_the_same_content_again_makes_no_version_and_no_work(garden, sent):
    with scope(garden.admin):
        ingest_now(upload())
        submitted = submit(upload(metadata={"season": "summer"}))
        assert job_report(submitted.job.pk)["state"] == "succeeded"
        assert (submitted.document.version, submitted.document.metadata) == (1, {"season": "summer"})
    assert sent == []


def test_metadata_changes_without_embedding_anew(garden, monkeypatch):
    with scope(garden.admin):
        document = ingest_now(upload(metadata={"year": 2020}))
        monkeypatch.setattr(pipeline, "embedder", None)
        change_document(document.pk, metadata={"year": 2024})
    assert garden.find(garden.admin, "tomatoes", filter={"year": 2020}) == []
    assert len(garden.find(garden.admin, "tomatoes", filter={"year": 2024})) == 1


def test_doing_an_item_twice_does_no_harm(garden, sent):
    with scope(garden.admin):
        submit(upload())
    again = list(sent)
    work(sent)
    with scope(garden.admin):
        once = rows()
    work(again)
    with scope(garden.admin):
        assert rows() == once


def test_a_document_that_cannot_be_read_fails_with_its_reason(garden, sent):
    with scope(garden.admin):
        job = submit(upload(text=None, content=b"PK\x03\x04", filename="report.docx")).job
    work(sent)
    with scope(garden.admin):
        report = job_report(job.pk)
        document = Document.objects.get()
    assert (report["state"], report["errors"][0]["stage"]) == ("failed", "extract")
    assert document.state == "failed"
    assert "cut short or damaged" in document.error


def test_the_version_before_answers_on_when_the_new_one_fails(garden):
    with scope(garden.admin):
        ingest_now(upload())
        document = ingest_now(upload(text=None, content=b"%PDF-1.7 nonsense", filename="g.pdf"))
        assert (document.state, document.version, document.indexed_version) == ("failed", 2, 1)
        assert bytes(original(document.pk).content) == GARDEN.encode()
    assert len(garden.find(garden.admin, "tomatoes")) == 1


def test_a_failed_document_can_be_tried_again(garden, sent, monkeypatch):
    with scope(garden.admin):
        monkeypatch.setattr(pipeline, "extract", broken)
        document = ingest_now(upload())
        assert (document.state, document.error) == ("failed", "The document could not be read (ZeroDivisionError).")
        monkeypatch.undo()
        monkeypatch.setattr("retrieval.documents.dispatch", lambda tenant, items: sent.append((tenant, items)))
        assert retry(document.pk).document.state == "queued"
    work(sent)
    with scope(garden.admin):
        assert find_document(document.pk).state == "ready"


def broken(*_):
    raise ZeroDivisionError("with a private text in it")


def away(*_):
    raise OperationalError("the database is away")


def test_what_another_attempt_may_cure_is_tried_five_times(garden, sent, monkeypatch):
    with scope(garden.admin):
        submit(upload())
    [(tenant, [item])] = sent
    monkeypatch.setattr(pipeline, "extract", away)
    for _ in range(5):
        with pytest.raises(OperationalError):
            pipeline.process(tenant, item)
        with scope(garden.admin):
            assert IngestItem.objects.get().state == "queued"
    pipeline.process(tenant, item)
    with scope(garden.admin):
        document = Document.objects.get()
        assert (document.state, document.stage, document.attempts) == ("failed", "extract", 5)
        assert "after 5 attempts; the last one met OperationalError" in document.error


def test_a_document_whose_workers_die_says_so(garden, sent, monkeypatch):
    with scope(garden.admin):
        submit(upload())
    [(tenant, [item])] = sent
    monkeypatch.setattr(pipeline, "DEAD_AFTER", timedelta(0))
    monkeypatch.setattr(pipeline, "_prepared", killed)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            pipeline.process(tenant, item)
    pipeline.process(tenant, item)
    with scope(garden.admin):
        assert "ended without a word" in Document.objects.get().error


def test_a_document_tells_its_stage_and_how_much_of_it_is_done(garden, sent, monkeypatch):
    told = []
    tell = pipeline._Course.tell

    def seen(course, progress=0):
        tell(course, progress)
        with scope(garden.admin):
            document = Document.objects.get()
            told.append((document.state, document.stage, document.progress, document.attempts))

    monkeypatch.setattr(pipeline._Course, "tell", seen)
    monkeypatch.setattr(pipeline, "BEAT", 1)
    with scope(garden.admin):
        submit(upload(GARDEN * 30))
        assert (Document.objects.get().stage, Document.objects.get().attempts) == ("", 0)
    work(sent)
    assert told == [("running", "embed", 0, 1), ("running", "embed", 50, 1)]
    with scope(garden.admin):
        assert (Document.objects.get().state, Document.objects.get().stage) == ("ready", "")


def test_a_version_that_was_overtaken_tells_nothing_of_the_next_one(garden, sent, monkeypatch):
    with scope(garden.admin):
        submit(upload())
    tell = pipeline._Course.tell

    def overtaken(course, progress=0):
        with scope(garden.admin):
            submit(upload(BEES))
        tell(course, progress)

    monkeypatch.setattr(pipeline._Course, "tell", overtaken)
    [(tenant, [item])] = sent
    pipeline.process(tenant, item)
    with scope(garden.admin):
        document = Document.objects.get()
        assert (document.state, document.stage, document.version, document.indexed_version) == ("queued", "", 2, 1)


def test_all_that_failed_is_tried_again_at_once(garden, sent, monkeypatch):
    with scope(garden.admin):
        ingest_now(upload(external_id="fine"))
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "extract", broken)
            for name in ("a", "b"):
                ingest_now(upload(external_id=name))
        assert retry_failed().accepted == 2
    work(sent)
    with scope(garden.admin):
        assert set(Document.objects.values_list("state", flat=True)) == {"ready"}
        assert retry_failed().accepted == 0


def killed(*_):
    raise KeyboardInterrupt


def test_a_broker_that_is_away_costs_no_document(garden, monkeypatch):
    def gone(*_):
        raise BrokerUnavailable("no broker")

    monkeypatch.setattr(tasks.ingest, "delay", gone)
    with scope(garden.admin):
        job = submit(upload()).job
    with scope(garden.admin):
        assert job_report(job.pk)["state"] == "queued"


def test_a_worker_does_its_items_and_asks_for_those_again_that_met_a_passing_fault(garden, sent, monkeypatch):
    with scope(garden.admin):
        many = submit_many([upload(external_id="a"), upload(BEES, external_id="b")])
    [(tenant, items)] = sent
    again = []
    monkeypatch.setattr(tasks.ingest, "retry", lambda args, countdown: again.append(args) or RuntimeError("again"))
    monkeypatch.setattr(pipeline, "process", lambda tenant, item: away() if item == items[0] else None)
    with pytest.raises(RuntimeError, match="again"):
        tasks.ingest(str(tenant), [str(item) for item in items])
    assert (many.accepted, again) == (2, [[str(tenant), [str(items[0])]]])


def test_housekeeping_hands_out_what_was_lost_once_and_removes_what_expired(garden, monkeypatch):
    found = []
    monkeypatch.setattr(tasks, "dispatch", lambda tenant, items: found.extend(items))
    monkeypatch.setattr(tasks, "_tenants", lambda: [garden.acme])
    monkeypatch.setattr("retrieval.documents.dispatch", lambda *_: None)
    yesterday = timezone.now() - timedelta(days=1)
    with scope(garden.admin):
        submit(upload())
        garden.keep(BEES, "garden", expires_at=yesterday)
        IngestItem.objects.filter(state="queued").update(changed_at=yesterday)
    tasks.housekeeping()
    tasks.housekeeping()
    with scope(garden.admin):
        assert found == [IngestItem.objects.get().pk]
        assert [document.expires_at for document in Document.objects.all()] == [None]


def test_an_expired_document_is_not_found_even_before_it_is_removed(garden):
    garden.keep(BEES, "garden", expires_at=timezone.now() - timedelta(seconds=1))
    assert garden.find(garden.admin, "How do bees winter?") == []


def test_many_documents_are_one_job_and_bad_ones_are_told_by_line(garden, sent):
    with scope(garden.admin):
        many = submit_many(
            [
                upload(external_id="a"),
                upload(external_id="b", collection="no such"),
                upload(external_id="c", metadata={"x": float("nan")}),
                upload(BEES, external_id="d"),
            ]
        )
    assert (many.accepted, [row["line"] for row in many.rejected]) == (2, [2, 3])
    work(sent)
    with scope(garden.admin):
        assert job_report(many.job.pk)["documents"] == {"total": 2, "done": 2, "failed": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": None},
        {"content": b"both"},
        {"classification": 4},
        {"departments": (UUID(int=7),)},
        {"metadata": {"x": "\0"}},
        {"external_id": "x" * 301},
    ],
)
def test_an_upload_without_meaning_is_refused(garden, wrong):
    with scope(garden.admin), pytest.raises(InvalidUpload):
        ingest_now(upload(**wrong))


def test_a_file_beyond_the_limit_is_refused(garden, monkeypatch):
    monkeypatch.setattr("retrieval.documents.MOST_BYTES", 10)
    with scope(garden.admin), pytest.raises(TooLarge):
        ingest_now(upload())


def test_changes_of_a_document_are_audited_and_of_the_pipelines_steps_only_the_end(garden):
    with scope(garden.admin):
        document = ingest_now(upload())
        change_document(document.pk, metadata={"year": 2024})
        delete_document(document.pk)
        with connection.cursor() as cursor:
            cursor.execute("select action from audit_event where object_id = %s order by seq", [str(document.pk)])
            actions = [row[0] for row in cursor.fetchall()]
    assert actions == ["document.create", "document.ready", "document.update", "document.delete"]


def test_webhooks_are_told_what_became_of_a_document(garden, sent):
    """What they are told stands in the trail: that it answers, or at which stage it failed and why."""
    with scope(garden.admin):
        good = submit(upload()).document
        bad = submit(upload(text=None, content=b"PK\x03\x04", filename="report.docx", external_id="broken")).document
    work(sent)
    with scope(garden.admin):
        ended = {
            event.object_id: event for event in Event.objects.filter(action__in=("document.ready", "document.fail"))
        }
    ready, failed = ended[str(good.pk)], ended[str(bad.pk)]
    assert (ready.action, ready.detail["version"], ready.detail["chunks"] > 0) == ("document.ready", 1, True)
    assert (failed.action, failed.detail["stage"]) == ("document.fail", "extract")
    assert "cut short or damaged" in failed.reason


def test_the_nightly_count_sets_right_what_raw_deletion_left_behind(garden, monkeypatch):
    monkeypatch.setattr(tasks, "_tenants", lambda: [garden.acme])
    with scope(garden.admin):
        ingest_now(upload())
        ingest_now(upload(BEES, external_id="g-2"))
        right = set(TermCount.objects.filter(chunks__gt=0).values_list("term", "chunks"))
        ingest_now(upload("Moss grows north.", external_id="g-3"))
        Document.objects.filter(external_id="g-3").delete()
    tasks.recount()
    with scope(garden.admin):
        assert set(TermCount.objects.values_list("term", "chunks")) == right


def test_a_password_opens_the_file_and_is_not_kept(garden, sent):
    content = encrypted()
    with scope(garden.admin):
        submit(upload(text=None, content=content, filename="rent.pdf", external_id="rent"))
    work(sent)
    with scope(garden.admin):
        failed = Document.objects.get(external_id="rent")
        assert "password" in failed.error
        submit(upload(text=None, content=content, filename="rent.pdf", external_id="rent", password="open sesame"))
    work(sent)
    with scope(garden.admin):
        opened = Document.objects.get(external_id="rent")
        assert (opened.state, opened.version, opened.error) == ("ready", 2, "")
        assert b"sesame" not in bytes(Original.objects.get(document=opened).content)
    assert garden.find(garden.admin, "What is the secret rent?", min_score=0.0)[0].external_id == "rent"


def test_a_wrong_password_leaves_the_file_encrypted(garden, sent):
    with scope(garden.admin):
        submit(upload(text=None, content=encrypted(), filename="rent.pdf", external_id="rent", password="barley"))
    work(sent)
    with scope(garden.admin):
        assert "encrypted" in Document.objects.get(external_id="rent").error
