"""Secrets: keys of well-known shapes, private keys, passwords beside their name, connection strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.pii.data import Entity

_SHAPES: Final = (
    r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, this gateway, and many who followed
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}",  # Slack
    r"[rsp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}",  # Stripe
    r"AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}",  # Google
    r"hf_[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|pplx-[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}",
    r"npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|do[pors]_v1_[a-f0-9]{40,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|(?:AC|SK)[0-9a-f]{32}|key-[0-9a-f]{32}",  # mail and telephony
    r"lin_api_[A-Za-z0-9]{20,}|\d{8,10}:[A-Za-z0-9_-]{35}",  # Linear, Telegram
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}",  # JSON web tokens
)
KEY: Final = rf"(?<![A-Za-z0-9])(?:{'|'.join(_SHAPES)})(?![A-Za-z0-9])"
KEY_CLUE: Final = (
    r"sk-[a-z0-9_-]{16}|A(?:KIA|SIA|GPA|IDA|ROA|NPA)[A-Z0-9]{16}|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|xapp-"
    r"|[rsp]k_(?:live|test)_|whsec_|AIza|ya29\.|hf_[a-z0-9]{20}|gsk_|xai-[a-z0-9]{20}|pplx-|r8_[a-z0-9]{20}"
    r"|npm_[a-z0-9]{20}|pypi-[a-z0-9_-]{20}|do[pors]_v1_|shp(?:at|ca|pa|ss)_|SG\.[a-z0-9_-]{16}|(?:AC|SK)[0-9a-f]{32}"
    r"|key-[0-9a-f]{32}|lin_api_|\d:[a-z0-9_-]{35}|eyJ[a-z0-9_-]{8}"
)
CONNECTION_STRING: Final = (
    r"(?<![a-z0-9])[a-z][a-z0-9+.\-]{1,24}://[^\s/:@\"'<>]{0,128}:[^\s/@\"'<>]{1,256}@[^\s\"'<>,;]{1,512}"
)
BEARER: Final = r"(?<!\w)bearer\s{1,3}(?P<value>[A-Za-z0-9._~+/\-]{20,4096}={0,2})"
NAMES: Final = (
    r"passw(?:or)?d|passphrase|pwd|secret|api[_\- ]?key|access[_\- ]?key|private[_\- ]?key|account[_\- ]?key|token"
    r"|passwort|kennwort|contrasena|mot de passe"
)
NAME: Final = re.compile(rf"(?:{NAMES}|credentials?)$", re.ASCII | re.IGNORECASE)
"""A field with such a name holds a secret, whatever it looks like."""

_BLOCK_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----", re.IGNORECASE)
_BLOCK_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----", re.IGNORECASE)
_BLOCK_LIMIT: Final = 16_384
_BLOCK_BODY: Final = re.compile(rf"[A-Za-z0-9+/=\s\\:,\-.]{{0,{_BLOCK_LIMIT}}}", re.ASCII)
_ASSIGNED: Final = re.compile(
    rf"(?:{NAMES})(?P<field>[\"'])?\s{{0,3}}(?:=>|:=|[:=]|\bis\b|\bist\b|\bes\b|\best\b)\s{{0,3}}"
    r"(?P<quote>[\"'`]?)(?P<value>[^\s\"'`<>]{6,256})",
    re.ASCII | re.IGNORECASE,
)


def find_private_key(text: str) -> Iterator[Entity]:
    """Private key blocks; one whose end is missing reaches as far as it looks like one."""
    for match in _BLOCK_BEGIN.finditer(text):
        end = _BLOCK_END.search(text, match.end(), match.end() + _BLOCK_LIMIT) or _BLOCK_BODY.match(text, match.end())
        yield Entity("SECRET", match.start(), end.end() if end else match.end(), 1.0)


def find_assigned(text: str) -> Iterator[Entity]:
    """What stands after `password =`, `api_key:` or `token is`, when it looks like a secret and not like a word."""
    for match in _ASSIGNED.finditer(text):
        value = match["value"].rstrip(".,;)]}")
        # A quoted name before a quoted value is a field of JSON: it says itself what its value is.
        if len(value) >= 6 and ((match["field"] and match["quote"]) or looks_secret(value)):
            yield Entity("SECRET", match.start("value"), match.start("value") + len(value), 0.7)


def looks_secret(value: str) -> bool:
    """Letters mixed with digits or signs, as in a password; not a plain word, a call or a variable."""
    if value.startswith(("$", "{", "[", "(", "%", "<", "*")) or "(" in value:
        return False
    mixed = any(character.isdigit() or character in "!#%&*+?@^~|" for character in value)
    return mixed and any(map(str.isalpha, value))
