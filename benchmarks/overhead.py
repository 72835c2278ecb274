"""What the gateway costs: requests/s, latency, CPU and memory, beside direct calls and a bare pass-through.

Everything is on: a key with limits a minute, a tenant's budget, prices, masking, the intent durable in PostgreSQL
before a byte leaves and the outcome durable before the answer ends. The three are driven in turn, round for round, so
that a noisy minute hits all of them; figures are medians over the rounds, ratios are taken within a round.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from .load import MARK, Asker, Run, drive, driver, share, together
from .processes import Watched, answering, free_port
from .report import Section, table
from .stage import ROOT, Stage, governed, server
from .upstream import upstream

PERSONAL = "Reach Ann at ann.keller@example.com or +1 415 555 0134, card 4111 1111 1111 1111. "
NEW = f"Reach Ann at ann.{MARK}@example.com or +1 415 555 0134, card 4111 1111 1111 1111. "
REST = (
    "Sum up what the two parties agreed on, in the order in which it has to be done, and name the clause behind each "
    "step. Leave out what was settled earlier. Where a date is missing, say so and propose one that fits the others. "
    "Write short sentences, one for each step, and end with the three questions that should be asked before anybody "
    "signs. Nobody outside the team will read this, so be plain."
)
#: name: how its prompts begin, whether it streams, and what the reader is told about it
WORKLOADS = {
    "plain": ("", False, "nothing personal in the prompt"),
    "same data": (PERSONAL, False, "the same e-mail, phone and card in each prompt"),
    "new data": (NEW, False, "an e-mail address never seen before in each prompt"),
    "stream": (PERSONAL, True, "100 chunks in ten writes; a placeholder, cut in two, is restored"),
}
CONNECTIONS = 32
#: What the project wants to reach, as shares of the pass-through's requests/s.
WANTED = {"plain": 0.40, "new data": 0.15, "stream": 0.50}
WANTED_CPU, WANTED_MB = 2.2, 250


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that answers chat calls, and the process whose CPU counts."""

    name: str
    url: str
    key: str
    process: Watched | None


@dataclass(frozen=True, slots=True)
class Row:
    """One run of one subject. CPU in microseconds a request."""

    run: Run
    cpu_us: float
    database_us: float
    first_ms: float


def body(head: str, stream: bool, model: str = "fixed") -> str:
    """A request with a prompt of 400 characters."""
    message = {"role": "user", "content": (head + REST)[:400]}
    return json.dumps({"model": model, "messages": [message]} | ({"stream": True} if stream else {}))


@contextmanager
def passthrough(kind: str, name: str, url: str) -> Iterator[Subject]:
    """A gateway that governs nothing, running."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.passthrough", kind, str(port), url], cwd=ROOT)
    try:
        answering(port, process)
        yield Subject(name, f"http://127.0.0.1:{port}/v1/chat/completions", "none", Watched(process.pid))
    finally:
        process.terminate()
        process.wait(10)


def run(stage: Stage, *, rounds: int = 3, seconds: float = 3, soak: int = 0) -> list[Section]:
    """Measures; `soak` requests more are sent to the gateway alone, to see its memory."""
    with (
        upstream() as url,
        passthrough("general", "pass-through", url) as bare,
        passthrough("own", "own parts", url) as own,
        server() as gateway,
    ):
        key = governed(gateway, stage.told["platform_key"], url, ("fixed", "echo"))
        whole = Subject("customhouse", gateway.root + "/v1/chat/completions", key, gateway.process)
        subjects = [Subject("direct", url + "/chat/completions", "none", None), bare, own, whole]
        asyncio.run(verify(whole))
        fresh = count(1_000_000, 200_000)
        rows = measure(subjects, stage.postgres, rounds, seconds, fresh)
        sections = [_figures(rows), _wanted(rows, gateway.process.megabytes())]
        if soak:
            sections.append(_soak(whole, soak, next(fresh)))
        return sections


def measure(
    subjects: list[Subject], database: Watched | None, rounds: int, seconds: float, fresh: Iterator[int]
) -> dict[str, dict[str, list[Row]]]:
    """{workload: {subject: [a row for each round]}}"""
    rows: dict[str, dict[str, list[Row]]] = {name: {s.name: [] for s in subjects} for name in WORKLOADS}
    for number in range(-1, rounds):  # the first round only warms up
        for name, (head, stream, _) in WORKLOADS.items():
            for subject in subjects:
                row = _row(subject, database, body(head, stream), seconds if number >= 0 else 1, stream, next(fresh))
                if number >= 0:
                    rows[name][subject.name].append(row)
                    print(f"  {name:9} {subject.name:12} {row.run.rate:8.0f}/s  {row.cpu_us:6.0f} us", flush=True)
    return rows


def _row(subject: Subject, database: Watched | None, text: str, seconds: float, stream: bool, first: int) -> Row:
    watched = [process.cpu_seconds() if process else 0.0 for process in (subject.process, database)]
    seen = drive(subject.url, subject.key, text, seconds=seconds, connections=CONNECTIONS, first=first)
    used = [process.cpu_seconds() if process else 0.0 for process in (subject.process, database)]
    mine, below = ((after - before) * 1e6 / seen.requests for before, after in zip(watched, used, strict=True))
    first_ms = asyncio.run(first_byte(subject, text)) if stream else 0.0
    return Row(seen, mine, below if subject.name == "customhouse" else 0.0, first_ms)


async def first_byte(subject: Subject, text: str, times: int = 30) -> float:
    """Median milliseconds to the first byte of a stream's body, one at a time. Raises when one does not end well."""
    took = []
    asker = await Asker(subject.url, subject.key).open()
    for _ in range(times):
        status, answer, first, _ = await asker.ask(text)
        if status != 200 or not answer.endswith(b"data: [DONE]\n\n"):
            raise RuntimeError(f"{subject.name}: a stream ended with {status} {answer[-200:]!r}")
        took.append(first * 1e3)
    asker.close()
    return share(took, 0.5)


async def verify(subject: Subject, calls: int = 64) -> None:
    """A fast gateway that answers wrongly is none: prompts that are echoed must come back letter by letter."""
    wrong = []

    async def work(number: int) -> None:
        asker = await Asker(subject.url, subject.key).open()
        for call in range(calls // 8):
            text = body(NEW, False, "echo").replace(MARK, f"{number * calls + call:07d}")
            status, answer, _, _ = await asker.ask(text)
            said = json.loads(answer)["choices"][0]["message"]["content"] if status == 200 else answer
            if said != json.loads(text)["messages"][0]["content"]:
                wrong.append(said)
        asker.close()

    await together(8, work)
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {calls} echoed prompts came back changed: {wrong[0]!r}")


def _soak(subject: Subject, calls: int, first: int) -> Section:
    """The memory of a worker while it answers so many calls with new personal data."""
    assert subject.process is not None
    done, seen = 0, [subject.process.megabytes()]
    marks = [0]
    errors = 0
    while done < calls:
        head = NEW if len(marks) % 2 else ""
        part = drive(
            subject.url, subject.key, body(head, False), seconds=5, connections=CONNECTIONS, first=first + done
        )
        done += part.requests
        errors += part.errors
        marks.append(done)
        seen.append(subject.process.megabytes())
        print(f"  soak {done:7} requests  {seen[-1]:6.1f} MB", flush=True)
    half = next(i for i, mark in enumerate(marks) if mark >= done / 2)
    slope = (seen[-1] - seen[half]) / (marks[-1] - marks[half]) * 10_000
    text = (
        f"{done:,} requests, {errors} errors: {seen[0]:.0f} MB before, {seen[half]:.0f} MB half-way, {seen[-1]:.0f} MB "
        f"at the end; {slope:+.2f} MB for each 10,000 requests of the second half (wanted: under {WANTED_MB} MB, flat)."
    )
    return Section("Memory of one worker over a long run", text)


def ratio(rows: dict[str, list[Row]], one: str = "customhouse", other: str = "pass-through") -> float:
    """Median over the rounds of one's requests/s over the other's."""
    pairs = zip(rows[one], rows[other], strict=True)
    return statistics.median(mine.run.rate / theirs.run.rate for mine, theirs in pairs)


def _figures(rows: dict[str, dict[str, list[Row]]]) -> Section:
    head = ("workload", "subject", "req/s", "of pass-through", "p50 ms", "p99 ms", "CPU µs", "first byte ms", "errors")
    lines = []
    for name, subjects in rows.items():
        for subject, seen in subjects.items():
            lines.append(
                (
                    name,
                    subject,
                    f"{_median(seen, lambda row: row.run.rate):,.0f}",
                    f"{ratio(subjects, subject):.2f}",
                    f"{_median(seen, lambda row: row.run.p50_ms):.1f}",
                    f"{_median(seen, lambda row: row.run.p99_ms):.1f}",
                    f"{_median(seen, lambda row: row.cpu_us):.0f}" if subject != "direct" else "–",
                    f"{_median(seen, lambda row: row.first_ms):.2f}" if name == "stream" else "–",
                    str(sum(row.run.errors for row in seen)),
                )
            )
    told = "\n".join(f"- **{name}**: {about}." for name, (_, _, about) in WORKLOADS.items())
    database = _median(rows["plain"]["customhouse"], lambda row: row.database_us)
    beside = f"\n\nPostgreSQL used {database:.0f} µs of CPU a plain request beside the worker." if database else ""
    said = (
        f"{CONNECTIONS} connections ({driver()}), one worker each, prompts of 400 characters. CPU is that of the "
        "answering process, a request. `pass-through` is a bare proxy of uvicorn and aiohttp, as a gateway is usually "
        "built; `own parts` is our own server and client with nothing between them.\n\n"
        f"{told}\n\n{table(head, lines)}{beside}"
    )
    return Section("The gateway beside a pass-through without governance", said)


def _wanted(rows: dict[str, dict[str, list[Row]]], megabytes: float) -> Section:
    lines = []
    for name, least in WANTED.items():
        reached = ratio(rows[name])
        lines.append(
            (
                f"{name}: share of the pass-through's requests/s",
                f"≥ {least:.2f}",
                f"{reached:.2f}",
                _met(reached >= least),
            )
        )
    plain = rows["plain"]
    pairs = zip(plain["customhouse"], plain["pass-through"], strict=True)
    cpu = statistics.median(mine.cpu_us / theirs.cpu_us for mine, theirs in pairs)
    lines.append(
        ("plain: CPU a request, times the pass-through's", f"≤ {WANTED_CPU}", f"{cpu:.2f}", _met(cpu <= WANTED_CPU))
    )
    lines.append(
        ("memory of the worker after all rounds, MB", f"< {WANTED_MB}", f"{megabytes:.0f}", _met(megabytes < WANTED_MB))
    )
    return Section("What it must reach", table(("figure", "wanted", "measured", ""), lines))


def _met(yes: bool) -> str:
    return "met" if yes else "**missed**"


def _median(rows: list[Row], of) -> float:
    return statistics.median(map(of, rows))
