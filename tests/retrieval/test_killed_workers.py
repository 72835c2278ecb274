"""Workers are killed in the middle of their documents: none is lost, none is there twice, none by half."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from secrets import token_hex

import psutil
import pytest

from retrieval import tasks
from retrieval.data import Extracted
from retrieval.ingest import pipeline
from retrieval.ingest.chunk import pieces
from retrieval.ingest.embed import graph_file
from retrieval.models import Chunk, ChunkText, Document, Posting, State, TermCount
from retrieval.services import Upload, create_collection, retry_failed, submit_many
from tenants.isolation import scope

DOCUMENTS, KILLS = 24, int(os.environ.get("CUSTOMHOUSE_KILLS", "8"))
#: Seconds between two kills, at most; seconds that all of it may take.
PAUSE, PATIENCE = 0.6, 120 + 5 * KILLS
SENTENCES = 70


class Workers:
    """One Celery worker with two processes, which are killed and come back."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.retrieval.impatient_worker", self._queue]
        self._root = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_again(self) -> None:
        """Starts a worker that ended over a kill, as `launch` does."""
        if self._root.poll() is not None:
            self.start()

    def kill_one(self) -> bool:
        """Kills a process that does the work, if there is one."""
        if self._root.poll() is not None:
            return False
        children = self._root.children()
        if not children:
            return False
        with suppress(psutil.NoSuchProcess):
            random.choice(children).kill()
        return True

    def kill_all(self) -> None:
        """Kills the worker with its processes: messages that they had taken are gone with them."""
        killed = [self._root, *self._root.children(recursive=True)]
        for one in killed:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._root.wait()


@pytest.fixture
def workers(people, monkeypatch):
    graph_file()  # the embedder's own making takes longer than these processes live
    queue = f"killed-{token_hex(4)}"
    send = tasks.ingest.apply_async
    monkeypatch.setattr(tasks.ingest, "delay", lambda *arguments: send(arguments, queue=queue))
    monkeypatch.setattr(tasks, "_tenants", lambda: [people.acme])
    monkeypatch.setattr(tasks, "ITEMS", 2)
    monkeypatch.setattr(tasks, "LOST_AFTER", timedelta(seconds=3))
    monkeypatch.setattr(pipeline, "DEAD_AFTER", timedelta(seconds=1))
    running = Workers(queue)
    yield running
    running.kill_all()


def text_of(number: int) -> str:
    """A text of some chunks, of few words, so that each of them becomes a posting."""
    return " ".join(
        f"Pallet {number} holds crate {line % 9} of barley for the mill by the river." for line in range(SENTENCES)
    )


def counts() -> dict[int, int]:
    return dict(TermCount.objects.filter(chunks__gt=0).values_list("term", "chunks"))


def unfinished() -> int:
    return Document.objects.exclude(state=State.READY).count()


@pytest.mark.timeout(PATIENCE + 60)
def test_killed_workers_lose_nothing_and_leave_nothing_twice_or_half(people, workers):
    texts = {f"d-{number}": text_of(number) for number in range(DOCUMENTS)}
    with scope(people.admin):
        create_collection("pallets")
        submit_many([Upload(collection="pallets", text=text, external_id=name) for name, text in texts.items()])
    kills, end = 0, time.monotonic() + PATIENCE
    while True:
        with scope(people.admin):
            waiting, running = unfinished(), Document.objects.filter(state=State.RUNNING).exists()
            if kills < KILLS and waiting < 5:  # work for all kills: the next versions
                texts |= {name: text_of(DOCUMENTS + kills + place) for place, name in enumerate(list(texts)[:20])}
                submit_many([Upload(collection="pallets", text=text, external_id=name) for name, text in texts.items()])
            elif not waiting:
                break
            retry_failed()  # one that five kills hit
        assert time.monotonic() < end, f"{waiting} documents are not finished after {kills} kills"
        workers.start_again()
        tasks.housekeeping()
        time.sleep(random.uniform(0.1, PAUSE))
        if kills == KILLS // 2:
            workers.kill_all()
            workers.start()
            kills += 1
        elif kills < KILLS and waiting and running:
            kills += workers.kill_one()
    with scope(people.admin):
        for name, text in texts.items():
            document = Document.objects.get(external_id=name)
            right = [(piece.ordinal, piece.start, piece.end) for piece in pieces(Extracted(text))]
            chunks = Chunk.objects.filter(document=document).order_by("ordinal")
            ids = [chunk.pk for chunk in chunks]
            places = {chunk.pk: (chunk.starts, chunk.ends) for chunk in ChunkText.objects.filter(document=document)}
            assert [(chunk.ordinal, *places.pop(chunk.pk)) for chunk in chunks] == right
            assert not places
            assert set(Posting.objects.filter(document=document).values_list("chunk_id", flat=True)) == set(ids)
            assert {chunk.version for chunk in chunks} == {document.version} == {document.indexed_version}
        assert Document.objects.count() == DOCUMENTS
        found = counts()
    tasks.recount()
    with scope(people.admin):
        assert found == counts()
