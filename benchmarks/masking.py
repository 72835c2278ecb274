"""What finding, replacing and restoring personal data costs, without a gateway around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from policies.services import Pii, PiiRules, Restorer

from .report import Section, table

CLEAN = (
    "The committee read the minutes, moved the second item to the end and agreed on a plan for the autumn. Costs stay "
    "where they were, the old storeroom is let again, and whoever needs a desk near the window asks the front office. "
)
PERSONAL = (
    "Write to ann.{0}@example.com or call +1 415 555 0134; the card 4111 1111 1111 1111 was charged and the account "
    "DE89 3704 0044 0532 0130 00 was not. The invoice went to ann.{0}@example.com from 203.0.113.{1} on Monday. "
)
SECONDS = 1.5
SIZES = (400, 4_000, 32_000)


def text_of(sentence: str, size: int, number: int) -> str:
    """A text of so many characters that nobody has seen before."""
    once = f"Note {number}. " + sentence.format(f"k{number}", number % 250)
    return (once * (size // len(once) + 1))[:size]


def microseconds(work: Callable[[int], object]) -> float:
    """Mean time of one call over SECONDS, after one that warms up."""
    work(0)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        done += 1
        work(done)
    return (time.perf_counter() - began) * 1e6 / done


def run() -> list[Section]:
    """Measures in this process, one thread."""
    return [_finding(), _request()]


def _finding() -> Section:
    pii = Pii()
    rows = []
    for size in SIZES:
        cells = []
        for sentence in (CLEAN, PERSONAL):
            each = microseconds(lambda n, sentence=sentence, size=size: pii.engine.detect(text_of(sentence, size, n)))
            cells.append(each / (size / 1024))
        rows.append((f"{size:,}", *(f"{cell:,.0f}" for cell in cells)))
        print(f"  {size:6} characters  clean {cells[0]:7.0f} us/KB  personal {cells[1]:7.0f} us/KB", flush=True)
    text = table(("characters", "nothing personal, µs a KB", "five values in 200 characters, µs a KB"), rows)
    return Section("Finding personal data", f"Every text is new, so nothing comes from the cache.\n\n{text}")


def _request() -> Section:
    pii, rules = Pii(), PiiRules.parse({"default": {"action": "placeholder"}})
    numbers = count()

    def body(number: int) -> dict[str, object]:
        return {"model": "m", "messages": [{"role": "user", "content": text_of(PERSONAL, 400, number)}]}

    def restored(_: int) -> None:
        restorer = Restorer(vault)
        for piece in pieces:
            restorer.feed(piece)
        restorer.flush()

    fresh = microseconds(lambda _: pii.mask_now(body(next(numbers)), rules))
    known = microseconds(lambda _: pii.mask_now(body(-1), rules))
    clean = {"model": "m", "messages": [{"role": "user", "content": text_of(CLEAN, 400, 1)}]}
    nothing = microseconds(lambda _: pii.mask_now(clean, rules))
    masked = pii.mask_now(body(-1), rules)
    vault, prompt = masked.vault, masked.body["messages"][0]["content"]
    said = (prompt * 5)[:1_500]
    pieces = [said[at : at + 15] for at in range(0, len(said), 15)]
    rows = [
        ("a request of 400 characters, values never seen", f"{fresh:,.0f}"),
        ("the same request again", f"{known:,.0f}"),
        ("a request without personal data, again", f"{nothing:,.0f}"),
        ("restoring a stream of 100 chunks with values in it", f"{microseconds(restored):,.0f}"),
    ]
    return Section("Masking a request and restoring its answer", table(("", "µs"), rows))
