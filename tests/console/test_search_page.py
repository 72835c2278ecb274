"""The Search page: passages by stage in one's own rights, as somebody else within them, and feedback on them."""

from __future__ import annotations

import json
import re
from secrets import token_hex

import pytest
from django.urls import reverse

from audit.models import Event
from retrieval.data import Upload
from retrieval.models import ChunkText, Feedback
from retrieval.services import create_collection, delete_document, ingest_now
from tenants.models import Membership

PAGE = "/console/search/"
QUESTION = "What is the monthly rent of the Hamburg warehouse?"


@pytest.fixture(scope="module")
def leases(acme):
    """A collection with a lease for everybody and one that only legal may read."""
    with acme.open():
        made = create_collection(f"leases-{token_hex(4)}")
        legal = acme.departments["legal"].pk
        for title, rent, more in (
            ("Open lease", "The monthly rent of the Hamburg warehouse is 12,400 euros.", {"metadata": {"year": 2024}}),
            (
                "Legal's lease",
                "The secret rent of the Hamburg warehouse is 9 euros a month.",
                {"departments": (legal,)},
            ),
        ):
            ingest_now(Upload(collection=made.pk, title=title, text=rent, external_id=token_hex(4), **more))
    return made


def look(client, leases, question=QUESTION, **more) -> str:
    answer = client.get(PAGE, {"q": question, "collection": leases.name, **more})
    assert answer.status_code == 200
    return answer.content.decode()


def titles(page: str) -> list[str]:
    return re.findall(r'<h2><a class="ch-link"[^>]*>([^<]*)</a>', page)


def place_of(acme, name: str) -> Membership:
    with acme.open():
        return Membership.objects.get(user=acme.people[name])


def test_passages_are_shown_with_their_scores_by_stage(acme, as_role, leases):
    page = look(as_role("alice"), leases)
    assert set(titles(page)) == {"Open lease", "Legal&#x27;s lease"}
    assert "<mark>Hamburg</mark>" in page
    for stage in ("vector", "words", "together"):
        assert f"<dt>{stage}</dt>" in page
    assert titles(look(as_role("bob"), leases)) == ["Open lease"]


def test_an_administrator_looks_as_somebody_else_and_the_trail_says_so(acme, as_role, leases):
    bob = place_of(acme, "bob")
    page = look(as_role("owner"), leases, **{"as": str(bob.pk)})
    assert titles(page) == ["Open lease"]
    with acme.open():
        event = Event.objects.filter(action="document.search_as", object_id=str(bob.pk)).latest("time")
    assert event.actor_id == str(acme.people["owner"].pk)


def test_nobody_else_looks_through_others_eyes(acme, as_role, leases):
    alice = place_of(acme, "alice")
    page = look(as_role("bob"), leases, **{"as": str(alice.pk)})
    assert titles(page) == []
    assert "no such person" in page
    assert 'name="as"' not in page


def test_through_others_eyes_one_sees_no_more_than_with_ones_own(acme, as_role, leases):
    """An administrator without clearance looks as the owner who has it."""
    with acme.open():
        ingest_now(
            Upload(
                collection=leases.pk,
                title="Restricted lease",
                text="The restricted rent of the Hamburg warehouse is 7 euros.",
                classification=3,
                external_id=token_hex(4),
            )
        )
        place = Membership.objects.get(user=acme.people["admin"])
        place.clearance, before = 1, place.clearance
        place.save(update_fields=["clearance"])
        owner = Membership.objects.get(user=acme.people["owner"])
        owner.clearance = 3
        owner.save(update_fields=["clearance"])
    try:
        assert "Restricted lease" in titles(look(as_role("owner"), leases))
        assert "Restricted lease" not in titles(look(as_role("admin"), leases, **{"as": str(owner.pk)}))
    finally:
        with acme.open():
            Membership.objects.filter(pk=place.pk).update(clearance=before)


def test_a_filter_narrows_and_a_wrong_one_is_explained(acme, as_role, leases):
    client = as_role("alice")
    assert titles(look(client, leases, filter=json.dumps({"year": 2024}))) == ["Open lease"]
    assert "is not JSON" in look(client, leases, filter="{")
    assert "must be an object" in look(client, leases, filter="[]")
    assert 'role="alert"' in look(client, leases, filter=json.dumps({"year": {"$what": 1}}))


def test_what_no_text_can_hold_is_no_fault_of_ours(acme, as_role, leases):
    assert titles(look(as_role("alice"), leases, f"{QUESTION}\0"))
    assert titles(look(as_role("alice"), leases, filter="\0")) == []
    answer = judge(as_role("alice"), chunk_of(acme, "12,400"), True, "  ")
    assert answer.status_code == 302
    with acme.open():
        assert not Feedback.objects.filter(question="").exists()


def test_nothing_found_says_what_to_do_next(acme, as_role, leases):
    page = look(as_role("alice"), leases, "Who painted the ceiling of the chapel?")
    assert "Nothing in the documents answers this" in page
    assert titles(look(as_role("alice"), leases, "Who painted the ceiling of the chapel?", below="1"))


def judge(client, chunk, useful: bool, question: str = QUESTION):
    form = {"chunk": str(chunk), "question": question, "useful": "1" if useful else "0", "back": f"{PAGE}?q=x"}
    return client.post(reverse("admin:retrieval_judge"), form)


def chunk_of(acme, words: str):
    with acme.open():
        return ChunkText.objects.get(text__contains=words).pk


def test_a_judgement_is_kept_once_and_can_be_changed(acme, as_role, leases):
    chunk, client = chunk_of(acme, "12,400"), as_role("bob")
    assert judge(client, chunk, True)["location"] == f"{PAGE}?q=x"
    judge(client, chunk, False)
    with acme.open():
        given = Feedback.objects.get(chunk_id=chunk, actor_id=str(acme.people["bob"].pk))
        events = Event.objects.filter(object_id=str(given.pk), action__startswith="feedback.")
        assert [event.action for event in events.order_by("seq")] == ["feedback.create", "feedback.update"]
        assert QUESTION not in json.dumps([event.detail for event in events])
    assert given.useful is False
    assert 'value="0" class="ch-button" aria-pressed="true"' in look(client, leases)
    assert (
        QUESTION in as_role("alice").get(PAGE).content.decode()
    )  # nobody found it useful: those who tend documents see


def test_what_one_may_not_read_one_does_not_judge(acme, globex, enter, as_role, leases):
    secret = chunk_of(acme, "secret rent")
    judge(as_role("bob"), secret, True)
    judge(enter(globex.people["charlie"]), chunk_of(acme, "12,400"), True, "from elsewhere")
    with acme.open():
        assert not Feedback.objects.filter(chunk_id=secret).exists()
        assert not Feedback.objects.filter(question="from elsewhere").exists()


def test_feedback_is_seen_by_those_who_may_read_the_document(acme, as_role, leases):
    """What was asked of a document says what stands in it: the database shows it to nobody else."""
    secret = chunk_of(acme, "secret rent")
    judge(as_role("alice"), secret, True, "asked by alice")
    with acme.open(departments=(acme.departments["legal"].pk,)):
        assert Feedback.objects.filter(question="asked by alice").exists()
    with acme.open(departments=(acme.departments["sales"].pk,)):
        assert not Feedback.objects.filter(question="asked by alice").exists()


def test_feedback_goes_with_its_document(acme, as_role, leases):
    with acme.open():
        made = ingest_now(
            Upload(collection=leases.pk, title="Short", text="A short lease of Kiel.", external_id="kiel")
        )
        chunk = ChunkText.objects.get(document_id=made.pk).pk
    judge(as_role("alice"), chunk, True, "Kiel?")
    with acme.open():
        assert Feedback.objects.filter(chunk_id=chunk).exists()
        delete_document(made.pk)
        assert not Feedback.objects.filter(chunk_id=chunk).exists()


def test_roles_without_search_find_no_page(as_role):
    for role in ("auditor", "billing_manager", "policy_manager"):
        assert as_role(role).get(PAGE).status_code == 403
        assert PAGE not in as_role(role).get("/console/").content.decode()
