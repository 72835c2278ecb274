"""The door of the gateway for the management plane: providers and what they may point at."""

from __future__ import annotations

from tenants.addresses import unsafe_address

__all__ = ["unsafe_address"]
