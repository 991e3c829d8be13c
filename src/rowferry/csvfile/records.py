"""CSV text into records that know their line: RFC 4180, strictly, nothing repaired on the way.

A record ends at a line feed outside quotes; a carriage return before it belongs to the line's end. Lines without a
character and records of empty fields only are not records; a byte order mark at a record's beginning is none of its
text. `split` cuts files by the same rules, so that a chunk always holds whole records.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rowferry.csvfile.quoting import Quoting, blank_before_quote, quoted_fields
from rowferry.errors import BadRequest

CHUNK_RECORDS = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
MARK = "\ufeff"

csv.field_size_limit(CHUNK_BYTES)  # csv's own limit of 128 KiB is below what a message about a long field needs


@dataclass(frozen=True, slots=True)
class Record:
    """One record: the line it begins on (from 1), its fields, and `raw`, its text without the line's end.

    `fields` is None where the quoting is broken and the fields can't be told; `broken` says why.
    """

    line: int
    fields: list[str] | None
    raw: str
    broken: str = ""


BEHIND_QUOTE = "the quoting is broken: text stands behind a closing quote"
BEFORE_QUOTE = "the quoting is in doubt: a blank stands before a quote that would open a field; remove the blank"


def records(text: str, delimiter: str, first_line: int) -> Iterator[Record]:
    """The records of whole lines of CSV text.

    Raises: BadRequest, with the line, where it is in doubt where a record or a line ends.
    """
    lines = text.split("\n")
    if "\r" in text.replace("\r\n", "\n"):
        _refuse_stray_returns(lines, delimiter, first_line)
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    doubtful = '"' in text and blank_before_quote(delimiter).search(text) is not None
    while True:
        begin = reader.line_num
        source.begins = True
        fields: list[str] | None = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if _runs_on(lines[begin], delimiter):
                words = "a record begins here that runs on, and its quotes leave in doubt where it ends"
                raise BadRequest(f"line {first_line + begin}: {words}") from None
        if fields is None or any(fields):
            raw = "\n".join(lines[begin : reader.line_num]).removesuffix("\r").removeprefix(MARK)
            if doubtful and fields and _blank_before_quote(raw, delimiter):
                yield Record(first_line + begin, None, raw, BEFORE_QUOTE)
            else:
                yield Record(first_line + begin, fields, raw, "" if fields else BEHIND_QUOTE)


class _Lines(Iterator[str]):
    """The lines with their ends, as csv.reader wants them; io's own iteration would split at a lone CR too.

    Where `begins` was set, the next line begins a record, and is given without a byte order mark.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = iter(lines)
        self._left = len(lines)
        self.begins = True

    def __next__(self) -> str:
        line = next(self._lines)
        self._left -= 1
        if not self._left and not line:
            raise StopIteration
        if self.begins:
            line = line.removeprefix(MARK)
            self.begins = False
        return line + "\n" if self._left else line or "\n"


def _blank_before_quote(raw: str, delimiter: str) -> bool:
    bare = quoted_fields(delimiter).sub(r"\1", raw)
    return blank_before_quote(delimiter).search(bare) is not None


def _refuse_stray_returns(lines: Sequence[str], delimiter: str, first_line: int) -> None:
    """csv.reader takes a carriage return for a line's end in places, and drops it in others."""
    quoting = Quoting(delimiter.encode())
    for number, line in enumerate(lines, first_line):
        quoting.read(line.encode())
        if quoting.stray_return:
            raise BadRequest(f"line {number}: a carriage return that ends no line; lines end in LF or CRLF")


def _runs_on(line: str, delimiter: str) -> bool:
    """Whether a record that begins with this line goes on behind it."""
    quoting = Quoting(delimiter.encode())
    quoting.read(line.encode())
    return quoting.inside


def plain_rows(text: str, delimiter: str) -> list[list[str]] | None:
    """The fields of text in which every line is one record, or None where that is not so: the fast way."""
    if MARK in text:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            return None
    if '"' not in text:
        lines = text.removesuffix("\n").split("\n")
        if "" in lines:
            return None
        rows = [line.split(delimiter) for line in lines]
        return None if _begins_empty(text, delimiter) and not all(map(any, rows)) else rows
    if blank_before_quote(delimiter).search(text):
        return None
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        return None
    return None if not all(map(any, rows)) or len(rows) != reader.line_num else rows


def _begins_empty(text: str, delimiter: str) -> bool:
    """Whether a line's first field is empty, as in a record of empty fields only."""
    return text.startswith(delimiter) or f"\n{delimiter}" in text
