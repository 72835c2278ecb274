"""A folder and its collection stay in step."""

from __future__ import annotations

from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from retrieval.errors import CollectionNotFound
from retrieval.folder import Folder
from retrieval.ingest import pipeline
from retrieval.models import Document
from retrieval.services import create_collection
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant


@pytest.fixture
def shelf(people, tmp_path, monkeypatch):
    """A folder, and workers that work at once."""
    with scope(people.admin):
        create_collection("shelf")
    monkeypatch.setattr(
        "retrieval.documents.dispatch",
        lambda tenant, items: [pipeline.process(UUID(str(tenant)), UUID(str(item))) for item in items],
    )
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / "hamburg.txt").write_text("The rent of the warehouse is 12,400 euros.")
    (tmp_path / "roof.md").write_text("# Roof\n\nThe landlord repairs it.")
    (tmp_path / ".hidden").write_text("no")
    return tmp_path


def paths(people):
    with scope(people.admin):
        found = Document.objects.filter(collection__name="shelf").order_by("external_id")
        return {document.external_id: (document.state, document.version) for document in found}


def test_what_is_in_the_folder_is_in_the_collection(people, shelf):
    done = Folder(shelf, people.acme, "shelf").sync()
    assert (done.accepted, done.removed, done.rejected) == (2, 0, [])
    assert paths(people) == {"leases/hamburg.txt": ("ready", 1), "roof.md": ("ready", 1)}
    assert people.find(people.admin, "What is the rent?", collections=["shelf"])[0].external_id == "leases/hamburg.txt"


def test_only_what_changed_is_read_again(people, shelf):
    folder = Folder(shelf, people.acme, "shelf")
    folder.sync()
    assert folder.sync().accepted == 0
    (shelf / "roof.md").write_text("# Roof\n\nThe tenant repairs it from now on.")
    assert folder.sync().accepted == 1
    assert paths(people)["roof.md"] == ("ready", 2)
    Folder(shelf, people.acme, "shelf").sync()  # as after a restart
    assert paths(people)["roof.md"] == ("ready", 2)


def test_what_is_gone_is_removed_when_that_is_wanted(people, shelf):
    people.keep("Another's document.", "shelf", external_id="other")
    folder = Folder(shelf, people.acme, "shelf")
    folder.sync()
    (shelf / "roof.md").unlink()
    assert folder.sync().removed == 0
    assert folder.sync(remove=True).removed == 1
    assert set(paths(people)) == {"leases/hamburg.txt", "other"}


def test_an_empty_folder_removes_nothing(people, shelf):
    folder = Folder(shelf, people.acme, "shelf")
    folder.sync()
    (shelf / "roof.md").unlink()
    (shelf / "leases" / "hamburg.txt").unlink()
    assert folder.sync(remove=True).removed == 0
    assert len(paths(people)) == 2


def test_links_are_not_followed_and_one_bad_file_holds_up_no_other(people, shelf, monkeypatch):
    (shelf / "link.txt").symlink_to("/etc/hostname")
    monkeypatch.setattr("retrieval.documents.MOST_BYTES", 60)
    (shelf / "large.txt").write_text("x" * 61)
    done = Folder(shelf, people.acme, "shelf").sync()
    assert [path for path, _ in done.rejected] == ["large.txt"]
    assert set(paths(people)) == {"leases/hamburg.txt", "roof.md"}


def test_a_collection_that_is_not_there_is_told(people, shelf):
    with pytest.raises(CollectionNotFound):
        Folder(shelf, people.acme, "nowhere").sync()


def test_the_command_shows_how_far_it_is_and_what_failed(people, shelf):
    with scope(PLATFORM):
        slug = Tenant.objects.get(pk=people.acme).slug
    out, err = StringIO(), StringIO()
    call_command("ingest_folder", str(shelf), tenant=slug, collection="shelf", stdout=out, stderr=err)
    assert "2 handed over" in out.getvalue()
    assert "2 of 2 read" in out.getvalue()
    (shelf / "broken.docx").write_bytes(b"PK\x03\x04")
    with pytest.raises(CommandError, match="1 of the files"):
        call_command("ingest_folder", str(shelf), tenant=slug, collection="shelf", stdout=out, stderr=err)
    assert "cut short or damaged" in err.getvalue()
    with pytest.raises(CommandError, match="no collection"):
        call_command("ingest_folder", str(shelf), tenant=slug, collection="nowhere", stdout=out, stderr=err)
