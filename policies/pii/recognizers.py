"""What is looked for with our own means. Presidio's part is in `choices`.

A recognizer finds one type. Its *clue* is a cheap expression that stands in every text in which it can find something,
so a text without the clue need not be shown to it. Its *context* words lift a weak find (nine digits) to a sure one
(nine digits beside "passport"); a recognizer that is `context_only` finds nothing without them. To add one: a function
from text to entities, a clue, a line in OWN, and its sample in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from policies.pii import credentials
from policies.pii.context import DIGIT, Context, Find
from policies.pii.data import Entity
from policies.pii.finders import PHONE_CONTEXT, find_card, find_email, find_iban, find_phone, find_url


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Finds one type in folded text. `clue` is in Hyperscan's syntax, matched caselessly on UTF-8 bytes.

    `anchor` is an expression of which every find has a match, and no part further than MARGIN from the next one: of a
    long text only the surroundings of anchors are looked at. None for all of it.
    """

    name: str
    find: Find
    clue: str
    context: Context | None = None
    context_only: bool = False
    anchor: str | None = DIGIT


def pattern(kind: str, expression: str, score: float, flags: re.RegexFlag = re.ASCII | re.IGNORECASE) -> Find:
    """Finds whole matches of an expression, or its group `value` where it has one."""
    compiled = re.compile(expression, flags)
    group: str | int = "value" if "value" in compiled.groupindex else 0

    def find(text: str) -> Iterator[Entity]:
        for match in compiled.finditer(text):
            yield Entity(kind, match.start(group), match.end(group), score)

    return find


_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH: Final = rf"(?:{_MONTHS})[a-z]{{0,6}}\.?"
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"

OWN: Final = (
    Recognizer("email", find_email, "@", anchor=None),
    Recognizer("card", find_card, r"\d{4}[ .\-]?\d{4}[ .\-]?\d{4}|\d{4}[ .\-]\d{6}[ .\-]\d{4}"),
    Recognizer("iban", find_iban, r"[a-z]{2}\d{2}(?:[ \-]?[a-z0-9]{4}){2}", Context.of("iban")),
    Recognizer(
        "phone", find_phone, r"\d(?:[ .\-/()]{0,3}\d){6}|0\d{1,5}\)?(?:[ \-/.]{1,3}\d{2,8}){1,5}", PHONE_CONTEXT
    ),
    Recognizer(
        "ssn",
        pattern("US_SSN", r"(?<![\w\-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w\-])", 0.85),
        r"\d{3}-\d{2}-\d{4}",
    ),
    Recognizer(
        "ssn without dashes",
        pattern("US_SSN", r"(?<![\w\-])\d{9}(?![\w\-])", 0.3),
        r"\d{9}",
        Context.of("ssn", "social security"),
        context_only=True,
    ),
    Recognizer("ethereum", pattern("CRYPTO", r"(?<!\w)0x[0-9a-f]{40}(?!\w)", 0.9), r"0x[0-9a-f]{40}"),
    Recognizer("url", find_url, r"(?:http|ftp|ws)s?://", anchor=None),
    Recognizer(
        "birthday",
        pattern("DATE_TIME", rf"(?<!\w)(?:{_DAY}(?: of)? {_MONTH},? \d{{4}}|{_MONTH} {_DAY},? \d{{4}})(?!\w)", 0.3),
        _MONTHS,
        Context.of("birth", "birthday", "birthdate", "born", "dob", "d.o.b"),
        context_only=True,
    ),
    Recognizer("key", pattern("SECRET", credentials.KEY, 0.95, re.ASCII), credentials.KEY_CLUE, anchor=None),
    Recognizer("private key", credentials.find_private_key, r"-----BEGIN", anchor=None),
    Recognizer("connection string", pattern("SECRET", credentials.CONNECTION_STRING, 0.9), r"://", anchor=None),
    Recognizer("assigned secret", credentials.find_assigned, credentials.NAMES, anchor=None),
    Recognizer("bearer", pattern("SECRET", credentials.BEARER, 0.85), r"bearer\s", anchor=None),
    Recognizer(
        "aws secret",
        pattern("SECRET", r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])", 0.3),
        r"[a-z0-9/+]{40}",
        Context.of("aws", "secret access key", "secretaccesskey", "aws secret"),
        context_only=True,
        anchor=None,
    ),
)
