"""Who finds what. The application filters nothing here: the database does."""

from __future__ import annotations

import pytest
from django.db import connection

from retrieval.errors import CollectionNotFound, DocumentNotFound, OutsideRights
from retrieval.models import Chunk, ChunkText, Collection, Document, Original
from retrieval.services import (
    Upload,
    change_collection,
    change_document,
    create_collection,
    find_document,
    ingest_now,
)
from tenants.isolation import Scope, scope
from tenants.models import Grant

TABLES = (
    "retrieval_collection",
    "retrieval_access",
    "retrieval_document",
    "retrieval_original",
    "retrieval_ingestjob",
    "retrieval_ingestitem",
    "retrieval_chunk",
    "retrieval_chunktext",
    "retrieval_posting",
    "retrieval_termcount",
)


def counts() -> dict[str, int]:
    """Rows that the open scope sees, by table."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"select count(*) from {table}")
            found[table] = cursor.fetchone()[0]
    return found


def grant(people, deny=False, **to) -> None:
    with scope(people.admin):
        collection = Collection.objects.get(name="contracts")
        [(kind, whom)] = to.items()
        Grant.objects.create(
            object_type="collection", object_id=collection.id, to_type=kind, to_id=whom, right="use", deny=deny
        )


def test_alice_finds_her_departments_contract_and_bob_does_not(people):
    people.keep(departments=(people.legal,))
    assert [p.text.startswith("The monthly rent") for p in people.find(people.alice)] == [True]
    assert people.find(people.bob) == []


def test_charlie_sees_nothing_by_any_way(people):
    document = people.keep()
    with scope(people.charlie):
        assert counts() == dict.fromkeys(TABLES, 0)
        with pytest.raises(DocumentNotFound):
            find_document(document.pk)
    assert people.find(people.charlie) == []
    assert people.find(people.charlie, "12400") == []


def test_without_a_scope_there_is_nothing(people):
    people.keep()
    assert counts() == dict.fromkeys(TABLES, 0)
    assert people.find(Scope()) == []


def test_bob_sees_no_row_of_a_contract_of_legal_whatever_table_he_asks(people):
    people.keep(departments=(people.legal,))
    with scope(people.bob):
        seen = counts()
    seen.pop("retrieval_termcount")  # how often words occur in the tenant
    assert seen.pop("retrieval_collection") == 1  # open to all departments
    assert set(seen.values()) == {0}


def test_a_document_of_two_departments_is_found_by_both(people):
    people.keep(departments=(people.legal, people.sales))
    assert len(people.find(people.alice)) == len(people.find(people.bob)) == 1


def test_a_document_above_ones_clearance_is_not_found(people):
    people.keep(classification=2)
    assert people.find(people.alice) == []
    assert len(people.find(people.admin)) == 1


def test_a_departments_collection_is_as_if_it_did_not_exist_for_others(people):
    with scope(people.admin):
        create_collection("contracts", department=people.legal)
    people.keep()
    assert len(people.find(people.alice, collections=["contracts"])) == 1
    with pytest.raises(CollectionNotFound) as hidden:
        people.find(people.bob, collections=["contracts"])
    with pytest.raises(CollectionNotFound) as unknown:
        people.find(people.bob, collections=["no such"])
    assert str(hidden.value) == str(unknown.value)


def test_a_collection_that_moves_to_a_department_takes_its_documents_along(people):
    people.keep()
    with scope(people.admin):
        change_collection("contracts", department=people.legal)
    assert (len(people.find(people.alice)), people.find(people.bob)) == (1, [])


def test_the_classification_of_a_collection_is_the_least_of_its_documents(people):
    with scope(people.admin):
        create_collection("contracts", classification=2)
    assert people.keep(classification=0).classification == 2
    assert people.find(people.alice) == []


def test_new_rights_of_a_document_hold_at_once_in_every_table(people):
    document = people.keep(departments=(people.legal,))
    with scope(people.admin):
        change_document(document.pk, departments=(people.sales,))
    with scope(people.alice):
        seen = counts()
        assert [seen[f"retrieval_{table}"] for table in ("document", "original", "chunk", "chunktext", "posting")] == [
            0
        ] * 5
    assert len(people.find(people.bob, "Hamburg warehouse rent")) == 1


def test_rights_that_the_console_or_psql_changes_move_the_chunks_as_well(people):
    document = people.keep()
    with scope(people.admin):
        Document.objects.filter(pk=document.pk).update(classification=3)
    with scope(people.alice):
        assert (Chunk.objects.count(), ChunkText.objects.count(), Original.objects.count()) == (0, 0, 0)


def test_nobody_stores_what_they_could_not_read(people):
    people.keep()
    for more in ({"departments": (people.sales,)}, {"classification": 2}):
        with scope(people.alice), pytest.raises(OutsideRights):
            ingest_now(Upload(collection="contracts", text="A secret.", **more))


def test_alice_may_not_push_her_document_out_of_her_own_sight(people):
    document = people.keep(departments=(people.legal,))
    with scope(people.alice), pytest.raises(OutsideRights):
        change_document(document.pk, departments=(people.sales,))
    assert len(people.find(people.alice)) == 1


@pytest.mark.parametrize("kind", ["user", "department", "key"])
def test_a_grant_opens_a_departments_collection(people, kind):
    with scope(people.admin):
        create_collection("contracts", department=people.legal)
    people.keep()
    key = Scope(
        tenant=people.acme, departments=(people.sales,), clearance=1, actor={"type": "key", "id": str(people.legal)}
    )
    whom = {"user": people.bob.user, "department": people.sales, "key": people.legal}[kind]
    who = key if kind == "key" else people.bob
    assert people.find(who) == []
    grant(people, **{kind: whom})
    assert len(people.find(who)) == 1


def test_a_grant_lifts_no_classification(people):
    with scope(people.admin):
        create_collection("contracts", department=people.legal)
    people.keep(classification=2)
    grant(people, department=people.sales)
    assert people.find(people.bob) == []


def test_deny_wins(people):
    people.keep()
    grant(people, department=people.sales)
    assert len(people.find(people.bob)) == 1
    grant(people, user=people.bob.user, deny=True)
    assert people.find(people.bob) == []


def test_an_ingest_job_is_its_submitters_alone(people):
    people.keep()
    with scope(people.alice):
        ingest_now(Upload(collection="contracts", text="A note of Alice."))
        assert counts()["retrieval_ingestjob"] == counts()["retrieval_ingestitem"] == 1
    with scope(people.bob):
        assert counts()["retrieval_ingestjob"] == counts()["retrieval_ingestitem"] == 0
