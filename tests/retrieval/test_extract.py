"""Files to text, and files that must not get the better of a worker."""

from __future__ import annotations

import time
import zlib

import pytest

from retrieval.errors import Encrypted, NoText, TooLarge, Unreadable
from retrieval.ingest import reading
from retrieval.ingest.extract import extract


def pdf(*pages: bytes, filters: str = "", extra: str = "") -> bytes:
    """A PDF whose pages have these content streams."""
    kids = " ".join(f"{number * 2 + 4} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {extra} >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F 3 0 R >> >> "
            f"/Contents {number * 2 + 5} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters.encode(), content))
    body, places = b"%PDF-1.7\n", []
    for number, written in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, written)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return body + end % (len(objects) + 1, table, len(objects) + 1, len(body))


def said(text: str) -> bytes:
    return f"BT /F 12 Tf 50 700 Td ({text}) Tj ET".encode()


def test_a_pdf_has_pages():
    found = extract(pdf(said("The first page."), said("The second page.")), "a.pdf")
    assert found.text == "The first page.\n\nThe second page."
    assert (found.pages, found.page_count) == (((0, 1), (17, 2)), 2)


def test_a_pdf_is_known_by_its_first_bytes_whatever_it_is_called():
    assert extract(pdf(said("Here.")), "a.txt").page_count == 1


def test_a_pdf_that_unpacks_to_too_much_ends_in_an_error():
    squeezer = zlib.compressobj()
    once = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(512)) + squeezer.flush()
    bomb = pdf(zlib.compress(once), filters="/Filter [/FlateDecode /FlateDecode]")
    assert len(bomb) < 100_000
    with pytest.raises((TooLarge, Unreadable, NoText)):
        extract(bomb, "bomb.pdf")


def verbose(times: int) -> bytes:
    """A small PDF with very much to do."""
    return pdf(zlib.compress(b"BT /F 12 Tf " + b"(a) Tj 0 1 Td " * times), filters="/Filter /FlateDecode")


def test_a_pdf_that_takes_for_ever_is_stopped(monkeypatch):
    monkeypatch.setattr(reading, "SECONDS", 1)
    begun = time.monotonic()
    with pytest.raises(TooLarge, match="1 seconds"):
        extract(verbose(3_000_000), "slow.pdf")
    assert time.monotonic() - begun < 10


def test_a_pdf_that_wants_more_memory_than_it_may_have_ends_in_an_error(monkeypatch):
    monkeypatch.setattr(reading, "MEMORY", 60 * 1024 * 1024)
    with pytest.raises((TooLarge, Unreadable)):
        extract(verbose(1_000_000), "fat.pdf")


def test_pages_that_contain_themselves_end_in_an_error():
    looped = pdf(said("x")).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")
    with pytest.raises((Unreadable, TooLarge, NoText)):
        extract(looped, "loop.pdf")


def test_an_encrypted_pdf_says_so():
    import io

    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(io.BytesIO(pdf(said("Secret.")))))
    writer.encrypt("open sesame", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(Encrypted):
        extract(out.getvalue(), "a.pdf")


def test_a_pdf_of_pictures_has_no_text():
    with pytest.raises(NoText):
        extract(pdf(b"q Q"), "scan.pdf")


@pytest.mark.parametrize("content", [b"%PDF-", b"%PDF-1.7\n%%EOF", pdf(said("x"))[:200]])
def test_a_damaged_pdf_is_unreadable(content):
    with pytest.raises(Unreadable):
        extract(content, "a.pdf")


@pytest.mark.parametrize(
    "content",
    ["Grüße".encode(), b"\xef\xbb\xbf" + "Grüße".encode(), "Grüße".encode("utf-16"), "Grüße".encode("cp1252")],
)
def test_text_is_read_in_the_usual_encodings(content):
    assert extract(content, "a.txt").text == "Grüße"


def test_text_is_made_fit_for_the_database():
    text = "a\0b\r\nc\x07 e\u0301" + " and so on" * 9
    assert extract(text.encode(), "a.txt").text == "ab\nc é" + " and so on" * 9


def test_a_binary_file_is_no_text():
    with pytest.raises(Unreadable):
        extract(bytes(range(256)) * 10, "a.txt")


def test_headings_are_paths_and_code_has_none():
    text = "# One\n\nText.\n\n## Two\n\n```\n# no heading\n```\n\n# Three #\n"
    sections = extract(text.encode(), "a.md").sections
    assert [name for _, name in sections] == ["One", "One › Two", "Three"]
    assert [text[place] for place, _ in sections] == ["#"] * 3


@pytest.mark.parametrize("content", [b"", b"  \n\t ", b"---"])
def test_an_empty_document_says_so(content):
    with pytest.raises(NoText, match="empty"):
        extract(content, "a.txt")
