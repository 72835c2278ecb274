"""The model of names that ships with the product, and what the engine makes of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

from policies.pii.allowance import Allowance, Exhausted
from policies.pii.data import PiiRules
from policies.pii.engine import Engine
from policies.pii.errors import DetectorFailed
from policies.pii.ner import model
from policies.pii.ner.detector import NameDetector, names
from policies.pii.ner.words import segments
from policies.pii.redaction import Pii
from policies.pii.restore import restore_value

ALL = PiiRules()


def found(text: str, detector: NameDetector | None = None) -> list[tuple[str, str]]:
    return [(each.type, text[each.start : each.end]) for each in (detector or names()).detect(text)]


def persons(text: str) -> list[str]:
    return [value for kind, value in found(text) if kind == "PERSON"]


class Counted(NameDetector):
    """Counts the words that its model computes."""

    def __init__(self):
        super().__init__()
        self.words = 0
        tags = self._model.tags
        self._model = Watched(self._model, self, tags)


class Watched:
    def __init__(self, whole, counter, tags):
        self.lexicon, self.sha256, self._counter, self._tags = whole.lexicon, whole.sha256, counter, tags

    def tags(self, parts):
        self._counter.words += sum(map(len, parts))
        return self._tags(parts)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Please ask Margaret Holloway about the lease.", "Margaret Holloway"),
        ("please ask margaret holloway about the lease", "margaret holloway"),
        ("PLEASE ASK MARGARET HOLLOWAY ABOUT THE LEASE", "MARGARET HOLLOWAY"),
        ('{"customer": {"name": "Margaret Holloway", "vip": true}}', "Margaret Holloway"),
        ('customer = Customer(name="Margaret Holloway", active=True)', "Margaret Holloway"),
        ("2026-01-04 INFO login ok user='Margaret Holloway' took=12ms", "Margaret Holloway"),
        ("| Margaret Holloway | 12 | yes |", "Margaret Holloway"),
        ("We met Chinedu Okafor at the airport.", "Chinedu Okafor"),
        ("We met Agnieszka Nowak at the airport.", "Agnieszka Nowak"),
        ("We met José Hernández at the airport.", "José Hernández"),
    ],
)
def test_a_name_is_found_whole(text, name):
    assert persons(text) == [name]


@pytest.mark.parametrize(
    "text",
    ["😀😀 ask José Hernández today", "東京 ask Jo\u200bhn Mi\u200bller today", "ask Zoe\u0308 Mu\u0308ller today"],
)
def test_places_are_those_of_the_original(text):
    value = persons(text)[-1]
    assert text.endswith(f"ask {value} today")


def test_places_companies_and_addresses_have_types_of_their_own():
    assert ("LOCATION", "Lisbon") in found("Our warehouse in Lisbon is full.")
    assert ("ORGANIZATION", "Hartmann Logistics GmbH") in found("The invoice of Hartmann Logistics GmbH is overdue.")
    assert [kind for kind, _ in found("Send it to 14 Maple Avenue, Springfield, IL 62704.")] == ["STREET_ADDRESS"]


def test_a_possessive_is_no_part_of_a_name():
    assert persons("This is Margaret Holloway's desk.") == ["Margaret Holloway"]


def test_a_double_name_is_never_cut():
    assert persons("I met Anne-Marie Dupont-Lévesque in the lobby.") == ["Anne-Marie Dupont-Lévesque"]


@pytest.mark.parametrize(
    "text",
    [
        "Please summarise the attached report in three bullet points.",
        "def parse(line: str) -> list[str]:\n    return line.split(',')",
        "Terms and Conditions\n\nThe Supplier shall deliver the Goods within thirty days.",
        "On Monday the Kubernetes upgrade failed twice.",
    ],
)
def test_text_without_names_has_none(text):
    assert persons(text) == []


def test_the_same_segment_is_computed_once_and_figures_and_addresses_in_it_may_differ():
    detector = Counted()
    text = (
        "Margaret Holloway ordered {0} chairs for the annexe of the old mill and gave {1}@acme.example as her address. "
    )
    first = text.format(12, "m.holloway") + "And nothing else was said about it in the whole of that long afternoon."
    detector.detect(first)
    before = detector.words
    second = first.replace("12", "97").replace("m.holloway", "margaret.holloway.1")
    assert detector.detect_within(second, Allowance(computed=0)) == detector.detect(second)
    assert found(second, detector) == found(second)
    assert detector.words == before > 0


def test_no_more_is_computed_than_is_allowed():
    detector, text = Counted(), "Margaret Holloway ordered twelve chairs for the annexe of the old mill in Harrogate."
    with pytest.raises(Exhausted):
        detector.detect_within(text, Allowance(computed=len(text) - 1))
    assert detector.words == 0
    assert detector.detect_within(text, Allowance(computed=len(text))) == NameDetector().detect(text) != []


def test_a_segment_found_before_is_found_at_its_new_place():
    detector = NameDetector()
    told = (
        "Margaret Holloway ordered twelve chairs, four tables and a lamp for her office in the annexe of the old mill."
    )
    assert found(told, detector)[0] == ("PERSON", "Margaret Holloway")
    before = "This line was not there, and it is long enough to stand for itself, as anybody can see who counts it up."
    longer = f"{before}\n{told}"
    assert ("PERSON", "Margaret Holloway") in found(longer, detector)


def test_what_is_found_does_not_depend_on_what_is_computed_beside_it():
    lines = [json.loads(line)["text"] for line in (Path(__file__).parent / "prompts.jsonl").read_text().splitlines()]
    texts = [text for text in lines if text.isascii()][:40]
    whole = "\n\n".join(text.ljust(130) for text in texts)
    alone, together = NameDetector(), NameDetector()
    parts = [(start, whole[start:end]) for start, end in segments(whole)]
    one_by_one = [(start + each.start, start + each.end) for start, part in parts for each in alone.detect(part)]
    inside = [(each.start, each.end) for each in together.detect(whole)]
    assert inside == one_by_one


def test_long_texts_are_looked_at_to_the_end():
    text = (
        "The committee agreed on the plan and closed the meeting. " * 900
        + "Please thank Margaret Holloway for the cake."
    )
    entities = Engine([names()]).detect(text)
    assert [text[each.start : each.end] for each in entities if each.type == "PERSON"] == ["Margaret Holloway"]


def test_several_threads_find_the_same():
    texts = [
        f"Please ask Margaret Holloway about room {number} in the {word}." for number, word in enumerate("abcdefgh")
    ]
    detector, results = NameDetector(), {}

    def work(number: int) -> None:
        results[number] = [found(text, detector) for text in texts]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result == [found(text) for text in texts] for result in results.values())
    assert len(results) == 4


def test_the_file_is_the_one_that_belongs_here_and_small():
    assert model.PATH.stat().st_size < 20_000_000
    assert names()._model.sha256 == model.SHA256


def test_the_version_tells_the_model_and_how_strict_it_is():
    assert model.SHA256[:12] in names().version
    strict = NameDetector(bias={"PERSON": -1, "LOCATION": 0, "ORGANIZATION": 0, "STREET_ADDRESS": 0})
    assert strict.version != names().version
    assert Engine([strict]).version != Engine([names()]).version != Engine().version


def test_another_file_or_none_is_refused(tmp_path):
    with pytest.raises(DetectorFailed):
        model.Model(tmp_path / "none.onnx")
    (tmp_path / "other.onnx").write_bytes(b"something else")
    with pytest.raises(DetectorFailed):
        model.Model(tmp_path / "other.onnx")
    with pytest.raises(DetectorFailed):
        model.Model(tmp_path / "other.onnx", None)


def test_a_model_that_breaks_refuses_the_request():
    detector = NameDetector()

    class Broken:
        lexicon, sha256 = detector._model.lexicon, "0" * 64

        def tags(self, parts):
            raise RuntimeError("Margaret Holloway")

    pii = Pii(detectors=[NameDetector(Broken())])
    with pytest.raises(DetectorFailed) as caught:
        pii.mask_now({"messages": [{"role": "user", "content": "Ask Margaret Holloway."}]}, ALL)
    assert "Margaret" not in str(caught.value)


def test_names_are_masked_in_every_install_and_come_back():
    pii = Pii()
    body = {"messages": [{"role": "user", "content": "Ask Margaret Holloway, then write to her at m@acme.example."}]}
    masked = pii.mask_now(body, ALL)
    assert masked.counts == {"EMAIL_ADDRESS": 1, "PERSON": 1}
    assert "Holloway" not in str(masked.body)
    assert restore_value(masked.body, masked.vault) == body


def test_new_text_for_the_model_leaves_the_loop_free():
    pii = Pii()
    text = json.loads((Path(__file__).parent / "prompts.jsonl").read_text().splitlines()[8])["text"] * 12

    async def run() -> float:
        waits = []

        async def tick() -> None:
            while True:
                began = time.perf_counter()
                await asyncio.sleep(0)
                waits.append(time.perf_counter() - began)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        for number in range(10):
            new = "".join(chr(97 + (ord(c) + number) % 26) if c.islower() else c for c in text)
            await pii.mask({"messages": [{"role": "user", "content": new}]}, ALL)
        ticking.cancel()
        return sorted(waits)[int(len(waits) * 0.95)]

    assert asyncio.run(run()) < 0.02
