"""Pictures of text, read by tesseract where it is installed, in the languages that are installed with it."""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import cache

from retrieval.errors import NeedsRecognition, TooLarge, Unreadable

from .draft import Draft

#: Where tesseract is looked for: the reading process knows nothing of its parent's environment.
PLACES = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
#: Seconds for one picture, for all of a document, and pictures of one document.
PICTURE_SECONDS, DOCUMENT_SECONDS, MOST_PICTURES = 120, 1_200, 500
#: More languages cost time and mistakes.
MOST_LANGUAGES = 4
#: Neither a language nor a script that texts are written in.
_NO_LANGUAGE = {"osd", "equ", "snum"}


def read(content: bytes, draft: Draft) -> None:
    """Writes what stands on a picture; a file may hold several."""
    pages = recognised(content, Clock()).split("\f")
    for number, text in enumerate(pages, start=1):
        if len(pages) > 2:
            draft.page(number)
        draft.paragraph(joined(text))
    draft.page_count = max(len(pages) - 1, 1)


class Clock:
    """The time that a document's pictures may take together."""

    def __init__(self, seconds: float = DOCUMENT_SECONDS) -> None:
        self._end = time.monotonic() + seconds
        self._pictures = 0

    def next(self) -> float:
        """Seconds for one more picture. Raises TooLarge when there have been enough."""
        self._pictures += 1
        left = self._end - time.monotonic()
        if left <= 0 or self._pictures > MOST_PICTURES:
            raise TooLarge("The file has more scanned pages than can be read; split it into parts.")
        return min(left, PICTURE_SECONDS)


def is_installed() -> bool:
    """Whether there is a tesseract."""
    return _program() is not None


def recognised(picture: bytes, clock: Clock) -> str:
    """The text on a picture (PNG, JPEG, TIFF, BMP, GIF, PNM, WebP). Raises NeedsRecognition, TooLarge, Unreadable."""
    program = _program()
    if program is None:
        raise NeedsRecognition
    seconds = clock.next()
    command = [program, "-", "-", "-l", _languages(program)]
    try:
        done = _run(command, picture, seconds)
    except subprocess.TimeoutExpired as error:
        raise TooLarge(f"A picture took longer than {seconds:.0f} seconds to read.") from error
    if done.returncode < 0:
        raise TooLarge("A picture is too large to be read.")
    if done.returncode:
        raise Unreadable("The picture is damaged, or of a kind that cannot be read.")
    return done.stdout.decode("utf-8", "replace")


def joined(text: str) -> str:
    """A recognised text whose words are no longer cut by line ends."""
    return text.replace("\f", "").replace("-\n", "") if "-\n" in text else text.replace("\f", "")


@cache
def _program() -> str | None:
    return shutil.which("tesseract", path=PLACES)


@cache
def _languages(program: str) -> str:
    listed = _run([program, "--list-langs"], b"", PICTURE_SECONDS).stdout.decode("utf-8", "replace").split("\n")[1:]
    found = [name.strip() for name in listed if name.strip() and "/" not in name]
    spoken = sorted((name for name in found if name not in _NO_LANGUAGE), key=lambda name: (name != "eng", name))
    return "+".join(spoken[:MOST_LANGUAGES]) or "eng"


def _run(command: list[str], said: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603  the program is tesseract; the picture goes to its standard input
        command,
        input=said,
        capture_output=True,
        timeout=seconds,
        check=False,
        env={"OMP_THREAD_LIMIT": "1", "LC_ALL": "C"},
    )
