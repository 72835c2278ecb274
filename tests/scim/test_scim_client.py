"""A client that others wrote (scim2-client)."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.core.wsgi import get_wsgi_application
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_models import PatchOp, PatchOperation, SCIMException, SearchRequest

from tests.scim.conftest import Directory


@pytest.fixture(scope="module")
def client(okta: Directory) -> WSGISCIMClient:
    head = {"authorization": f"Bearer {okta.key}"}
    client = WSGISCIMClient(get_wsgi_application(), base_url="http://testserver/scim/v2", headers=head)
    client.discover()
    return client


def test_it_finds_out_what_there_is_and_keeps_people_in_step(client: WSGISCIMClient):
    User, Group = client.get_resource_model("User"), client.get_resource_model("Group")
    name = f"{token_hex(4)}@acme.example"
    made = client.create(User(user_name=name, display_name="Alice", emails=[{"value": name}]))
    assert client.query(User, made.id).user_name == name
    asked = SearchRequest(filter=f'userName eq "{name}"', count=5)
    assert client.query(User, query_parameters=asked).total_results == 1
    group = client.create(Group(display_name=token_hex(4), members=[{"value": made.id}]))
    assert client.query(Group, group.id).members[0].value == made.id
    made.display_name = "Alice Roe"
    assert client.replace(made).display_name == "Alice Roe"
    operation = PatchOperation(op="replace", path="active", value=False)
    assert client.modify(User, made.id, PatchOp[User](operations=[operation])).active is False
    client.delete(User, made.id)
    with pytest.raises(SCIMException):
        client.query(User, made.id)
