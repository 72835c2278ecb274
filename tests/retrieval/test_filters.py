"""The filter language, against PostgreSQL itself."""

from __future__ import annotations

import pytest
from django.db import connection

from retrieval.errors import FilterError
from retrieval.filters import MOST_CONDITIONS, compile_filter

HOUSE = (
    '{"year": 2020, "price": 12.5, "kind": "lease", "tags": ["a", "b", 3], "open": true, "end": null, '
    '"signed": "2024-03-01", "address": {"city": "Hamburg"}, "a.b": 1}'
)


def holds(expression, metadata=HOUSE) -> bool:
    condition = compile_filter(expression)
    with connection.cursor() as cursor:
        cursor.execute(
            f"select {condition.sql} from (select %(metadata)s::jsonb as metadata) d",
            condition.values | {"metadata": metadata},
        )
        [(found,)] = cursor.fetchall()
    assert found is not None  # `not` would lose such a document
    return found


@pytest.mark.parametrize(
    "true",
    [
        {"year": 2020},
        {"year": 2020.0},
        {"kind": "lease", "open": True},
        {"tags": "b"},
        {"tags": 3},
        {"year": {"gt": 2019, "lte": 2020}},
        {"price": {"gte": 12.5, "lt": 13}},
        {"signed": {"gte": "2024-01-01", "lt": "2024-04"}},
        {"year": {"in": [1, 2020]}},
        {"tags": {"in": ["x", "a"]}},
        {"end": None},
        {"missing": None},
        {"end": {"exists": True}},
        {"missing": {"exists": False}},
        {"missing": {"ne": 1}},
        {"address.city": "Hamburg"},
        {"a.b": 1},
        {"or": [{"year": 1}, {"kind": "lease"}]},
        {"and": [{"year": 2020}, {"not": {"kind": "deed"}}]},
        {"not": {"missing": {"gt": 1}}},
        {"year": {"in": [None, 2020]}},
    ],
)
def test_what_holds_holds_and_its_opposite_does_not(database, true):
    assert holds(true)
    assert not holds({"not": true})


@pytest.mark.parametrize(
    "false",
    [
        {"year": "2020"},
        {"year": 2021},
        {"open": 1},
        {"kind": "Lease"},
        {"tags": "c"},
        {"kind": {"gt": 5}},
        {"year": {"lt": "3000"}},
        {"open": {"gte": 0}},
        {"year": {"in": []}},
        {"year": None},
        {"end": {"exists": False}},
        {"year": {"ne": 2020}},
        {"year": 2020, "kind": "deed"},
        {"address": "Hamburg"},
    ],
)
def test_what_does_not_hold_does_not_and_its_opposite_does(database, false):
    assert not holds(false)
    assert holds({"not": false})


@pytest.mark.parametrize("text", ["'; drop table retrieval_chunk; --", "%s", "%(tenant)s", "{value}", '"', "\\"])
def test_values_and_names_are_never_sql(database, text):
    assert not holds({text: text})
    assert not holds({"kind": {"gt": text + "zz", "in": [text]}})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [],
        "year",
        {"year": {}},
        {"year": {"near": 1}},
        {"year": {"gt": True}},
        {"year": {"gt": None}},
        {"year": {"in": 5}},
        {"year": {"in": [[1]]}},
        {"year": [1, 2]},
        {"year": {"exists": "yes"}},
        {"year": float("nan")},
        {"year": 10**40},
        {"and": []},
        {"or": {"year": 1}},
        {"not": []},
        {"a\0": 1},
        {"a": "\ud800"},
        {"a": "x" * 2000},
        {"and": [{"a": 1}] * (MOST_CONDITIONS + 1)},
        {"a": {"in": list(range(1000))}},
    ],
)
def test_what_has_no_meaning_is_refused(wrong):
    with pytest.raises(FilterError):
        compile_filter(wrong)


def test_a_filter_cannot_be_nested_without_end():
    expression = {"a": 1}
    for _ in range(20):
        expression = {"not": expression}
    with pytest.raises(FilterError, match="nested"):
        compile_filter(expression)
