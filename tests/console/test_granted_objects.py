"""What is granted or denied on a single object holds in the console as it does in the API."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import Budget
from gateway.models import Model
from policies.models import Policy
from retrieval.models import Document
from retrieval.services import create_collection
from tenants.services import make_grant, take_back_grant


@pytest.fixture(scope="module")
def objects(acme):
    """One of each kind on which rights are granted: kind -> (page, object)."""
    with acme.open():
        return {
            "model": ("gateway_model", Model.objects.create(name=f"granted-{acme.name}")),
            "collection": ("retrieval_collection", create_collection("granted")),
            "policy": ("policies_policy", Policy.objects.create(name="granted", scope="tenant", rules={})),
            "budget": ("billing_budget", Budget.objects.create(scope="tenant", period="day", limit=7)),
        }


@pytest.fixture
def grant(acme):
    """Grants or denies something for the time of a test."""
    made = []

    def grant(kind, obj, right, to, deny=False):
        with acme.open():
            made.append(make_grant(kind, obj.pk, *to, right, deny=deny))

    yield grant
    with acme.open():
        for one in made:
            take_back_grant(one)


def pages(client: Client, page: str, obj) -> tuple[int, bool]:
    """What the object's page answers, and whether the list shows it."""
    shown = client.get(reverse(f"admin:{page}_change", args=[obj.pk])).status_code
    listed = client.get(reverse(f"admin:{page}_changelist"))
    return shown, listed.status_code == 200 and str(obj.pk) in listed.content.decode()


@pytest.mark.parametrize("kind", ["model", "collection", "policy", "budget"])
@pytest.mark.parametrize("whom", ["user", "department"])
def test_what_is_denied_is_not_shown(acme, as_role, objects, grant, kind, whom):
    page, obj = objects[kind]
    to = ("user", acme.people["alice"].pk) if whom == "user" else ("department", acme.departments["legal"].pk)
    alice, seen = as_role("alice"), 200
    if kind == "budget":  # a developer sees their department's
        grant(kind, obj, "view", ("user", acme.people["alice"].pk) if whom == "department" else to)
        assert pages(alice, page, obj)[0] == seen
        if whom == "user":
            return
    else:
        assert pages(alice, page, obj)[0] == seen
    grant(kind, obj, "view", to, deny=True)
    assert pages(as_role("alice"), page, obj) == (404, False)
    assert pages(as_role("owner"), page, obj)[0] == seen


@pytest.mark.parametrize(("kind", "place"), [("policy", "bob"), ("budget", "bob"), ("collection", "billing_manager")])
def test_what_is_granted_is_shown_and_nothing_else(acme, as_role, objects, grant, kind, place):
    page, obj = objects[kind]
    url = reverse(f"admin:{page}_changelist")
    assert as_role(place).get(url).status_code == 403
    grant(kind, obj, "view", ("user", acme.people[place].pk))
    client = as_role(place)
    assert client.get(reverse(f"admin:{page}_change", args=[obj.pk])).status_code == 200
    listed = client.get(url)
    assert (listed.status_code, f'href="{url}' in listed.content.decode()) == (200, True)
    assert [row.pk for row in listed.context_data["cl"].result_list] == [obj.pk]
    assert client.post(reverse(f"admin:{page}_delete", args=[obj.pk]), {"post": "yes"}).status_code == 403


def test_a_budget_that_somebody_may_change_is_changed_by_them(acme, as_role, objects, grant):
    page, obj = objects["budget"]
    url = reverse(f"admin:{page}_change", args=[obj.pk])
    assert as_role("bob").get(url).status_code == 403
    grant("budget", obj, "change", ("user", acme.people["bob"].pk))
    assert b'name="limit"' in as_role("bob").get(url).content
    grant("budget", obj, "change", ("department", acme.departments["sales"].pk), deny=True)
    assert b'name="limit"' not in as_role("bob").get(url).content


def test_documents_are_uploaded_where_a_collection_is_granted_and_not_where_it_is_denied(acme, as_role, objects, grant):
    _, granted = objects["collection"]
    with acme.open():
        other = create_collection("not-granted")
    url = reverse("admin:retrieval_document_add")
    form = {"text": "words", "classification": "1", "title": "by grant"}
    assert as_role("bob").get(url).status_code == 403
    grant("collection", granted, "change", ("user", acme.people["bob"].pk))
    grant("collection", granted, "change", ("user", acme.people["alice"].pk), deny=True)
    refused = as_role("bob").post(url, {**form, "collection": str(other.pk)})
    assert "not yours to change" in refused.content.decode()
    assert "not yours to change" in as_role("alice").post(url, {**form, "collection": str(granted.pk)}).content.decode()
    assert as_role("bob").post(url, {**form, "collection": str(granted.pk)}).status_code == 302
    with acme.open():
        made = Document.objects.get(title="by grant")
    assert made.collection_id == granted.pk
    delete = reverse("admin:retrieval_document_delete", args=[made.pk])
    assert as_role("alice").post(delete, {"post": "yes"}).status_code == 403
    assert as_role("bob").post(delete, {"post": "yes"}).status_code == 302
