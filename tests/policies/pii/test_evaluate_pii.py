"""How the evaluation counts, and what it reads."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from policies.pii.data import Entity
from policies.pii.evaluation import Example, Score, count, evaluate, read

TEXT = "Ann Roe of Acme met Bob in Rome."
SPANS = (
    Entity("PERSON", 0, 7, 1.0),
    Entity("ORGANIZATION", 11, 15, 1.0),
    Entity("PERSON", 20, 23, 1.0),
    Entity("LOCATION", 27, 31, 1.0),
)
KINDS = frozenset({"PERSON", "ORGANIZATION", "LOCATION"})


class Says:
    """An engine that finds what it is told to."""

    def __init__(self, *entities: Entity):
        self.entities = entities

    def detect(self, text):
        return self.entities


def scores(*entities: Entity, annotated: frozenset[str] = KINDS) -> dict[str, Score]:
    return evaluate(Says(*entities), [Example(TEXT, SPANS, annotated)]).types


def test_a_span_is_found_by_its_type_and_covered_by_any():
    seen = scores(Entity("PERSON", 0, 7, 0.9), Entity("PERSON", 11, 15, 0.9))
    assert (seen["PERSON"].marked, seen["PERSON"].found, seen["PERSON"].covered) == (2, 1, 1)
    assert (seen["ORGANIZATION"].found, seen["ORGANIZATION"].covered) == (0, 1)
    assert (seen["PERSON"].said, seen["PERSON"].right) == (2, 1)


def test_half_a_name_is_found_and_not_covered():
    person = scores(Entity("PERSON", 0, 3, 0.9))["PERSON"]
    assert (person.found, person.covered) == (1, 0)


def test_what_is_below_the_threshold_does_not_count():
    assert scores(Entity("PERSON", 0, 7, 0.4))["PERSON"].said == 0


def test_a_type_that_the_set_does_not_mark_is_not_judged():
    assert scores(Entity("DATE_TIME", 0, 7, 0.9)).get("DATE_TIME") is None


def test_fine_types_count_as_the_number_that_a_set_marks():
    types: dict[str, Score] = {"ID_NUMBER": Score()}
    count(
        types,
        Example("id 12", (Entity("ID_NUMBER", 3, 5, 1.0),), frozenset({"ID_NUMBER"})),
        [Entity("TAX_ID", 3, 5, 1)],
    )
    assert types["ID_NUMBER"] == Score(1, 1, 1, 1, 1)


def test_recall_counts_twice_in_f2():
    score = Score(marked=10, found=8, covered=9, said=16, right=8)
    assert (score.recall, score.precision, score.cover) == (0.8, 0.5, 0.9)
    assert score.f2 == pytest.approx(5 * 0.5 * 0.8 / (4 * 0.5 + 0.8))
    assert Score().f2 == Score().recall == Score().precision == 0.0


def test_json_lines_say_what_they_mark(tmp_path):
    spans = [{"start": 0, "end": 7, "label": "PER"}]
    (tmp_path / "set.jsonl").write_text(json.dumps({"text": TEXT, "spans": spans, "annotated": ["PER", "ORG"]}) + "\n")
    assert read(tmp_path / "set.jsonl") == [Example(TEXT, SPANS[:1], frozenset({"PERSON", "ORGANIZATION"}))]


def test_presidios_format_is_read(tmp_path):
    spans = [{"entity_type": "GPE", "entity_value": "Rome", "start_position": 27, "end_position": 31}]
    (tmp_path / "set.json").write_text(
        json.dumps([{"full_text": TEXT, "spans": spans}, {"full_text": "x", "spans": []}])
    )
    marked = frozenset({"LOCATION"})
    assert read(tmp_path / "set.json") == [Example(TEXT, SPANS[3:], marked), Example("x", (), marked)]


@pytest.mark.parametrize(
    "tags",
    ["B-PER I-PER O B-ORG O B-PER O B-LOC O", "PER PER O ORG O PER O LOC O", "B-PER E-PER O S-ORG O S-PER O S-LOC O"],
)
def test_columns_are_read(tmp_path, tags):
    words = ["Ann", "Roe", "of", "Acme", "met", "Bob", "in", "Rome", "."]
    lines = [
        f"{word} _ {tag}" if "-" in tag or tag == "O" else f"{word} I-{tag}"
        for word, tag in zip(words, tags.split(), strict=True)
    ]
    (tmp_path / "set.conll").write_text("-DOCSTART- -X- O\n\n" + "\n".join(lines) + "\n\n")
    [example] = read(tmp_path / "set.conll")
    assert (example.text, example.spans) == (" ".join(words), SPANS)


def test_neighbours_of_one_type_are_two_names(tmp_path):
    (tmp_path / "set.conll").write_text("Ann B-PER\nBob B-PER\n")
    assert [span.end for span in read(tmp_path / "set.conll")[0].spans] == [3, 7]


def test_the_command_prints_a_table(tmp_path, capsys):
    spans = [{"start": 9, "end": 25, "label": "EMAIL_ADDRESS"}]
    (tmp_path / "set.jsonl").write_text(json.dumps({"text": "Write to ann@acme.example today", "spans": spans}))
    call_command("evaluate_pii", tmp_path / "set.jsonl", "--patterns-only")
    said = capsys.readouterr().out
    assert "KB/s" in said
    assert said.splitlines()[2].split() == ["EMAIL_ADDRESS", "1", "1.000", "1.000", "1.000", "1.000"]


def test_the_command_says_what_it_cannot_read(tmp_path):
    (tmp_path / "set.txt").write_text("just\nwords\n")
    with pytest.raises(CommandError):
        call_command("evaluate_pii", tmp_path / "set.txt", "--patterns-only")
    with pytest.raises(CommandError):
        call_command("evaluate_pii", tmp_path / "none.txt", "--patterns-only")
