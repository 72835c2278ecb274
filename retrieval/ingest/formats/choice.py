"""Which reader reads a file. Only the reading process imports this, for the readers' libraries are large."""

from __future__ import annotations

from collections.abc import Callable

from retrieval.errors import Encrypted, NoText, Unreadable, UnsupportedFormat

from . import (
    archive,
    book,
    code,
    data,
    legacy,
    mail,
    markdown,
    opendocument,
    outlook,
    pdf,
    picture,
    plain,
    rich,
    sheets,
    slides,
    tables,
    web,
    word,
)
from .draft import Draft
from .kinds import kind_of, suffix_of
from .ole import Compound
from .packed import Package

Reader = Callable[[bytes, Draft], None]

_READERS: dict[str, Reader] = {
    "text": plain.read,
    "markdown": markdown.read,
    "pdf": pdf.read,
    "rtf": rich.read,
    "html": web.read,
    "csv": tables.read,
    "json": data.read,
    "xml": data.read_xml,
    "mail": mail.read,
    "mailbox": mail.read_box,
    "picture": picture.read,
}
#: What the first folder of an office file says.
_OFFICE: dict[str, Reader] = {"word": word.read, "ppt": slides.read, "xl": sheets.read}
#: What the entry "mimetype" of a file says, up to templates and versions.
_DECLARED: dict[str, Reader] = {
    "application/vnd.oasis.opendocument.text": opendocument.read,
    "application/vnd.oasis.opendocument.spreadsheet": opendocument.read,
    "application/vnd.oasis.opendocument.presentation": opendocument.read,
    "application/epub+zip": book.read,
}
_STREAMS: tuple[tuple[str, Reader], ...] = (
    ("WordDocument", legacy.read_doc),
    ("Workbook", sheets.read_old),
    ("Book", sheets.read_old),
    ("PowerPoint Document", legacy.read_ppt),
    ("__properties_version1.0", outlook.read),
)
READ = (
    "PDF, Word, PowerPoint, Excel, OpenDocument, RTF, EPUB, HTML, Markdown, text, code, CSV, JSON, XML, mails, "
    "pictures and ZIP files of these can be"
)


def read(content: bytes, filename: str, mime: str, draft: Draft) -> None:
    """Writes a file of any kind on the draft. Raises IngestError."""
    before = draft.length
    kind = kind_of(content, filename, mime)
    if kind == "code":
        code.read(content, draft, suffix_of(filename))
    else:
        _reader(kind, content, filename)(content, draft)
    if draft.length == before:
        raise NoText("The document is empty.") if kind in ("text", "markdown", "csv", "json") else NoText()


def _reader(kind: str, content: bytes, filename: str) -> Reader:
    if kind == "zip":
        return _packed(content)
    if kind == "ole":
        return _compound(content)
    found = _READERS.get(kind)
    if found is None:
        raise UnsupportedFormat(f"Files of the format {kind.partition(':')[2]} cannot be read. {READ}.")
    return found


def _packed(content: bytes) -> Reader:
    package = Package(content)
    declared = (package.get("mimetype") or b"")[:200].decode("ascii", "replace").strip()
    for begin, reader in _DECLARED.items():
        if declared.startswith(begin):
            return reader
    if "META-INF/container.xml" in package:
        return book.read
    if "[Content_Types].xml" in package or "_rels/.rels" in package:
        return _office(package)
    if "content.xml" in package and "META-INF/manifest.xml" in package:
        return opendocument.read
    return archive.read


def _office(package: Package) -> Reader:
    folders = {name.split("/")[0] for name in package.names}
    if "xl/workbook.bin" in package:
        raise UnsupportedFormat("Binary workbooks (XLSB) cannot be read; save the file as XLSX.")
    for folder, reader in _OFFICE.items():
        if folder in folders:
            return reader
    raise Unreadable("The office file is damaged: it holds no document.")


def _compound(content: bytes) -> Reader:
    file = Compound(content)
    if "EncryptedPackage" in file or "EncryptionInfo" in file:
        raise Encrypted
    for stream, reader in _STREAMS:
        if stream in file:
            return reader
    raise UnsupportedFormat(f"This kind of older office file cannot be read. {READ}.")
