"""Words that mean the same in a collection: a question with one of them is searched for with the others as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from .errors import InvalidUpload

#: Groups of a collection, words (or phrases) of a group, and characters of a word.
MOST_GROUPS, MOST_WORDS, LONGEST = 200, 8, 60
#: Further questions that one question becomes.
MOST_VARIANTS = 3

Groups = Sequence[Sequence[str]]


def checked(groups: Any) -> list[list[str]]:
    """Groups as they are kept: each of two words or more, in lower case, none twice. Raises InvalidUpload."""
    if not isinstance(groups, list) or len(groups) > MOST_GROUPS:
        raise InvalidUpload(f"synonyms are a list of at most {MOST_GROUPS} groups of words.")
    found = []
    for group in groups:
        if not isinstance(group, list) or not all(isinstance(word, str) for word in group):
            raise InvalidUpload("Each group of synonyms is a list of words.")
        words = list(dict.fromkeys(" ".join(word.lower().split()) for word in group))
        if not 2 <= len(words) <= MOST_WORDS or not all(0 < len(word) <= LONGEST for word in words):
            raise InvalidUpload(f"A group of synonyms has 2 to {MOST_WORDS} words of at most {LONGEST} characters.")
        found.append(words)
    return found


def lines(groups: Groups) -> str:
    """Groups as people write them: a line each, words separated by commas."""
    return "\n".join(", ".join(group) for group in groups)


def of_lines(text: str) -> list[list[str]]:
    """Groups from what people wrote. Raises InvalidUpload."""
    written = [[word.strip() for word in line.split(",") if word.strip()] for line in text.splitlines()]
    return checked([group for group in written if group])


def varied(questions: Sequence[str], groups: Groups) -> list[str]:
    """The questions, then what they become with other words that mean the same; at most MOST_VARIANTS more of each."""
    found = list(questions)
    for question in questions:
        found += islice(_variants(question, groups), MOST_VARIANTS)
    return list(dict.fromkeys(found))


def _variants(question: str, groups: Groups) -> Iterator[str]:
    for group in groups:
        for word in group:
            pattern = _pattern(word)
            if pattern.search(question):
                for other in group:
                    if other != word:
                        yield pattern.sub(lambda _, other=other: other, question)  # type: ignore[misc]


@lru_cache(maxsize=4096)
def _pattern(word: str) -> re.Pattern[str]:
    """A word or phrase as a whole, whatever its case and spaces."""
    return re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, word.split())) + r"(?!\w)", re.IGNORECASE)
