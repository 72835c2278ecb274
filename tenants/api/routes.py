"""Routes with and without a trailing slash, without a redirect."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter


def router() -> SimpleRouter:
    """A router for the views of one app."""
    made = SimpleRouter()
    made.trailing_slash = "/?"
    return made
