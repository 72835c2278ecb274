"""Zip files, opened with limits: they unpack to at most so much, and a part is read only as far as it may be."""

from __future__ import annotations

import io
import zipfile
import zlib

from retrieval.errors import Encrypted, TooLarge, Unreadable

#: Files in an archive, bytes that one of them may unpack to, and all that are read together.
MOST_FILES = 10_000
MOST_PART_BYTES = 200 * 1024 * 1024
MOST_BYTES = 400 * 1024 * 1024

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)


class Package:
    """A zip file with limits. Raises Unreadable, TooLarge and Encrypted."""

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except _DAMAGE as error:
            raise Unreadable("The file is cut short or damaged: it cannot be unpacked.") from error
        self._known = {info.filename.replace("\\", "/"): info for info in self._zip.infolist()}
        if len(self._zip.infolist()) > MOST_FILES:
            raise TooLarge(f"The archive holds more than {MOST_FILES:,} files.")
        self._left = MOST_BYTES

    @property
    def names(self) -> list[str]:
        """The files in it, in their order, without folders."""
        return [name for name, info in self._known.items() if not info.is_dir()]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def size(self, name: str) -> int:
        """Bytes that a file says it unpacks to."""
        return self._known[name].file_size

    def read(self, name: str, most: int = MOST_PART_BYTES) -> bytes:
        """A file of the archive. What it says of its size is not believed: reading stops at the limit."""
        info = self._known.get(name)
        if info is None:
            raise Unreadable(f"The file is damaged: {name[:80]} is missing in it.")
        if info.flag_bits & 1:
            raise Encrypted
        most = min(most, self._left)
        if info.file_size > most:
            raise TooLarge
        try:
            with self._zip.open(info) as part:
                found = part.read(most + 1)
        except _DAMAGE as error:
            raise Unreadable(f"The file is damaged: {name[:80]} in it cannot be unpacked.") from error
        if len(found) > most:
            raise TooLarge
        self._left -= len(found)
        return found

    def get(self, name: str) -> bytes | None:
        """A file of the archive, or None if there is no such file."""
        return self.read(name) if name in self._known else None
