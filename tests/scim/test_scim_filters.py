"""SCIM's filters: what they mean, what is wrong with them, and that the database leaves no row out."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.scim import filters
from tenants.scim.attributes import GROUP, USER
from tenants.scim.errors import Invalid
from tests.scim.conftest import Directory, _query

ALICE = {
    "id": "a1",
    "userName": "Alice@acme.example",
    "externalId": "Ext-1",
    "displayName": 'Alice "Al" Roe',
    "name": {"givenName": "Alice", "familyName": "Roe"},
    "active": True,
    "emails": [
        {"value": "alice@acme.example", "type": "work", "primary": True},
        {"value": "al@home.example", "type": "home"},
    ],
    "meta": {"created": "2026-01-02T03:04:05.000006Z"},
}

TRUE = [
    'userName eq "alice@ACME.example"',
    'USERNAME EQ "alice@acme.example"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "alice"',
    'externalId eq "Ext-1"',
    'externalId ne "ext-1"',
    'name.familyName co "o"',
    'displayName eq "Alice \\"Al\\" Roe"',
    'name.givenName ew "ICE"',
    'name.familyName gt "Rad" and name.familyName le "roe"',
    "active eq true",
    "active ne false",
    'title ne "x"',
    "not (title pr)",
    "nickName eq null",
    "emails pr",
    'emails co "home"',
    'emails.value eq "al@home.example"',
    'emails[type eq "work" and value co "acme"]',
    'emails[type eq "work" and (value sw "x" or primary eq true)]',
    'emails[not (type eq "work")]',
    'meta.created ge "2026-01-02T03:04:05Z"',
    'meta.created lt "2026-01-02T04:04:06+01:00"',
    'userName eq "x" or userName eq "y" or active eq true and not (externalId eq "x")',
    '(userName eq "x" or active eq true) and emails.type eq "home"',
    'userName eq "\\u0061lice@acme.example"',
]
FALSE = [
    'userName eq "alice"',
    'externalId eq "ext-1"',
    'emails[type eq "home" and value co "acme"]',
    "active eq false",
    'active eq "true"',
    "title pr",
    'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "x"',
    'userName eq "x" and (active eq true or active eq true)',
    "not (active eq true or active eq false)",
    'id eq "A1"',
]
WRONG = [
    "",
    "userName",
    "userName eq",
    'userName is "x"',
    'eq "x"',
    'userName eq "x',
    "userName eq x",
    'userName eq "x" and',
    'userName eq "x" userName eq "y"',
    '(userName eq "x"',
    'not userName eq "x"',
    'emails[type eq "work"',
    'emails[type[value eq "x"]]',
    'emails[colour eq "red"]',
    'colour eq "red"',
    'name.colour eq "red"',
    "active gt true",
    'meta.created gt "yesterday"',
    'userName eq "\\u0000"',
    'userName eq "\\ud800"',
    'userName eq {"a":1}',
    "(" * 30 + 'userName eq "x"' + ")" * 30,
    'userName eq "' + "x" * 5000 + '"',
    "userName; drop table tenants_user eq 1",
]


@pytest.mark.parametrize("text", TRUE)
def test_it_holds(text: str):
    assert filters.matches(filters.parse(text, USER), ALICE)


@pytest.mark.parametrize("text", FALSE)
def test_it_does_not_hold(text: str):
    assert not filters.matches(filters.parse(text, USER), ALICE)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_an_invalid_filter(text: str):
    with pytest.raises(Invalid) as caught:
        filters.matches(filters.parse(text, USER), ALICE)
    assert caught.value.word == "invalidFilter"


WORDS = [
    "userName",
    "emails",
    "active",
    "eq",
    "co",
    "pr",
    "and",
    "or",
    "not",
    "(",
    ")",
    "[",
    "]",
    '"x"',
    "true",
    ".",
    "\\",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=12))
def test_nothing_else_ever_goes_wrong(words: list[str]):
    found = None
    try:
        filters.matches(filters.parse(" ".join(words), USER), ALICE)
    except Invalid as error:
        found = error
    assert found is None or found.word == "invalidFilter"


@pytest.fixture(scope="module")
def run(okta: Directory) -> str:
    """Three people in the database, whose names begin with this."""
    run = token_hex(4)
    okta.add(f"{run}.alice@acme.example", externalId=f"{run}-A", name={"familyName": "Roe"}, displayName="100% Roe_x")
    mails = [{"value": f"{run}.b@home.example", "type": "home"}, {"value": f"{run}.b@acme.example", "type": "work"}]
    okta.add(f"{run}.bob@acme.example", externalId=f"{run}-b", emails=mails)
    okta.add(f"{run}.carol@acme.example", active=False, name={"givenName": "Zoë"})
    return run


ASKED = [
    ('userName eq "{}.ALICE@acme.example"', "alice"),
    ('userName ne "{}.alice@acme.example"', "bob carol"),
    ('userName sw "{}." and active eq false', "carol"),
    ('externalId eq "{}-a"', ""),
    ('externalId eq "{}-A"', "alice"),
    ("externalId pr", "alice bob"),
    ("not (externalId pr)", "carol"),
    ('displayName co "100%"', "alice"),
    ('displayName co "0% roe_"', "alice"),
    ('displayName co "_%_"', ""),
    ('name.familyName eq "roe" or name.givenName eq "ZOË"', "alice carol"),
    ('emails[type eq "work" and value eq "{}.b@acme.example"]', "bob"),
    ('emails[type eq "home" and value eq "{}.b@acme.example"]', ""),
    ('not (emails.value co "{}.b@")', "alice carol"),
    ('emails.value ew "HOME.example"', "bob"),
    ('userName co "alice" or emails.type eq "home"', "alice bob"),
    ('userName gt "{}.b"', "bob carol"),
    ('meta.created gt "2020-01-01T00:00:00Z" and meta.lastModified lt "2099-01-01T00:00:00Z"', "alice bob carol"),
    ('groups.display eq "nobody"', ""),
    ('title eq "x"', ""),
]


@pytest.mark.parametrize(("text", "names"), ASKED)
def test_the_database_finds_whom_a_filter_means(okta: Directory, run: str, text: str, names: str):
    found = okta.names(f'userName sw "{run}." and ({text.replace("{}", run)})')
    assert found == [f"{run}.{name}@acme.example" for name in names.split()]


def test_one_id_is_found(okta: Directory, run: str):
    [alice] = okta.read("/Users?" + _query(filter=f'externalId eq "{run}-A"'))["Resources"]
    assert okta.names(f'id eq "{alice["id"]}"') == [alice["userName"]]
    assert okta.names('id eq "nobody"') == []


def test_pages_are_cut_from_what_is_left(okta: Directory, run: str):
    for text in (f'userName sw "{run}."', f'userName sw "{run}." and emails.value ne "x"'):
        page = okta.read("/Users?" + _query(filter=text, startIndex="2", count="1"))
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (3, 2, 1)
        assert page["Resources"][0]["userName"] == f"{run}.bob@acme.example"
        empty = okta.read("/Users?" + _query(filter=text, count="0"))
        assert (empty["totalResults"], empty["Resources"]) == (3, [])
        assert okta.read("/Users?" + _query(filter=text, startIndex="-5", count="-1"))["Resources"] == []


def test_lists_are_sorted(okta: Directory, run: str):
    def sorted_by(name: str, order: str) -> list[str]:
        query = _query(filter=f'userName sw "{run}."', sortBy=name, sortOrder=order)
        return [one["userName"].split(".")[1].split("@")[0] for one in okta.read("/Users?" + query)["Resources"]]

    assert sorted_by("userName", "descending") == ["carol", "bob", "alice"]
    assert sorted_by("name.familyName", "ascending")[-1] == "alice"
    for wrong in ("emails.value", "name", "colour", "active"):
        answer = okta.ask("GET", "/Users?" + _query(sortBy=wrong))
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidPath")


def test_a_wrong_filter_is_answered_in_scims_form(okta: Directory):
    answer = okta.ask("GET", "/Users?" + _query(filter="userName eq"))
    assert (answer.status_code, answer["content-type"]) == (400, "application/scim+json")
    body = answer.json()
    assert (body["status"], body["scimType"]) == ("400", "invalidFilter")
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


def test_groups_are_found_by_name_and_member(okta: Directory):
    alice, name = okta.add(), f"Group {token_hex(4)}"
    made = okta.group(name, alice)

    def found(text: str) -> list[Any]:
        return okta.read("/Groups?" + _query(filter=text, excludedAttributes="members"))["Resources"]

    assert [one["id"] for one in found(f'displayName eq "{name.upper()}"')] == [made["id"]]
    assert [one["id"] for one in found(f'members.value eq "{alice["id"]}"')] == [made["id"]]
    assert [one["id"] for one in found(f'members[value eq "{alice["id"]}"] and displayName co "Group"')] == [made["id"]]
    assert "members" not in found(f'displayName eq "{name}"')[0]
    assert filters.parse("members pr", GROUP)
