"""A wire between a client and a real server that can be cut, blocked, or made to swallow answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit


class Proxy:
    """Listens on loopback and forwards to the server of a URL. `async with Proxy(url) as proxy: proxy.url`."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._pairs: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._deaf = False  # answers are swallowed, and the connection ends with the first one
        self._blocked = asyncio.Event()
        self._blocked.set()
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        user = f"{self._target.netloc.rpartition('@')[0]}@" if "@" in self._target.netloc else ""
        return urlunsplit(self._target._replace(netloc=f"{user}127.0.0.1:{self._port}", query=""))

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.away()
        assert self._server is not None
        self._server.close()

    def away(self) -> None:
        """The server is gone: connections break, new ones are refused at once."""
        self._refusing = True
        for writer in list(self._pairs):
            writer.transport.abort()

    def back(self) -> None:
        self._refusing = self._deaf = False
        self._blocked.set()

    def lose_answers(self) -> None:
        """The server does what it is told, but nobody hears of it."""
        self._deaf = True

    def hang(self) -> None:
        """Nothing moves any more, and nothing breaks."""
        self._blocked.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        there_reader, there = await self._connect()
        self._pairs |= {writer, there}
        with suppress(asyncio.CancelledError):  # the test is over
            await asyncio.gather(self._pump(reader, there, back=False), self._pump(there_reader, writer, back=True))
        self._pairs -= {writer, there}

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the server itself, which may listen on a socket file."""
        folder = parse_qs(self._target.query).get("host", [""])[0]
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{self._target.port or 5432}")
        return await asyncio.open_connection(self._target.hostname, self._target.port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._blocked.wait()
                if back and self._deaf:
                    break
                writer.write(data)
                await writer.drain()
        writer.transport.abort() if back and self._deaf else writer.close()
