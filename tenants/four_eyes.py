"""Whether what one did may be put in force by another: two who are one are two eyes only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from .data import Caller
from .models import Tenant


def author(caller: Caller) -> dict[str, list[str]]:
    """Whose work something is, as its row remembers it."""
    return {"own": _words(caller.principals), "makers": _words(caller.makers)}


def forbidden(wrote: Mapping[str, list[str]], caller: Caller) -> bool:
    """Whether the caller's tenant asks for four eyes, and the caller's are those of the author."""
    return Tenant.objects.get(pk=caller.tenant).four_eyes and _same_hands(wrote, author(caller))


def _same_hands(wrote: Mapping[str, list[str]], asks: Mapping[str, list[str]]) -> bool:
    """Whether two are one: the same key or person, a key and whoever made it, or keys behind which one person stands.

    Two keys that a third made are two; only people are one wherever they appear.
    """
    own, other = set(wrote.get("own", ())), set(asks["own"])
    made, others = set(wrote.get("makers", ())), set(asks["makers"])
    people = {word for word in (own | made) & (other | others) if word.startswith("user:")}
    return bool(own & other or own & others or made & other or people)


def _words(principals: Iterable[tuple[str, UUID]]) -> list[str]:
    return sorted(f"{kind}:{identity}" for kind, identity in principals)
