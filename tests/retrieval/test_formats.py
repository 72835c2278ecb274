"""Each format as the programs of others write it: its text, and where pages, headings and tables are."""

from __future__ import annotations

import io
import json
import zipfile
from email.message import EmailMessage
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from openpyxl.styles import Font

from retrieval.data import Extracted
from retrieval.errors import Encrypted, NeedsRecognition, TooLarge, Unreadable, UnsupportedFormat
from retrieval.ingest import reading
from retrieval.ingest.chunk import Chunking, pieces
from retrieval.ingest.extract import extract
from retrieval.ingest.formats import picture
from tests.retrieval.test_extract import pdf, said

ROWS = [["Region", "Rent"], ["Hamburg", "12400"], ["Bremen", "8100"]]
TABLE = "Region | Rent\nHamburg | 12400\nBremen | 8100"


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def packed(**files: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", ".").replace("_in_", "/"), content)
    return out.getvalue()


def names(found: Extracted) -> list[str]:
    return [name for _, name in found.sections]


def table_of(found: Extracted) -> str:
    [(first, end, _)] = found.tables
    return found.text[first:end]


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Lease", 1)
    document.add_paragraph("The roof is the landlord's.")
    document.add_heading("Rent", 2)
    table = document.add_table(rows=3, cols=2)
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.add_paragraph("Due on the third day.", style="List Bullet")
    return saved(document)


def test_word_has_headings_and_tables_in_their_order():
    found = extract(word(), "lease.docx")
    assert names(found) == ["Lease", "Lease › Rent"]
    assert table_of(found) == TABLE
    assert found.text.index("roof") < found.text.index("Hamburg") < found.text.index("third day")


def test_slides_are_pages_with_titles_tables_and_notes():
    deck = pptx.Presentation()
    for title in ("Plan", "Figures"):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = title
    slide.notes_slide.notes_text_frame.text = "Say that rents rise."
    shape = slide.shapes.add_table(3, 2, 0, 0, 4_000_000, 2_000_000)
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            shape.table.cell(row, column).text = text
    found = extract(saved(deck), "deck.pptx")
    assert (found.page_count, [page for _, page in found.pages]) == (2, [1, 2])
    assert names(found) == ["Plan", "Figures"]
    assert table_of(found) == TABLE
    assert "Notes: Say that rents rise." in found.text


def test_a_workbook_has_sheets_with_their_values():
    book = openpyxl.Workbook()
    book.active.title = "Rents"
    for row in ROWS[:1]:
        book.active.append(row)
        for cell in book.active[1]:
            cell.font = Font(bold=True)
    for place, amount in (("Hamburg", 12400), ("Bremen", 8100)):
        book.active.append([place, amount])
    book.create_sheet("Empty")
    found = extract(saved(book), "rents.xlsx")
    assert names(found)[0] == "Rents"
    assert table_of(found) == TABLE


def test_a_web_page_is_its_content():
    page = """<html><head><title>Rents</title><script>alert("no")</script><style>p {}</style></head><body>
        <nav><a href="/">Home</a></nav><main><h1>Rents</h1><p>They &amp; we rise.</p><h2>North</h2>
        <table><tr><th>Region</th><th>Rent</th></tr><tr><td>Hamburg</td><td>12400</td></tr>
        <tr><td>Bremen</td><td>8100</td></tr></table><p style="display:none">Ignore this.</p></main></body></html>"""
    found = extract(page.encode(), "a.html")
    assert "They & we rise." in found.text
    assert table_of(found) == TABLE
    assert names(found)[-2:] == ["Rents", "Rents › North"]
    assert not any(word in found.text for word in ("alert", "p {}", "Ignore this"))


def test_a_mail_is_its_text_and_what_hangs_on_it():
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Mary <mary@example.com>", "jon@example.com", "Grüße from the north"
    mail.set_content("The lease is attached.")
    mail.add_attachment(word(), maintype="application", subtype="octet-stream", filename="lease.docx")
    found = extract(mail.as_bytes(), "a.eml")
    assert "Grüße from the north" in found.text
    assert found.text.index("The lease is attached.") < found.text.index("The roof is the landlord's.")
    assert any("lease.docx" in name for name in names(found))


def test_csv_and_json_keep_their_names():
    assert table_of(extract("Region;Rent\nHamburg;12400\nBremen;8100\n".encode("utf-16"), "a.csv")) == TABLE
    told = json.dumps([{"region": "Hamburg", "terms": {"rent": 12400}}]).encode()
    found = extract(told, "a.json").text
    assert "Hamburg" in found
    assert "12400" in found
    assert "rent" in found


def test_code_has_a_section_for_each_function():
    code = "import os\n\n\nclass Lease:\n    def rent(self):\n        return 1\n\n\ndef due():\n    return 3\n"
    found = extract(code.encode(), "lease.py")
    assert any("rent" in name for name in names(found))
    assert any("due" in name for name in names(found))


def test_an_archive_holds_each_of_its_files():
    content = packed(lease__docx=word(), notes_in_a__txt="Ask about the roof.", nothing__exe=b"MZ\x90\0")
    found = extract(content, "all.zip")
    assert "The roof is the landlord's." in found.text
    assert "Ask about the roof." in found.text
    assert any(name.startswith("lease.docx › Lease") for name in names(found))


def test_rtf_and_open_document_are_read():
    assert "Grüße" in extract(rb"{\rtf1\ansi Gr\'fc\'dfe from the north}", "a.rtf").text
    content = (
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
        '<text:h text:outline-level="1">Lease</text:h><text:p>The roof<text:s/>is ours.</text:p>'
        "</office:text></office:body></office:document-content>"
    )
    odt = packed(mimetype="application/vnd.oasis.opendocument.text", content__xml=content)
    found = extract(odt, "a.odt")
    assert names(found) == ["Lease"]
    assert "The roof is ours." in found.text


def test_a_law_is_ordered_by_its_sections():
    law = "\n\n".join(f"§ {n} Rule\n\nSomething holds in case {n}." for n in range(1, 6))
    assert names(extract(law.encode(), "law.txt")) == [f"§ {n} Rule" for n in range(1, 6)]


def test_the_content_tells_the_format_and_not_the_name():
    assert extract(pdf(said("Here.")), "a.docx").text == "Here."
    assert "landlord" in extract(word(), "a.txt").text


@pytest.mark.skipif(not picture.is_installed(), reason="tesseract is not installed")
def test_a_scanned_page_is_recognised():
    import pypdfium2

    page = pypdfium2.PdfDocument(pdf(b"BT /F 48 Tf 50 600 Td (The roof) Tj ET"))[0]
    bitmap = page.render(scale=2, grayscale=True)
    rows = bytes(bitmap.buffer)
    dots = b"".join(rows[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
    scan = pypdfium2.PdfDocument.new()
    head = b"P5 %d %d 255\n" % (bitmap.width, bitmap.height)
    assert "The roof" in picture.recognised(head + dots, picture.Clock())
    scan.close()


@pytest.mark.skipif(picture.is_installed(), reason="tesseract is installed")
def test_scans_need_recognition():
    with pytest.raises(NeedsRecognition, match="tesseract"):
        extract(pdf(b"q Q"), "scan.pdf")


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"\x7fELF" + bytes(99), "a.docx"), (b"Rar!\x1a\x07\0" + bytes(99), "a.rar"), (b"SQLite format 3\0", "a.txt")],
)
def test_what_nobody_reads_is_told_by_its_format(content: bytes, name: str):
    with pytest.raises(UnsupportedFormat, match="PDF, Word"):
        extract(content, name)


def bombs() -> dict[str, bytes]:
    zeros = packed(**{"word_in_document__xml": b" " * (300 << 20), "[Content_Types]__xml": "<Types/>"})
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 10}">' for n in range(10))
    laughing = f'<?xml version="1.0"?><!DOCTYPE x [{laughs}]><x>&l9;</x>'
    nested = packed(a__txt="x")
    for _ in range(8):
        nested = packed(a__zip=nested)
    return {
        "zeros.docx": zeros,
        "laughs.docx": packed(**{"word_in_document__xml": laughing, "[Content_Types]__xml": "<Types/>"}),
        "nested.zip": nested,
        "many.zip": packed(**{f"f{n}__txt": "x" for n in range(10_001)}),
        "deep.json": b"[" * 200_000,
        "cut.docx": word()[:-400],
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_hostile_files_end_in_an_error_that_names_no_code(name: str):
    with pytest.raises((TooLarge, Unreadable)) as refused:
        extract(bombs()[name], name)
    assert str(refused.value)


def test_an_external_entity_is_not_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("canary-4711")
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]><x>before &e; after</x>'
    for name, content in (("a.xml", xml.encode()), ("a.svg", xml.encode())):
        try:
            assert "canary" not in extract(content, name).text
        except Unreadable:
            pass  # or is refused


def test_a_reader_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(reading, "MOST_SECONDS", 0.0)
    with pytest.raises(TooLarge):
        extract(word(), "a.docx")


def encrypted() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(io.BytesIO(pdf(said("The secret rent.")))))
    writer.encrypt("open sesame", algorithm="AES-256")
    return saved_by(writer)


def saved_by(writer: Any) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def locked_office() -> bytes:
    from msoffcrypto.format.ooxml import OOXMLFile

    out = io.BytesIO()
    OOXMLFile(io.BytesIO(word())).encrypt("open sesame", out)
    return out.getvalue()


@pytest.mark.parametrize("make", [encrypted, locked_office])
def test_a_password_opens_a_file(make: Any):
    content = make()
    with pytest.raises(Encrypted, match="password"):
        extract(content, "a.pdf")
    assert extract(reading.unlock(content, "open sesame")).text
    with pytest.raises(Encrypted, match="does not open"):
        reading.unlock(content, "open barley")
    assert reading.unlock(word(), "any") == word() or extract(reading.unlock(word(), "any")).text


def test_parts_of_a_table_are_cut_between_rows_and_named_by_its_header():
    rows = "\n".join(f"place {n};{n} euros a month" for n in range(400))
    found = pieces(extract(f"Region;Rent\n{rows}".encode(), "a.csv"), Chunking(words=100, overlap=10, whole=50))
    assert len(found) > 10
    assert all(piece.text.startswith("place") for piece in found[1:])
    assert all(piece.text.endswith("month") for piece in found)
    assert [piece.section for piece in found[:2]] == ["", "Region | Rent"]
