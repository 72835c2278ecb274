"""Mails (EML, MBOX): the headers a reader sees, the best of the bodies, and what is attached."""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from collections.abc import Iterator
from email.message import Message

from . import letters, web
from .draft import Draft

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
#: Messages of one mailbox, and parts of one message.
MOST_PARTS = 2_000
_SEPARATOR = re.compile(rb"^From [^\n]*\d{4}\s*$", re.MULTILINE)


def read(content: bytes, draft: Draft) -> None:
    """Writes a mail on the draft."""
    # headers are ASCII: a mail that was saved in another encoding is turned back first
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in content[:40]:
        content = (letters.unicode(content) or "").encode("utf-8")
    elif content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    _message(email.message_from_bytes(content.lstrip(), policy=email.policy.compat32), draft)


def read_box(content: bytes, draft: Draft) -> None:
    """Writes the mails of a mailbox on the draft, each a section."""
    for part in _SEPARATOR.split(content):
        if part.strip():
            message = email.message_from_bytes(part.lstrip(), policy=email.policy.compat32)
            with draft.within(_header(message, "Subject") or "Mail"):
                _message(message, draft)


def _message(message: Message, draft: Draft) -> None:
    said = [f"{name}: {_header(message, name)}" for name in _HEADERS if _header(message, name)]
    draft.paragraph("\n".join(said))
    leaves = list(_leaves(message))
    body = _body(leaves)
    for part in leaves:
        if part is body:
            _write_body(part, draft)
    for part in leaves:
        if part is not body and _is_attached(part):
            _attachment(part, draft)


def _leaves(message: Message) -> Iterator[Message]:
    """The parts of a message that hold something; a forwarded mail counts as one."""
    waiting, count = [message], 0
    while waiting and count < MOST_PARTS:
        part = waiting.pop()
        count += 1
        if part.get_content_type() == "message/rfc822" or not part.is_multipart():
            yield part
        else:
            parts = part.get_payload()
            waiting += [one for one in reversed(list(parts)) if isinstance(one, Message)]


def _body(leaves: list[Message]) -> Message | None:
    """The plain text if it says something, else the page, else whatever comes first."""
    shown = [part for part in leaves if not _is_named(part)]
    for kind in ("text/plain", "text/html"):
        for part in shown:
            if part.get_content_type() == kind and _text(part).strip():
                return part
    return next((part for part in shown if part.get_content_maintype() == "text"), None)


def _is_named(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _is_attached(part: Message) -> bool:
    """A file, a forwarded mail, or a further text; the same text in another form is none."""
    return part.get_content_type() == "message/rfc822" or _is_named(part)


def _write_body(part: Message, draft: Draft) -> None:
    if part.get_content_type() == "text/html":
        web.write(_text(part), draft)
    else:
        draft.paragraph(_text(part))


def _attachment(part: Message, draft: Draft) -> None:
    inner = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(inner, list) and inner:
        forwarded = inner[0]
        if isinstance(forwarded, Message):
            draft.embed(forwarded.as_bytes(), _header(forwarded, "Subject") or "Forwarded mail", "message/rfc822")
        return
    name = _decoded(part.get_filename() or "") or "attachment"
    draft.paragraph(f"Attachment: {name}")
    content = _bytes(part)
    if content.strip() and part.get_content_maintype() not in ("image", "audio", "video"):
        draft.embed(content, name, part.get_content_type())


def _bytes(part: Message) -> bytes:
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _text(part: Message) -> str:
    said = part.get_content_charset("")
    return letters.decoded(_bytes(part), said if isinstance(said, str) else "")


def _header(message: Message, name: str) -> str:
    return letters.one_line(_decoded(str(message.get(name, ""))))


def _decoded(said: str) -> str:
    """A header in its letters; what was encoded wrongly stays as it was."""
    try:
        found = str(email.header.make_header(email.header.decode_header(said)))
    except (LookupError, ValueError, UnicodeError):
        return said
    return found
