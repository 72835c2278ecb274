"""Collections and documents by form: in the rights of whoever looks, with a reason when one fails."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from retrieval.data import Upload
from retrieval.models import Collection, Document, State
from retrieval.services import create_collection, ingest_now

ADD = "/console/retrieval/document/add/"
LIST = "/console/retrieval/document/"


@pytest.fixture
def contracts(acme):
    """A collection that everybody in Acme may see."""
    with acme.open():
        return create_collection(f"contracts-{token_hex(4)}")


def keep(house, collection, title, **more):
    with house.open():
        return ingest_now(Upload(collection=collection.pk, text="The rent is 12,400 euros.", title=title, **more))


def test_a_collection_is_added_by_form(acme, as_role):
    name = f"manuals-{token_hex(4)}"
    form = {"name": name, "classification": "1", "department": str(acme.departments["legal"].pk)}
    assert as_role("owner").post(reverse("admin:retrieval_collection_add"), form).status_code == 302
    with acme.open():
        made = Collection.objects.get(name=name)
    assert (made.classification, made.department_id) == (1, acme.departments["legal"].pk)
    again = as_role("owner").post(reverse("admin:retrieval_collection_add"), form)
    assert 'role="alert"' in again.content.decode()


def test_a_text_is_uploaded_and_waits_to_be_read(acme, as_role, contracts):
    form = {"collection": str(contracts.pk), "text": "Six months' notice.", "title": "Lease", "classification": "1"}
    client = as_role("alice")
    assert client.post(ADD, form).status_code == 302
    with acme.open():
        document = Document.objects.get(collection=contracts)
    assert (document.title, document.classification) == ("Lease", 1)
    assert document.uploaded_by == str(acme.people["alice"].pk)
    page = client.get(LIST, {"collection": str(contracts.pk)}).content.decode()
    assert "Lease" in page
    assert "waiting" in page


def test_a_file_is_uploaded(acme, as_role, contracts):
    file = SimpleUploadedFile("notice.md", b"# Notice\n\nSix months.", "text/markdown")
    form = {"collection": str(contracts.pk), "file": file, "classification": "0"}
    assert as_role("owner").post(ADD, form).status_code == 302
    with acme.open():
        assert Document.objects.get(collection=contracts).mime == "text/markdown"


@pytest.mark.parametrize("text", ["", "a text beside a file"])
def test_it_wants_a_file_or_a_text(as_role, contracts, text):
    form = {"collection": str(contracts.pk), "text": text, "classification": "0"}
    if text:
        form["file"] = SimpleUploadedFile("a.txt", b"a", "text/plain")
    assert "Choose a file or write a text" in as_role("owner").post(ADD, form).content.decode()


def test_bob_sees_no_document_above_his_clearance(acme, as_role, contracts):
    secret = keep(acme, contracts, "Board minutes", classification=3)
    keep(acme, contracts, "Price list", classification=1)
    page = as_role("bob").get(LIST, {"collection": str(contracts.pk)}).content.decode()
    assert "Price list" in page
    assert "Board minutes" not in page
    assert as_role("bob").get(reverse("admin:retrieval_document_change", args=[secret.pk])).status_code == 404


def test_bob_sees_no_document_of_legal_alone(acme, as_role, contracts):
    keep(acme, contracts, "Legal opinion", departments=(acme.departments["legal"].pk,))
    assert "Legal opinion" in as_role("alice").get(LIST).content.decode()
    assert "Legal opinion" not in as_role("bob").get(LIST).content.decode()


def test_nobody_uploads_what_they_may_not_read_themselves(as_role, contracts):
    form = {"collection": str(contracts.pk), "text": "x", "classification": "3"}
    assert "Select a valid choice" in as_role("alice").post(ADD, form).content.decode()


def test_a_failed_document_says_why_and_is_read_again(acme, as_role, contracts):
    failed = keep(acme, contracts, "Broken")
    with acme.open():
        Document.objects.filter(pk=failed.pk).update(state=State.FAILED, error="The PDF is encrypted.")
    client = as_role("owner")
    page = client.get(reverse("admin:retrieval_document_change", args=[failed.pk])).content.decode()
    assert "The PDF is encrypted." in page
    retry = reverse("admin:retrieval_document_retry", args=[failed.pk])
    assert client.get(retry).status_code == 405
    assert "is being read again" in client.post(retry, follow=True).content.decode()
    with acme.open():
        assert Document.objects.get(pk=failed.pk).state == State.QUEUED


def test_all_that_failed_is_read_again_by_one_button(acme, as_role, contracts):
    failed, fine = keep(acme, contracts, "Broken"), keep(acme, contracts, "Fine")
    with acme.open():
        Document.objects.filter(pk=failed.pk).update(
            state=State.FAILED, stage="extract", error="Cut short.", attempts=1
        )
    client, again = as_role("owner"), reverse("admin:retrieval_document_retry_failed")
    assert again in client.get(LIST).content.decode()
    assert client.get(again).status_code == 405
    assert as_role("auditor").post(again).status_code == 403
    client.post(again)
    with acme.open():
        assert Document.objects.get(pk=failed.pk).state == State.QUEUED
        assert Document.objects.get(pk=fine.pk).state == State.READY
        Document.objects.filter(state=State.FAILED).delete()
    assert again not in client.get(LIST).content.decode()


def test_a_document_on_its_way_shows_how_far_it_is(acme, as_role, contracts):
    document = keep(acme, contracts, "Long")
    page = reverse("admin:retrieval_document_change", args=[document.pk])
    client = as_role("owner")
    assert "Read it again" not in client.get(page).content.decode()
    with acme.open():
        Document.objects.filter(pk=document.pk).update(state=State.RUNNING, stage="embed", progress=40)
    shown = client.get(page).content.decode()
    assert "being embedded, 40 %" in shown
    assert 'http-equiv="refresh"' in shown


def test_a_document_is_removed_with_its_chunks(acme, as_role, contracts):
    document, client = keep(acme, contracts, "Old"), as_role("owner")
    url = reverse("admin:retrieval_document_delete", args=[document.pk])
    assert "Its 1 chunks are removed" in client.get(url).content.decode()
    assert client.post(url, {"post": "yes"}).status_code == 302
    with acme.open():
        assert not Document.objects.filter(pk=document.pk).exists()


def test_a_collection_is_removed_with_its_documents(acme, as_role, contracts):
    keep(acme, contracts, "One")
    client, url = as_role("owner"), reverse("admin:retrieval_collection_delete", args=[contracts.pk])
    assert "1 documents and all their chunks" in client.get(url).content.decode()
    assert client.post(url, {"post": "yes"}).status_code == 302
    with acme.open():
        assert not Collection.objects.filter(pk=contracts.pk).exists()


def test_the_auditor_reads_no_documents(acme, as_role, contracts):
    document = keep(acme, contracts, "Not for auditors")
    assert as_role("auditor").get(LIST).status_code == 403
    assert as_role("auditor").get(reverse("admin:retrieval_document_change", args=[document.pk])).status_code == 404


def test_words_that_mean_the_same_are_kept_with_their_collection(acme, as_role, contracts):
    words = reverse("admin:retrieval_collection_words", args=[contracts.pk])
    assert as_role("bob").get(words).status_code == 403
    wrong = as_role("owner").post(words, {"synonyms": "lonely"}).content.decode()
    assert "2 to 8 words" in wrong
    assert as_role("owner").post(words, {"synonyms": "Lease, tenancy agreement\npto, vacation"}).status_code == 302
    page = as_role("owner").get(reverse("admin:retrieval_collection_change", args=[contracts.pk])).content.decode()
    assert "lease, tenancy agreement" in page
    with acme.open():
        assert Collection.objects.get(pk=contracts.pk).synonyms == [["lease", "tenancy agreement"], ["pto", "vacation"]]
