"""What `make up` seeds: documents that the demo keys may read, and that answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from config.demo import seed
from tests.dataplane.conftest import Server

Tenant = dict[str, Any]


@pytest.fixture(scope="module")
def demo(server: Server) -> dict[str, Tenant]:
    return {tenant["slug"]: tenant for tenant in seed()["tenants"]}


def listed(server: Server, key: str) -> list[str]:
    """The titles that a key sees, as the management plane lists them."""
    headers = {"authorization": f"Bearer {key}"}
    answer = httpx.get(f"{server.root}/api/v1/documents", headers=headers, timeout=30)
    return [document["title"] for document in answer.json()["results"]]


def cited(server: Server, tenant: Tenant, question: str) -> set[str]:
    """The titles that the offline model cites when the tenant's application asks."""
    body = {
        "model": "local-extractive",
        "messages": [{"role": "user", "content": question}],
        "retrieval": {"collections": [tenant["collection"]], "top_k": 4},
    }
    headers = {"authorization": f"Bearer {tenant['api_key']}"}
    answer = httpx.post(f"{server.root}/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return {citation["document"]["title"] for citation in answer.json()["citations"]}


@pytest.mark.parametrize("slug", ["acme", "globex"])
def test_every_readable_document_is_cited_when_it_is_asked_for_by_its_title(
    server: Server, demo: dict[str, Tenant], slug: str
):
    titles = listed(server, demo[slug]["api_key"])
    assert titles
    for title in titles:
        assert title in cited(server, demo[slug], f"What does the document {title} say?")


@pytest.mark.parametrize("slug", ["acme", "globex"])
def test_the_demo_question_is_answered(server: Server, demo: dict[str, Tenant], slug: str):
    assert cited(server, demo[slug], demo[slug]["question"])


def test_what_an_administrator_sees_first_the_first_application_may_read(server: Server, demo: dict[str, Tenant]):
    seen, readable = listed(server, demo["acme"]["admin_key"]), listed(server, demo["acme"]["api_key"])
    assert seen[: len(readable)] == readable


def test_alices_application_reads_nothing_of_sales(server: Server, demo: dict[str, Tenant]):
    [title] = set(listed(server, demo["acme"]["admin_key"])) - set(listed(server, demo["acme"]["api_key"]))
    assert "Sales" in title
    assert title not in cited(server, demo["acme"], f"What does the document {title} say?")
