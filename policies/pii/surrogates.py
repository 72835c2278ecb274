"""Realistic stand-ins for personal data: another name for a name, another number for a number, of the same make.

What stands in keeps what a reader goes by (language and gender of a name, country of a bank account, groups of a
number, a checksum where there is one) and is nobody's as far as that can be had: towns, firms and streets are invented,
mail goes to example.org and addresses are of the networks kept for documentation. A name is replaced part by part, so
that "Mary Roe", "Dr Roe" and "Mary" stay one person.

Types of which nothing realistic can be made (keys, tokens, words of a deny-list) get a placeholder instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from .surrogate_names import FAMILY, FIRMS, GIVEN, KNOWN, STREETS, TOWNS

Draw = Callable[[int], bytes]
"""So many bytes, the same ones for the same question in one scope."""

_TITLES: Final = {
    **dict.fromkeys(("mr", "mister", "sir", "herr", "monsieur", "señor", "senor", "signor", "sig", "don", "shri"), "m"),
    **dict.fromkeys(("mrs", "ms", "miss", "madam", "lady", "frau", "mme", "mlle", "madame", "señora", "sra"), "f"),
    **dict.fromkeys(("signora", "doña", "mevrouw", "pani", "smt"), "f"),
    **dict.fromkeys(("dr", "prof", "professor", "doctor", "doktor", "eng", "ing", "dipl", "hon", "rev", "judge"), ""),
}
_TITLE_LANGUAGES: Final = {
    **dict.fromkeys(("herr", "frau", "doktor"), "de"),
    **dict.fromkeys(("monsieur", "mme", "mlle", "madame"), "fr"),
    **dict.fromkeys(("señor", "senor", "señora", "sra", "don", "doña"), "es"),
    **dict.fromkeys(("signor", "signora", "sig"), "it"),
    **{"mevrouw": "nl", "pani": "pl", "shri": "in", "smt": "in"},
}
_KEPT: Final = frozenset(
    (
        *("van", "von", "der", "den", "de", "di", "da", "del", "della", "la", "le", "du", "des", "zu", "zum", "zur"),
        *("bin", "bint", "ibn", "al", "el", "y", "e", "i", "ter", "ten", "und", "and"),
        *("jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "mba"),
    )
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_FIRM_FORM: Final = re.compile(
    r"[\s,]+(?:inc|incorporated|ltd|limited|llc|llp|plc|corp|corporation|company|co|gmbh|ag|kg|ohg|se|sa|s\.a|sarl|"
    r"s\.r\.l|srl|spa|s\.p\.a|bv|b\.v|nv|n\.v|ab|as|oy|pty ltd|pvt ltd|sp\. z o\.o)\.?$",
    re.IGNORECASE,
)


def makes(kind: str, value: str) -> bool:
    """Whether something realistic can stand for a value of this type."""
    if kind in _MAKERS or kind in ("PERSON", "EMAIL_ADDRESS"):
        return True
    return kind not in _NEVER and _NUMBER.fullmatch(value) is not None and sum(map(str.isdigit, value)) >= 4


_NUMBER: Final = re.compile(r"(?!.*[A-Za-z]{5})[A-Za-z0-9 .\-/()+#:]{4,40}")
_NEVER: Final = frozenset({"SECRET", "CRYPTO", "DENY_LIST"})


class Names:
    """The parts of people's names in one scope, and what stands for each: the same wherever it stands."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], str] = {}

    def person(self, value: str, draw: Draw, free: Callable[[str], bool]) -> str:
        """A name in the place of a name. `free` says whether a part may be used."""
        words = list(_WORD.finditer(value))
        kept = [word[0].casefold().rstrip(".") in _TITLES or word[0].casefold() in _KEPT for word in words]
        parts = [place for place, word in enumerate(words) if not kept[place] and len(word[0]) > 1]
        titles = [title for word in words if (title := word[0].casefold()) in _TITLES]
        comma = "," in value and len(parts) > 1
        locale, gender = _read([words[place][0] for place in parts], titles)
        pieces, at, random = [], 0, iter(draw(64 * (len(words) + 1)))
        for place, word in enumerate(words):
            pieces.append(value[at : word.start()])
            at = word.end()
            if kept[place]:
                pieces.append(word[0])
            elif len(word[0]) == 1:
                pieces.append(chr(ord("A") + next(random) % 26) if word[0].isupper() else word[0])
            else:
                family = _is_family(word[0], parts.index(place), len(parts), comma, bool(titles))
                role = "family" if family else f"given {gender}"
                pieces.append(like(word[0], self._part(word[0].casefold(), role, locale, random, free)))
        return "".join([*pieces, value[at:]])

    def _part(self, word: str, role: str, locale: str, random: Iterator[int], free: Callable[[str], bool]) -> str:
        name = "family" if role == "family" else "given"
        known = self._parts.get((name, word))
        if known is not None:
            return known
        offered = FAMILY[locale] if name == "family" else _given(locale, role.removeprefix("given "))
        at = next(random) % len(offered)
        for turn in range(len(offered)):
            found = offered[(at + turn) % len(offered)]
            if found.casefold() != word and free(found):
                break
        else:
            found = offered[at]  # the scope holds more names than we know: two people share a part
        self._parts[name, word] = found
        return found

    def stands_for(self, value: str) -> str:
        """What stands for one part of a name that has been replaced, '' for any other word."""
        word = value.casefold()
        found = self._parts.get(("family", word)) or self._parts.get(("given", word))
        return like(value, found) if found else ""

    def aliases(self, original: str, made: str) -> Iterator[tuple[str, str]]:
        """The parts of a name and of what stands for it, for whoever speaks of the person by one of them."""
        pairs = list(zip(_WORD.findall(original), _WORD.findall(made), strict=False))
        if len(pairs) > 1:
            yield from ((new, old) for old, new in pairs if new != old and len(new) > 2)

    def email(self, value: str, draw: Draw, free: Callable[[str], bool]) -> str:
        """An address at a domain kept for examples, of the same person where the name is known."""
        local, _, _ = value.partition("@")
        random = draw(8)
        words = [self.stands_for(word).casefold() for word in _WORD.findall(local.replace("_", " "))]
        if not any(words):
            words = [_pick(_given("en", ""), random), _pick(FAMILY["en"], random[2:])]
        made = ".".join(_plain(word) for word in words if word)
        domain = ("example.com", "example.org", "example.net")[random[4] % 3]
        address = f"{made}@{domain}"
        return address if free(address) else f"{made}{random[5] % 90 + 10}@{domain}"


def like(model: str, word: str) -> str:
    """A word in the case of another one."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word.lower() if model.islower() else word


def _read(parts: list[str], titles: list[str]) -> tuple[str, str]:
    """Of which language a name is, and of which gender ('' where nobody can tell)."""
    known = _known()
    seen = [known[word] for part in parts if (word := part.casefold()) in known]
    said = next((_TITLE_LANGUAGES[title] for title in titles if title in _TITLE_LANGUAGES), "")
    locale = said or next((found for found, _ in seen), _by_letters(" ".join(parts)))
    gender = next((found for title in titles if (found := _TITLES[title])), "") or next(
        (found for _, found in seen if found), ""
    )
    if not gender and parts and parts[0].casefold().endswith("a"):
        gender = "f"
    return locale, gender


def _by_letters(text: str) -> str:
    for letters, locale in (
        ("äöüß", "de"),
        ("ñ", "es"),
        ("łśżźęąćń", "pl"),
        ("ãõ", "pt"),
        ("èêëçœ", "fr"),
        ("òì", "it"),
    ):
        if any(letter in text.casefold() for letter in letters):
            return locale
    return "en"


def _is_family(word: str, place: int, parts: int, comma: bool, titled: bool) -> bool:
    if parts > 1:
        return place == 0 if comma else place == parts - 1
    return titled or word.casefold() not in _given_names()


@lru_cache(maxsize=1)
def _known() -> Mapping[str, tuple[str, str]]:
    """Names that we know: (language, gender); what several languages have is of the first."""
    found: dict[str, tuple[str, str]] = {}
    for table in (KNOWN, GIVEN):
        for locale, genders in table.items():
            for gender, names in genders.items():
                found |= {name.casefold(): (locale, gender) for name in names if name.casefold() not in found}
    for locale, families in FAMILY.items():
        for name in families:
            found.setdefault(name.casefold(), (locale, ""))
    return found


@lru_cache(maxsize=1)
def _given_names() -> frozenset[str]:
    return frozenset(name for name, (_, gender) in _known().items() if gender)


@lru_cache(maxsize=64)
def _given(locale: str, gender: str) -> tuple[str, ...]:
    genders = GIVEN[locale]
    return genders[gender] if gender else tuple(name for pair in zip(*genders.values(), strict=False) for name in pair)


def _plain(text: str) -> str:
    """Letters as an e-mail address has them."""
    folded = text.casefold().replace("ß", "ss").replace("ł", "l")
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalnum())


def _pick(offered: Iterable[str], random: bytes) -> str:
    names = tuple(offered)
    return names[int.from_bytes(random[:2], "big") % len(names)]


# -- what has a make of its own ----------------------------------------------------------------------------------------


def made(kind: str, value: str, draw: Draw) -> str:
    """What stands for a value of a type that `makes` knows, people's names and mail excepted."""
    return _MAKERS.get(kind, _shaped)(value, draw)


def _shaped(value: str, draw: Draw) -> str:
    """Other figures and letters in the same places."""
    random = iter(draw(len(value)))
    return "".join(_other(character, next(random)) for character in value)


def _other(character: str, byte: int) -> str:
    if character.isdigit():
        return str(byte % 10)
    if character.isascii() and character.isalpha():
        return chr(ord("A" if character.isupper() else "a") + byte % 26)
    return character


def _phone(value: str, draw: Draw) -> str:
    """The country and the first figure of an area stay, so that it still can be dialled from the same place."""
    head = re.match(r"\s*(?:\+|00)\s?\d{1,2}[\s.\-(]*\d?|\s*\(?\d", value)
    start = head.end() if head else 0
    return value[:start] + _shaped(value[start:], draw)


def _card(value: str, draw: Draw) -> str:
    """The first figure (whose card it is) stays; the last one is the checksum (Luhn)."""
    places = [place for place, character in enumerate(value) if character.isdigit()]
    if len(places) < 8:
        return _shaped(value, draw)
    figures = list(_shaped(value, draw))
    figures[places[0]] = value[places[0]]
    figures[places[-1]] = "0"
    whole = [int(figures[place]) for place in places]
    doubled = sum((n if turn % 2 == 0 else n * 2 - 9 * (n > 4)) for turn, n in enumerate(reversed(whole)))
    figures[places[-1]] = str(-doubled % 10)
    return "".join(figures)


def _iban(value: str, draw: Draw) -> str:
    """Of the same country and with its checksum (ISO 13616)."""
    places = [place for place, character in enumerate(value) if character.isalnum()]
    figures = list(_shaped(value, draw))
    if len(places) < 6:
        return "".join(figures)
    for place in places[:2]:
        figures[place] = value[place]
    for place in places[2:4]:
        figures[place] = "0"
    plain = "".join(figures[place] for place in places).upper()
    number = int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4]))
    check = f"{98 - number % 97:02d}"
    figures[places[2]], figures[places[3]] = check[0], check[1]
    return "".join(figures)


def _ip(value: str, draw: Draw) -> str:
    """An address of a network kept for documentation (RFC 5737, RFC 3849)."""
    random, (_, slash, mask) = draw(6), value.partition("/")
    if ":" in value:
        return f"2001:db8::{random[0]:x}{random[1]:02x}:{random[2]:x}{random[3]:02x}{slash}{mask}"
    network = ("192.0.2", "198.51.100", "203.0.113")[random[0] % 3]
    return f"{network}.{random[1] % 254 + 1}{slash}{mask}"


def _mac(value: str, draw: Draw) -> str:
    """Given by hand and not by a maker: its second bit says so."""
    random = iter(draw(len(value)))
    hexadecimal = "0123456789ABCDEF" if value.upper() == value else "0123456789abcdef"
    figures = [hexadecimal[next(random) % 16] if character.isalnum() else character for character in value]
    return "".join([figures[0], hexadecimal[2], *figures[2:]])


def _url(value: str, draw: Draw) -> str:
    scheme = re.match(r"[a-z][a-z0-9+.\-]*://", value, re.IGNORECASE)
    word = "".join(chr(ord("a") + byte % 26) for byte in draw(8))
    return f"{scheme[0] if scheme else ''}www.example.com/{word}"


def _town(value: str, draw: Draw) -> str:
    return like(value, _pick(TOWNS, draw(2)))


def _firm(value: str, draw: Draw) -> str:
    form = _FIRM_FORM.search(value)
    return like(value, _pick(FIRMS, draw(2))) + (form[0] if form else "")


def _street(value: str, draw: Draw) -> str:
    """A number and a street that nobody lives in, and other figures where there were some."""
    random = draw(len(value) + 4)
    number = re.match(r"\s*\d+\s*[a-z]?\b", value, re.IGNORECASE)
    street = _pick(STREETS, random)
    house = str(int.from_bytes(random[2:4], "big") % 180 + 1)
    return like(value, f"{house} {street}" if number else street)


_MAKERS: Final[Mapping[str, Callable[[str, Draw], str]]] = {
    "PHONE_NUMBER": _phone,
    "CREDIT_CARD": _card,
    "IBAN_CODE": _iban,
    "IP_ADDRESS": _ip,
    "MAC_ADDRESS": _mac,
    "URL": _url,
    "LOCATION": _town,
    "ORGANIZATION": _firm,
    "STREET_ADDRESS": _street,
}
