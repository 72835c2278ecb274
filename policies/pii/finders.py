"""Our own finders: e-mail addresses, links, payment cards, bank accounts, telephone numbers.

They read folded text and take time in proportion to its length, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import phonenumbers

from policies.pii.context import NOTHING, SURE, Context
from policies.pii.data import Entity

# --- e-mail: every @ is looked at from both sides --------------------------------------------------------------------

_LOCAL: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%*+_^~-'")
_LOCAL_LIMIT: Final = 128
_DOMAIN: Final = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,63})(?![^\W_])", re.IGNORECASE
)
_DOMAIN_PREFIX: Final = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,63})", re.IGNORECASE)


def find_email(text: str) -> Iterator[Entity]:
    """E-mail addresses, also with letters of other scripts."""
    at = text.find("@")
    while at >= 0:
        start = _local_start(text, at)
        domain = _DOMAIN.match(text, at + 1) or _DOMAIN_PREFIX.match(text, at + 1)
        if start < at and domain:
            yield Entity("EMAIL_ADDRESS", start, domain.end(), 1.0)
        at = text.find("@", at + 1)


def _local_start(text: str, at: int) -> int:
    start, lowest = at, max(0, at - _LOCAL_LIMIT)
    while start > lowest and (text[start - 1] in _LOCAL or (text[start - 1] > "\x7f" and text[start - 1].isalnum())):
        start -= 1
    while start < at and text[start] in ".'!#$%*^~-":
        start += 1
    return start


# --- links -----------------------------------------------------------------------------------------------------------

_URL: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:https?|ftps?|sftp|wss?)://[^\s<>\"'`{}|\\^\[\]]{2,2048}", re.ASCII | re.IGNORECASE
)


def find_url(text: str) -> Iterator[Entity]:
    """Links with a scheme, without the full stop or bracket that follows them."""
    for match in _URL.finditer(text):
        yield Entity("URL", match.start(), match.start() + len(match[0].rstrip(".,;:!?)*")), 0.6)


# --- cards and bank accounts -----------------------------------------------------------------------------------------

_CARD: Final = re.compile(
    r"(?<!\d)(?<!\d[.,])"
    r"(?:\d{4}[ .\-]\d{4}[ .\-]\d{4}[ .\-]\d{1,4}(?:[ .\-]\d{3})?|\d{4}[ .\-]\d{6}[ .\-]\d{4,5}|\d{13,19})(?!\d)",
    re.ASCII,
)
_CARD_PREFIX: Final = re.compile(
    r"3(?:0[0-59]|[4-9])|4|5[0-8]|6|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|1800|2131", re.ASCII
)


_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
"""The sum of the digits of twice a digit."""


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1."""
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


def find_card(text: str) -> Iterator[Entity]:
    """Payment card numbers: issuer's prefix, length and check digit are right."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if 13 <= len(digits) <= 19 and _CARD_PREFIX.match(digits) and luhn(digits):
            yield Entity("CREDIT_CARD", match.start(), match.end(), 1.0)


# Lengths by country: SWIFT IBAN registry.
_IBAN_LENGTHS: Final = {
    entry[:2]: int(entry[2:])
    for entry in re.findall(
        r"\w+",
        """
        AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29
        ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
        LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29
        PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
        YE30
        """,
    )
}
# Groups of four, as they are written and printed; any other spacing makes account numbers of ordinary sentences.
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]{4}){2,7}(?:[ \-]?[A-Za-z0-9]{1,3})?", re.ASCII
)
_IBAN_DIGITS: Final = 8
"""Digits that every account number has at least, and words have not."""


def find_iban(text: str) -> Iterator[Entity]:
    """International bank account numbers, spaced or not. A wrong check digit leaves a find for context to lift."""
    match = _IBAN.search(text)
    while match:
        end = _iban_end(text, match)
        if end and sum(map(str.isdigit, text[match.start() : end])) >= _IBAN_DIGITS:
            yield Entity("IBAN_CODE", match.start(), end, 1.0 if _mod97(text[match.start() : end]) else 0.4)
        match = _IBAN.search(text, end or match.start() + 2)


def _iban_end(text: str, match: re.Match[str]) -> int:
    """Where the account number ends: after as many characters as its country has; 0 if there are fewer."""
    left = _IBAN_LENGTHS.get(match[0][:2].upper(), 0)
    if not left:
        return 0
    for index in range(match.start(), match.end()):
        left -= text[index].isalnum()
        if not left:
            return index + 1
    return 0


def _mod97(iban: str) -> bool:
    compact = iban.replace(" ", "").replace("-", "").upper()
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


# --- telephone numbers: a cheap pattern finds what may be one, phonenumbers decides ----------------------------------

_INTERNATIONAL: Final = re.compile(
    r"(?<![\w+])(?:\+|(?<!\d[ .\-])00[ ]?)[ ]?\(?[1-9](?:[ .\-/()]{0,3}\d){6,14}(?!\d)", re.ASCII
)
_AMERICAN: Final = re.compile(
    r"(?<![\w.+])(?<!\d[\-/])(?:1[\-. ])?(?:\([2-9]\d{2}\)[\-. ]{0,2}|[2-9]\d{2}[\-. ])[2-9]\d{2}[\-. ]\d{4}"
    r"(?!\w)(?![\-/]\d)",
    re.ASCII,
)
_TRUNK: Final = re.compile(
    r"(?<![\w.+/])(?<!\d[\-/])\(?0\d{1,5}\)?(?:[ \-/.]{1,3}\d{2,8}){1,5}(?!\w)(?![\-/]\d)", re.ASCII
)
_LOOSE: Final = re.compile(r"(?<![\w+])\(?\d(?:[ .\-/()]{0,2}\d){6,14}(?!\w)", re.ASCII)
_DATE: Final = re.compile(
    r"\d{4}[.\-/ ]\d{1,2}[.\-/ ]\d{1,2}(?:\D.*)?|\d{1,2}[.\-/ ]\d{1,2}[.\-/ ](?:19|20)\d{2}(?:\D.*)?", re.ASCII
)
_TRUNK_REGIONS: Final = ("GB", "DE", "FR", "IT", "NL", "AT", "CH", "BE", "SE", "AU", "IN", "BR", "JP", "ZA")
PHONE_CONTEXT: Final = Context.of(
    "phone",
    "telephone",
    "tel",
    "tel.",
    "telefon",
    "telefono",
    "téléphone",
    "tfno",
    "tlf",
    "telf",
    "telfs",
    "teléfono",
    "mobile",
    "mobil",
    "móvil",
    "cell",
    "cellphone",
    "handy",
    "cellulare",
    "portable",
    "fax",
    "whatsapp",
    "signal",
    "sms",
    "text me",
    "call",
    "calls",
    "dial",
    "ring",
    "reach",
    "contact",
    "hotline",
    "extension",
    "numero",
    "rufnummer",
)


def find_phone(text: str) -> Iterator[Entity]:
    """Telephone numbers: international, American and trunk-prefix forms; other groups of digits need context.

    What lies in a number that is certain is no further number.
    """
    certain: list[Entity] = []
    for match in _INTERNATIONAL.finditer(text):
        number = _international(text, match)
        yield number
        if number.score == 1.0:
            certain.append(number)

    def is_part(match: re.Match[str]) -> bool:
        return any(number.start <= match.start() and match.end() <= number.end for number in certain)

    for match in _AMERICAN.finditer(text):
        if not is_part(match):
            national = re.sub(r"\D", "", match[0])[-10:]
            yield Entity("PHONE_NUMBER", match.start(), match.end(), 0.75 if _is_valid(1, national) else 0.4)
    for match in _TRUNK.finditer(text):
        if not _DATE.fullmatch(match[0]) and not is_part(match):
            yield Entity(
                "PHONE_NUMBER",
                match.start(),
                match.end(),
                0.6 if any(_valid(match[0], region) for region in _TRUNK_REGIONS) else 0.4,
            )
    for match in _LOOSE.finditer(text):
        if not _DATE.fullmatch(match[0]) and not is_part(match):
            yield Entity("PHONE_NUMBER", match.start(), match.end(), NOTHING)


def _international(text: str, match: re.Match[str]) -> Entity:
    """The number without what follows it: groups of digits are taken from its end until it is a possible number."""
    end = match.end()
    while end > match.start() + 6:
        digits = re.sub(r"\D", "", text[match.start() : end]).removeprefix("00")
        if _is_valid(*_country_code(digits)):
            return Entity("PHONE_NUMBER", match.start(), end, 1.0)
        number = _parsed("+" + digits, None)
        if number and phonenumbers.is_possible_number(number):
            return Entity("PHONE_NUMBER", match.start(), end, 1.0 if phonenumbers.is_valid_number(number) else 0.75)
        shorter = re.search(r"[ .\-/()]+\d+$", text[match.start() : end])
        if not shorter:
            break
        end = match.start() + shorter.start()
    return Entity("PHONE_NUMBER", match.start(), match.end(), SURE if text[match.start()] == "+" else 0.4)


def _country_code(digits: str) -> tuple[int, str]:
    """The country code that digits begin with, and the rest; (0, digits) when they begin with none."""
    for length in (1, 2, 3):
        if int(digits[:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return int(digits[:length]), digits[length:]
    return 0, digits


def _is_valid(country_code: int, national: str) -> bool:
    """Whether a number as it is dialled from abroad is one that is given out. What is written in any other way, with
    the zero of a national prefix above all, is for `_parsed`, which takes twice as long.
    """
    if not country_code or not national or national[0] == "0":
        return False
    number = phonenumbers.PhoneNumber(country_code=country_code, national_number=int(national))
    return bool(phonenumbers.is_valid_number(number))


def _parsed(number: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None


def _valid(number: str, region: str) -> bool:
    parsed = _parsed(number, region)
    return parsed is not None and phonenumbers.is_valid_number(parsed)
