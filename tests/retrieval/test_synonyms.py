"""Words that mean the same in a collection."""

from __future__ import annotations

import asyncio

import pytest
from django.conf import settings

from retrieval.data import Passage
from retrieval.errors import InvalidUpload
from retrieval.services import change_collection, recall
from retrieval.synonyms import checked, lines, of_lines, varied
from tenants.isolation import scope
from tenants.isolation.pool import make_pool

GROUPS = [["lease", "tenancy agreement", "rental contract"], ["pto", "vacation"]]


def test_a_question_becomes_what_it_is_with_other_words():
    assert varied(["When does the Lease end?"], GROUPS) == [
        "When does the Lease end?",
        "When does the tenancy agreement end?",
        "When does the rental contract end?",
    ]
    assert varied(["a tenancy  agreement"], GROUPS)[1:] == ["a lease", "a rental contract"]
    assert varied(["What is released?", "laptop"], GROUPS) == ["What is released?", "laptop"]
    assert varied(["pto"], []) == ["pto"]


def test_a_question_becomes_few_others():
    many = [["a", *(f"a{number}" for number in range(7))], ["b", "c"]]
    assert varied(["a b"], many) == ["a b", "a0 b", "a1 b", "a2 b"]


def test_people_write_a_line_for_each_group():
    assert of_lines("Lease,  tenancy   agreement\n\n PTO, vacation,\n") == [
        ["lease", "tenancy agreement"],
        ["pto", "vacation"],
    ]
    assert of_lines(lines(GROUPS)) == GROUPS


@pytest.mark.parametrize(
    "wrong", ["x", [["one"]], [["same", "Same"]], [["a", 1]], [["a", "x" * 61]], [["a", "b"]] * 201]
)
def test_groups_without_meaning_are_refused(wrong):
    with pytest.raises(InvalidUpload):
        checked(wrong)


@pytest.fixture
def projects(people):
    people.keep("Project Heron ships to its first customers in May.", "projects", external_id="heron")
    people.keep("The canteen opens at eleven and closes at two.", "projects", external_id="canteen")
    return people


QUESTION = "When does Grumwald ship?"


def test_what_is_said_with_another_word_is_found(projects):
    assert "heron" not in [found.external_id for found in projects.find(projects.admin, QUESTION)]
    with scope(projects.admin):
        change_collection("projects", synonyms=[["grumwald", "project heron"]])
    assert projects.find(projects.admin, QUESTION)[0].external_id == "heron"
    assert projects.find(projects.admin, QUESTION, collections=["projects"])[0].external_id == "heron"
    assert "canteen" not in [found.external_id for found in projects.find(projects.admin, QUESTION)]

    async def calls_find() -> list[Passage]:
        async with make_pool(settings.DATABASE_URL, 1) as pool:
            return await recall(pool, projects.admin, QUESTION)

    assert asyncio.run(calls_find())[0].external_id == "heron"


def test_words_of_a_collection_that_is_not_searched_say_nothing(projects):
    projects.keep("Nothing of interest.", "elsewhere", external_id="other")
    before = projects.find(projects.admin, QUESTION, collections=["projects"], min_score=0.0)
    with scope(projects.admin):
        change_collection("elsewhere", synonyms=[["grumwald", "project heron"]])
    assert projects.find(projects.admin, QUESTION, collections=["projects"], min_score=0.0) == before
    assert projects.find(projects.admin, QUESTION, min_score=0.0)[0].score > before[0].score
