"""Models without a network: one answers by quoting, it picks the sentences of the numbered passages which answer best;
the other puts texts in order.

It invents nothing, so that every feature can be tried with no key: an answer is one to three sentences, each as it
stands in its passage and followed by the passage's mark.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.data import Reply, Target, Tokens
from gateway.errors import UpstreamRejected
from gateway.prompts import question_of
from retrieval.services import rank

from .base import PASSAGES
from .local import Script, completion, events, usage
from .tokens import reported, simple_count

NO_PASSAGES: Final = "There is no answer in the documents: nothing in them fits this question."

MOST_SENTENCES: Final = 3
#: A further sentence has to answer at least this well, compared with the best.
GOOD_ENOUGH: Final = 0.6
#: Each place further down in the order of the search takes so much away.
PER_RANK: Final = 0.03
#: Longer sentences hold more words by chance.
COMFORTABLE_WORDS: Final = 30
#: Words of a title count so much of a word in the sentence.
TITLE_SHARE: Final = 0.3

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(
    r"\S.*?(?:[.!?:;](?=[\"'”’)\]]*\s)[\"'”’)\]]*|(?=\n\s*\n|\n\s*(?:[-*•#|]|\d+[.)])\s)|\Z)", re.DOTALL
)
_LEADING = re.compile(r"^(?:#{1,6}\s+|[-*•]\s+|\d+[.)]\s+)+")

_STOPWORDS_TEXT: Final = """
a about after all also am an and any are as at auf aus be because been before bei but by can could dans das de
dem den der des did die do does du ein eine einen einer est et for from für had has have how i if im in into is
ist it its la le les may me mit must my nach no not oder of on one or ou our out pour que qui shall she should
sind so some sont such sur than that the their them then there these they this those to un und une up us von
wann war warum was we welche welcher wer were what when where which who whom whose why wie will with wo would
you your zu
"""
_STOPWORDS: Final = frozenset(_STOPWORDS_TEXT.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage, as it stands there."""

    number: int  #: of its passage
    rank: int  #: of its passage in the order of the search, from 0
    text: str
    words: frozenset[str]
    title: frozenset[str]


class ExtractiveProvider:
    """A Provider that quotes `body["x_passages"]`: [{"number", "title", "text"}], best first; and that ranks texts."""

    async def chat(self, target: Target, body: dict[str, Any]) -> Reply:
        """A plain chat completion."""
        script = _script(body)
        counted = _usage(body, script)
        return Reply(completion(target.upstream_model, script, _choices(body), counted), reported(counted))

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """The same, word by word."""
        script = _script(body)
        parts = list(events(target.upstream_model, script, _choices(body), _usage(body, script)))
        for at in range(0, len(parts), 8):
            yield b"".join(parts[at : at + 8])

    async def embed(self, target: Target, body: dict[str, Any]) -> Reply:
        """It knows no vectors."""
        raise UpstreamRejected("This model makes no embeddings.", param="model")

    async def rerank(self, target: Target, body: dict[str, Any]) -> Reply:
        """By meaning and by words, with the local embedder."""
        texts = body["documents"]
        scores = await asyncio.to_thread(rank, body["query"], texts)
        counted = simple_count(body["query"]) + sum(map(simple_count, texts))
        rows = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
        return Reply({"results": rows}, Tokens(input=counted))

    async def close(self) -> None:
        """Nothing is open."""


def answer(question: str, passages: list[Mapping[str, Any]]) -> tuple[str, list[int]]:
    """The sentences that answer a question, each with its mark, and the numbers of their passages."""
    sentences = list(_sentences(passages))
    if not sentences:
        return NO_PASSAGES, []
    best = _best(question, sentences)
    text = " ".join(f"{sentence.text} [{sentence.number}]" for sentence in best)
    return text, list(dict.fromkeys(sentence.number for sentence in best))


def _best(question: str, sentences: list[Sentence]) -> list[Sentence]:
    asked = _stems(question)
    rarity = _rarity(sentences)
    scored = sorted(((_score(sentence, asked, rarity), sentence) for sentence in sentences), key=lambda pair: -pair[0])
    top = scored[0][0]
    if top <= 0:
        return [sentences[0]]  # no word in common: the passage that the search holds for the best
    found: list[Sentence] = []
    for score, sentence in scored:
        if score < GOOD_ENOUGH * top or len(found) == MOST_SENTENCES:
            break
        if all(sentence.text != other.text for other in found):
            found.append(sentence)
    return found


def _score(sentence: Sentence, asked: frozenset[str], rarity: Mapping[str, float]) -> float:
    inside = sum(rarity[word] for word in asked & sentence.words)
    if not inside:
        return 0.0
    above = sum(rarity.get(word, 1.0) for word in (asked & sentence.title) - sentence.words)
    long = max(0, len(sentence.words) - COMFORTABLE_WORDS) / COMFORTABLE_WORDS
    return (inside + TITLE_SHARE * above) / (1 + long) * max(0.1, 1 - PER_RANK * sentence.rank)


def _rarity(sentences: list[Sentence]) -> dict[str, float]:
    """Inverse document frequency over the sentences at hand."""
    counts = Counter(word for sentence in sentences for word in sentence.words)
    return {word: math.log(1 + len(sentences) / count) for word, count in counts.items()}


def _sentences(passages: list[Mapping[str, Any]]) -> Iterator[Sentence]:
    for place, passage in enumerate(passages):
        title = _stems(str(passage.get("title", "")))
        for found in _SENTENCE.finditer(str(passage.get("text", ""))):
            text = _LEADING.sub("", found[0]).strip()
            words = _stems(text)
            if words and not found[0].startswith("#"):
                yield Sentence(int(passage["number"]), place, text, words, title)


def _stems(text: str) -> frozenset[str]:
    """The words that carry meaning, without the commonest endings."""
    words = (word for word in _WORD.findall(text.casefold()) if word not in _STOPWORDS)
    return frozenset(_stem(word) for word in words)


def _stem(word: str) -> str:
    for ending in ("ingly", "edly", "ings", "ies", "ing", "ed", "es", "en", "er", "ly", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _script(body: Mapping[str, Any]) -> Script:
    passages = body.get(PASSAGES)
    text, numbers = answer(question_of(body["messages"]), passages if isinstance(passages, list) else [])
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") in ("json_object", "json_schema"):
        text = orjson.dumps({"answer": text, "citations": numbers}).decode()
    pieces = re.findall(r"\s*\S+|\s+\Z", text)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if most is None or simple_count(text) <= most:
        return Script(pieces)
    return Script(list(_within(pieces, most)), finish="length")


def _within(pieces: list[str], most: int) -> Iterator[str]:
    """As many words as stay within so many tokens."""
    for piece in pieces:
        most -= simple_count(piece)
        if most < 0:
            return
        yield piece


def _usage(body: Mapping[str, Any], script: Script) -> dict[str, int]:
    """The passages stand in the messages as well, so they are counted there."""
    prompt = sum(simple_count(orjson.dumps(message).decode()) for message in body["messages"])
    return usage(prompt, simple_count(script.text) * _choices(body))


def _choices(body: Mapping[str, Any]) -> int:
    return int(body.get("n") or 1)
