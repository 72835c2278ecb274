"""Addresses that a tenant gives us to call: never into the house, however the name is resolved later."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from django.conf import settings


def unsafe_address(url: str) -> str:
    """Why a tenant's address may not be called; '' when it may.

    The name is resolved as well; what it resolves to later is checked again when a connection is made.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "It must be an http or https address."
    if parts.hostname in settings.PRIVATE_HOSTS_ALLOWED:
        return ""
    try:
        found = _resolved(parts.hostname, parts.port or 443)
    except OSError:
        return f"The host {parts.hostname} cannot be found."
    if any(not _is_public(address) for address in found):
        return f"The host {parts.hostname} is on a private or local network; the platform's operator may allow it."
    return ""


def insecure(url: str) -> bool:
    """Whether somebody on the way could write what comes from an address. Hosts that the operator allows may do so."""
    parts = urlsplit(url)
    return parts.scheme != "https" and parts.hostname not in settings.PRIVATE_HOSTS_ALLOWED


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
    """POSTs to a tenant's address, connecting to a public address of its host and no other, and follows nothing.

    Returns the status. Raises OSError (of which an address inside of the house is one) or HTTPException.
    """
    with _asked(url, "POST", body, headers, timeout) as response:
        return response.status


def get(url: str, timeout: float, most: int) -> bytes:
    """GETs a tenant's address as `post` does: at most `most` bytes, all of them within `timeout` seconds.

    Raises OSError or HTTPException, for any status but 200, a larger body and a plain http address as well: what comes
    from there is believed, so that nobody on the way may write it. Hosts that the operator allows may do without.
    """
    status, found = _fetched(url, "GET", None, {"Accept": "application/json"}, timeout, most)
    if status != 200:
        raise OSError(f"it answered {status}")
    return found


def post_form(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str], timeout: float, most: int
) -> tuple[int, bytes]:
    """POSTs a form as `get` gets: the status, whatever it is, and what was answered."""
    sent = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", **headers}
    return _fetched(url, "POST", urlencode(fields).encode(), sent, timeout, most)


def _fetched(
    url: str, method: str, body: bytes | None, headers: dict[str, str], timeout: float, most: int
) -> tuple[int, bytes]:
    if insecure(url):
        raise OSError("it is not an https address")
    until, found = time.monotonic() + timeout, b""
    with _asked(url, method, body, headers, timeout) as response:
        while block := response.read1(65536):
            found += block
            if len(found) > most:
                raise OSError(f"it answered more than {most} bytes")
            if time.monotonic() > until:
                raise TimeoutError("it took too long")
        return response.status, found


@contextmanager
def _asked(
    url: str, method: str, body: bytes | None, headers: dict[str, str], timeout: float
) -> Iterator[http.client.HTTPResponse]:
    """The answer of a tenant's address."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    connection = http.client.HTTPConnection(host, parts.port or (443 if secure else 80), timeout=timeout)
    try:
        connected = socket.create_connection((_public(host, connection.port), connection.port), timeout)
        connection.sock = (
            ssl.create_default_context().wrap_socket(connected, server_hostname=host) if secure else connected
        )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"Host": parts.netloc.rpartition("@")[2], **headers})
        yield connection.getresponse()
    finally:
        connection.close()


def _public(host: str, port: int) -> str:
    """One address of a host. Raises OSError when it may not be called."""
    found = _resolved(host, port)
    if host not in settings.PRIVATE_HOSTS_ALLOWED and not all(_is_public(address) for address in found):
        raise OSError("the host is on a private or local network")
    return found[0]


def _resolved(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_public(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_global
