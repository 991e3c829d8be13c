"""Whether a file's bytes are text in UTF-8, and in words what they are where they are not."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from rowferry.errors import Refused

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<table", b"<?xml")
_KINDS = (
    (b"\x1f\x8b", "gzip", "it is gzip; name it .csv.gz"),
    (_ZIP, "zip", "it is a zip archive; unpack it and upload the CSV files in it, each under its own name"),
    (_OLE, "excel", "it is an Excel workbook (.xls); save it as CSV UTF-8"),
    (b"%PDF-", "pdf", "it is a PDF document; export the data as CSV"),
    (b"PAR1", "parquet", "it is a Parquet file; write it as CSV"),
    (b"Obj\x01", "avro", "it is an Avro file; write it as CSV"),
    (b"BZh", "bzip2", "it is packed with bzip2; unpack it, or pack it with gzip and name it .csv.gz"),
    (b"\xfd7zXZ\0", "xz", "it is packed with xz; unpack it, or pack it with gzip and name it .csv.gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "it is packed with zstd; unpack it, or pack it with gzip and name it .csv.gz"),
    (b"SQLite format 3\0", "sqlite", "it is an SQLite database; export the table as CSV"),
)


def refuse_other_kinds(head: bytes, unpacked: bool = False) -> None:
    """Looks at a file's first bytes; `unpacked`: they were packed with gzip.

    Raises: Refused where the file is none of text, with its kind's name.
    """
    if unpacked and head.startswith(b"\x1f\x8b"):
        raise Refused("gzip", "it is gzip inside gzip: it was packed twice; unpack it once")
    if (head.startswith(_ZIP) and b"xl/" in head) or (head.startswith(_ZIP) and b"[Content_Types].xml" in head):
        raise Refused("excel", "the file is no CSV: it is an Excel workbook (.xlsx); save it as CSV UTF-8")
    for begin, code, words in _KINDS:
        if head.startswith(begin):
            raise Refused(code, f"the file is no CSV: {words}")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()[:200].lower()
    if text.startswith(_HTML):
        raise Refused("html", "the file is no CSV: it is HTML or XML, perhaps an error page; download the CSV itself")


def checked(fp: BinaryIO, size: int) -> Iterator[bytes]:
    """The file's blocks, known to be UTF-8 without NUL.

    Raises: Refused.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = Place(0, 1, 0)
    while True:
        block = fp.read(size)
        if at.byte == 0:
            _refuse_at_once(block)
        pending = decoder.getstate()[0]
        text = block.partition(b"\0")[0]
        try:
            decoder.decode(text, final=len(text) < len(block) or not block)
        except UnicodeDecodeError as error:
            before = at.behind(block[: max(0, error.start - len(pending))])
            wrong = (pending + block)[error.start : error.start + 4]
            raise _not_utf8(before.byte - max(0, len(pending) - error.start), before, wrong) from None
        if len(text) < len(block):
            where = at.behind(text)
            words = f"line {where.line}, byte {where.byte} is NUL: the file is not text"
            raise Refused("not_text", f"{words}, or it is UTF-16 without a byte order mark; save it as UTF-8")
        if not block:
            return
        yield block
        at = at.behind(block)


@dataclass(frozen=True)
class Place:
    """A byte of a file from 0, the line that it is on from 1, and the byte at which that line begins."""

    byte: int
    line: int
    begin: int

    def behind(self, text: bytes) -> "Place":
        """The place behind a text that begins here."""
        end = text.rfind(b"\n") + 1
        return Place(self.byte + len(text), self.line + text.count(b"\n"), self.byte + end if end else self.begin)


def _refuse_at_once(block: bytes) -> None:
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Refused("not_utf8", "the file is UTF-16 (byte 0 is its byte order mark); save it as UTF-8")
    refuse_other_kinds(block)


def _not_utf8(byte: int, place: Place, wrong: bytes) -> Refused:
    encoding, advice = _looks_like(wrong)
    return Refused(
        "not_utf8",
        f"line {place.line}: byte {byte} of the file, byte {byte - place.begin + 1} of the line, is 0x{wrong[0]:02X},"
        f" which is not UTF-8; it looks like {encoding}. {advice}",
    )


def _looks_like(wrong: bytes) -> tuple[str, str]:
    """What the bytes look like, and what to do about them."""
    if wrong[0] == 0xED and len(wrong) > 1 and 0xA0 <= wrong[1] <= 0xBF:
        return "CESU-8, which Oracle calls UTF8", "Export the file as UTF-8 (Oracle: AL32UTF8)"
    try:
        letter = wrong[:1].decode("cp1252")
        name = "cp1252"
    except UnicodeDecodeError:
        letter, name = "a control character", "latin-1"
    declared = f'declare CsvFormat(encoding="{name}"), or upload it with the S3 metadata rowferry-encoding={name}'
    return f"{name} ({letter})", f"Save the file as UTF-8, or {declared}"
