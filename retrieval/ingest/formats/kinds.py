"""The kind of a file: by its content where that tells, then by its suffix, then as it was declared."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from .code import LANGUAGES

#: First bytes -> kind.
_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF87a", "picture"),
    (b"GIF89a", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
)
#: First bytes of what is known, and not read -> its name.
_FOREIGN = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x7fELF", "ELF program"),
    (b"MZ\x90\0", "Windows program"),
    (b"SQLite format 3\0", "SQLite"),
    (b"ID3", "MP3"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"\0asm", "WebAssembly"),
    (b"%!PS", "PostScript"),
    (b"wOFF", "font"),
    (b"\0\x01\0\0\0", "font"),
)
#: Suffix -> kind, of files whose content does not tell.
_SUFFIXES = {
    **dict.fromkeys((".txt", ".text", ".log", ".rst", ".tex", ".adoc", ".org", ".srt", ".vtt", ".ics", ".vcf"), "text"),
    **dict.fromkeys((".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".env"), "text"),
    **dict.fromkeys((".md", ".markdown", ".mdx"), "markdown"),
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv"), "csv"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson", ".geojson", ".ipynb", ".webmanifest"), "json"),
    **dict.fromkeys((".xml", ".rss", ".atom", ".xsd", ".xliff", ".xlf", ".svg", ".kml"), "xml"),
    **dict.fromkeys((".html", ".htm", ".xhtml", ".shtml"), "html"),
    **dict.fromkeys((".eml", ".email"), "mail"),
    **dict.fromkeys((".mbox", ".mbx"), "mailbox"),
    **dict.fromkeys(LANGUAGES, "code"),
}
#: Declared type -> kind, where neither content nor suffix tells.
_TYPES = {
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "message/rfc822": "mail",
    "application/mbox": "mailbox",
    "text/x-python": "code",
}
_PAGE = re.compile(
    rb"\s*(?:<!--.{0,2000}?-->\s*)*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_XML = re.compile(rb"\s*<\?xml\s")
_HEADER = re.compile(
    rb"(?:From|To|Subject|Date|Received|Return-Path|Delivered-To|Message-ID|MIME-Version|Reply-To|Content-Type|X-[\w-]{1,40}"
    rb"|DKIM-Signature|Authentication-Results|Thread-Topic): ?",
    re.IGNORECASE,
)
_MAILBOX = re.compile(rb"From \S+ [^\n]{10,60}\d{4}\s*\n(?:[\w-]+:|>?From )")
#: Bytes that are looked at; mails begin with so many headers at least.
SAMPLE, LEAST_HEADERS = 4096, 3


def kind_of(content: bytes, filename: str = "", mime: str = "") -> str:
    """A kind that `choice` has a reader for, or the name of one that nobody reads, after "foreign:"."""
    found = _by_signature(content)
    if found:
        return found
    suffix = suffix_of(filename)
    by_suffix = _SUFFIXES.get(suffix, "")
    if by_suffix in ("", "text", "csv", "json"):
        seen = _by_look(content)
        if seen and (by_suffix == "" or seen != "mail"):
            return seen
    return by_suffix or _TYPES.get(mime.split(";")[0].strip().lower(), "") or "text"


def suffix_of(filename: str) -> str:
    """The suffix in small letters, with its dot."""
    name = PurePosixPath(filename.replace("\\", "/")).name.lower()
    return ".dockerfile" if name == "dockerfile" else PurePosixPath(name).suffix


def _by_signature(content: bytes) -> str:
    if b"%PDF-" in content[:1024]:
        return "pdf"
    for begin, kind in _SIGNATURES:
        if content.startswith(begin):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "picture"
    if content.startswith(b"BM") and content[6:10] == bytes(4):
        return "picture"
    if content[4:8] == b"ftyp":
        return "foreign:MP4 or HEIC"
    return next((f"foreign:{name}" for begin, name in _FOREIGN if content.startswith(begin)), "")


def _by_look(content: bytes) -> str:
    """What a text says of itself in its first lines."""
    sample = content[:SAMPLE].replace(b"\0", b"")
    sample = sample.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    if sample.startswith(b"{\\rtf"):
        return "rtf"
    if _PAGE.match(sample):
        return "html"
    if _XML.match(sample):
        return "xml"
    if _MAILBOX.match(sample):
        return "mailbox"
    return "mail" if _is_mail(sample) else ""


def _is_mail(sample: bytes) -> bool:
    count = 0
    for line in sample.lstrip().replace(b"\r\n", b"\n").split(b"\n"):
        if _HEADER.match(line):
            count += 1
        elif not line.startswith((b" ", b"\t")):
            break
    return count >= LEAST_HEADERS
