"""What of a detection may happen on the event loop. A walk that needs more stops there and begins again in a thread."""

from __future__ import annotations

from typing import Final

CHARACTERS: Final = 4_096
"""So many characters that nobody has seen yet are looked at on the event loop; more go to a thread."""
COMPUTED: Final = 240
"""The same for characters that a model would have to compute: a fifteenth of a millisecond for ten of them."""


class Exhausted(Exception):
    """More would have to be looked at than is allowed here."""


class Allowance:
    """Characters that may still be looked at. What is charged is looked at only if this does not raise Exhausted."""

    __slots__ = ("_characters", "_computed")

    def __init__(self, characters: int = CHARACTERS, computed: int = COMPUTED) -> None:
        self._characters, self._computed = characters, computed

    def look_at(self, characters: int) -> None:
        """So many characters are new."""
        self._characters -= characters
        if self._characters < 0:
            raise Exhausted

    def compute(self, characters: int) -> None:
        """So many characters of them are to be computed by a model."""
        self._computed -= characters
        if self._computed < 0:
            raise Exhausted
