"""What can go wrong with personal data. The docstring is the message; no message ever holds a value that was found.

PiiError
 ├── PiiRulesError       the policy document's `pii` part has no meaning; the message names the place
 ├── PiiRefused          the request must not pass as it is
 │    ├── Blocked            a type whose action is `block` was found (`.types`)
 │    ├── MediaRefused       an image, audio or file part, which the rules do not allow (`.media`)
 │    ├── TextTooLarge       more text than may be inspected
 │    └── TooDeep            nested deeper than is inspected
 ├── DetectorFailed      a detector broke down or ran out of time: nothing may pass
 └── VaultError          a sealed vault cannot be opened, or is not one
"""

from __future__ import annotations

from collections.abc import Iterable

from policies.errors import PoliciesError, RulesError


class PiiError(PoliciesError):
    """Something about personal data."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class PiiRulesError(PiiError, RulesError):
    """The rules for personal data cannot be read."""


class PiiRefused(PiiError):
    """The request must not pass as it is."""


class Blocked(PiiRefused):
    """The request holds personal data of a kind that the policy blocks."""

    def __init__(self, types: Iterable[str]) -> None:
        self.types = tuple(sorted(set(types)))
        super().__init__(f"The policy blocks personal data of type {', '.join(self.types)}.")


class MediaRefused(PiiRefused):
    """The policy allows no images, audio or files: they cannot be inspected for personal data."""

    def __init__(self, media: str) -> None:
        self.media = media
        super().__init__(f"The policy allows no {media} content: it cannot be inspected for personal data.")


class TextTooLarge(PiiRefused):
    """The text is larger than what is inspected for personal data."""

    def __init__(self, length: int, limit: int) -> None:
        self.length, self.limit = length, limit
        super().__init__(f"The text has {length} characters; at most {limit} are inspected for personal data.")


class TooDeep(PiiRefused):
    """The request is nested deeper than what is inspected for personal data."""


class DetectorFailed(PiiError):
    """The detection of personal data failed, so nothing may pass."""


class VaultError(PiiError):
    """The vault cannot be opened with this key and purpose."""
