"""Files of Office 97 to 2003 and of Outlook: a file system in a file."""

from __future__ import annotations

import io

import olefile

from retrieval.errors import TooLarge, Unreadable

#: Bytes of one stream.
MOST_STREAM_BYTES = 200 * 1024 * 1024


class Compound:
    """The streams of such a file. Raises Unreadable and TooLarge."""

    def __init__(self, content: bytes) -> None:
        try:
            self._file = olefile.OleFileIO(io.BytesIO(content))
            self.names = ["/".join(parts) for parts in self._file.listdir(streams=True, storages=False)]
        except Exception as error:
            raise Unreadable from error

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        """A stream; empty if there is none of that name."""
        if name not in self.names:
            return b""
        try:
            if self._file.get_size(name) > MOST_STREAM_BYTES:
                raise TooLarge
            found: bytes = self._file.openstream(name).read()
        except TooLarge:
            raise
        except Exception as error:
            raise Unreadable from error
        return found
