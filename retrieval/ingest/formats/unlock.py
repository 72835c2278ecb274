"""Opens an encrypted file with its password: what comes out is the same file without one. Only the reading process
imports this.
"""

from __future__ import annotations

import io

import msoffcrypto
import pypdfium2
import pypdfium2.raw as pdfium
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError

from retrieval.errors import Encrypted, UnsupportedFormat

from .kinds import kind_of

WRONG = "The password does not open the file."


def unlocked(content: bytes, password: str) -> bytes:
    """A PDF or an office file without its password; a file that has none comes back as it is. Raises Encrypted for a
    wrong password, UnsupportedFormat for a file that nobody here can open.
    """
    kind = kind_of(content)
    if kind == "pdf":
        return _pdf(content, password)
    return _office(content, password) if kind in ("ole", "zip") else content


def _pdf(content: bytes, password: str) -> bytes:
    try:
        document = pypdfium2.PdfDocument(content, password=password)
    except pypdfium2.PdfiumError as error:
        raise Encrypted(WRONG) from error
    out = io.BytesIO()
    document.save(out, flags=pdfium.FPDF_REMOVE_SECURITY)
    return out.getvalue()


def _office(content: bytes, password: str) -> bytes:
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(content))
        if not file.is_encrypted():
            return content
        file.load_key(password=password, verify_password=True)
        out = io.BytesIO()
        file.decrypt(out)
    except InvalidKeyError as error:
        raise Encrypted(WRONG) from error
    except (FileFormatError, DecryptionError) as error:
        raise UnsupportedFormat("This kind of encryption cannot be opened.") from error
    return out.getvalue()
