"""The door of the gateway for the management plane: providers and what they may point at."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings

__all__ = ["unsafe_address"]


def unsafe_address(url: str) -> str:
    """Why a tenant's own provider may not point at this address; '' when it may.

    The name is resolved as well; what it resolves to later is checked again when a connection is made.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "It must be an http or https address."
    if parts.hostname in settings.PRIVATE_HOSTS_ALLOWED:
        return ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)}
    except OSError:
        return f"The host {parts.hostname} cannot be found."
    if any(not ip_address(str(address).partition("%")[0]).is_global for address in found):
        return f"The host {parts.hostname} is on a private or local network; the platform's operator may allow it."
    return ""
