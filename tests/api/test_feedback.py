"""Feedback on passages by the API: a passage is judged, and seen by those it concerns."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from secrets import token_hex

import pytest
from django.core.management import call_command

from retrieval.models import ChunkText
from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import scope
from tests.api.test_attack import call
from tests.conftest import House, house

ROUTE = "/api/v1/feedback"


@pytest.fixture(scope="module")
def chunk(acme: House) -> str:
    with scope(acme.id):
        made = create_collection(f"leases-{token_hex(4)}")
        document = ingest_now(Upload(collection=made.pk, title="Lease", text="The rent is 12,400 euros."))
        return str(ChunkText.objects.get(document_id=document.pk).pk)


def test_a_passage_is_judged_and_judged_again(acme: House, chunk: str):
    body = {"question": "What is the rent?", "chunk_id": chunk, "useful": True}
    first = call("post", ROUTE, acme.keys["member"], body)
    again = call("post", ROUTE, acme.keys["member"], {**body, "useful": False})
    assert (first.status_code, again.status_code) == (201, 201), again.content
    assert first.json()["id"] == again.json()["id"]
    own = call("get", ROUTE, acme.keys["member"]).json()["results"]
    assert [(row["question"], row["useful"]) for row in own] == [("What is the rent?", False)]


def test_those_who_tend_documents_see_what_others_said_and_others_their_own(acme: House, chunk: str):
    body = {"question": f"q {token_hex(3)}", "chunk_id": chunk, "useful": True}
    made = call("post", ROUTE, acme.keys["member"], body).json()["id"]
    seen = call("get", f"{ROUTE}?useful=true", acme.keys["admin"]).json()["results"]
    assert made in {row["id"] for row in seen}
    other = call("post", ROUTE, acme.keys["admin"], {**body, "question": "the admin's"}).json()["id"]
    assert call("get", f"{ROUTE}/{other}", acme.keys["member"]).status_code == 404


def test_a_passage_of_another_tenant_does_not_exist(acme: House, chunk: str):
    globex = house("globex", ("research",))
    body = {"question": "What is the rent?", "chunk_id": chunk, "useful": True}
    refused = call("post", ROUTE, globex.keys["developer"], body)
    assert refused.status_code == 400
    assert "no such passage" in refused.json()["detail"]
    assert call("get", ROUTE, globex.owner_key).json()["results"] == []


def test_what_was_found_useful_is_a_question_set_that_search_is_measured_by(acme: House, chunk: str, tmp_path: Path):
    question = "How much is the rent?"
    call("post", ROUTE, acme.keys["member"], {"question": question, "chunk_id": chunk, "useful": True})
    answer = call("get", f"{ROUTE}/evaluation-set", acme.keys["admin"])
    assert answer.status_code == 200, answer.content
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        file.extractall(tmp_path / "set")
    corpus = [json.loads(line) for line in (tmp_path / "set" / "corpus.jsonl").read_text().splitlines()]
    assert {"title": "Lease", "text": "The rent is 12,400 euros."}.items() <= corpus[0].items()
    said = io.StringIO()
    call_command("evaluate_retrieval", str(tmp_path / "set"), "--tenant", acme.slug, stdout=said)
    fused = next(line for line in said.getvalue().splitlines() if line.startswith("fused"))
    assert "MRR 1.000" in fused
    assert call("get", f"{ROUTE}/evaluation-set", acme.keys["member"]).status_code == 403
