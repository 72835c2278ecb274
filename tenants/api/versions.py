"""`ETag` and `If-Match`: which version of an object somebody has seen, so that nobody overwrites what they have not."""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import blake2b
from typing import Any

from rest_framework import exceptions
from rest_framework.utils.encoders import JSONEncoder


class PreconditionFailed(exceptions.APIException):
    """The object is no longer what `If-Match` says: read it again, and decide again."""

    status_code = 412
    default_code = "precondition_failed"
    default_detail = __doc__


def etag(shown: Any, passing: Collection[str] = ()) -> str:
    """The tag of an object as it is shown; `passing` are fields that change by themselves or are shown once."""
    if isinstance(shown, dict):
        shown = {name: value for name, value in shown.items() if name not in passing}
    said = json.dumps(shown, cls=JSONEncoder, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return f'"{blake2b(said, digest_size=16).hexdigest()}"'


def names(header: str, tag: str) -> bool:
    """Whether an `If-Match` or `If-None-Match` names this tag. A proxy that compresses marks a tag as weak (`W/`)."""
    return any(one.strip().removeprefix("W/") in ("*", tag) for one in header.split(","))
