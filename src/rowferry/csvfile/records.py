"""CSV text into records that know their line: RFC 4180, strictly, nothing repaired on the way.

A record ends at a line feed outside quotes; a carriage return before it belongs to the line's end. Blank lines are not
records. `plan` cuts files by the same rules, so that a chunk always holds whole records.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rowferry.errors import BadRequest

CHUNK_RECORDS = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
DELIMITERS = ",;\t|"

csv.field_size_limit(CHUNK_BYTES)  # csv's own limit of 128 KiB is below what a message about a long field needs


@dataclass(frozen=True)
class Dialect:
    """How a file writes its records.

    `columns` are the names of the file's fields in order, `_` ones too; empty: the table's columns in their order.
    """

    delimiter: str = ","
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One record: the line it begins on (from 1), its fields, and `raw`, its text without the line's end.

    `fields` is None where the quoting is broken and the fields can't be told.
    """

    line: int
    fields: list[str] | None
    raw: str


def records(text: str, delimiter: str, first_line: int) -> Iterator[Record]:
    """The records of whole lines of CSV text.

    Raises: BadRequest, with the line, where it is in doubt where a record or a line ends.
    """
    lines = text.split("\n")
    if "\r" in text.replace("\r\n", "\n"):
        _refuse_stray_returns(lines, delimiter, first_line)
    reader = csv.reader(_with_ends(lines), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num
        fields: list[str] | None = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if _runs_on(lines[begin], delimiter):
                words = "a record begins here that runs on, and its quotes leave in doubt where it ends"
                raise BadRequest(f"line {first_line + begin}: {words}") from None
        if fields != []:
            raw = "\n".join(lines[begin : reader.line_num]).removesuffix("\r")
            yield Record(first_line + begin, fields, raw)


def _with_ends(lines: Sequence[str]) -> Iterator[str]:
    """The lines with their ends, as csv.reader wants them; io's own iteration would split at a lone CR too."""
    yield from (line + "\n" for line in lines[:-1])
    if lines[-1]:
        yield lines[-1]


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
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            return None
    if '"' not in text:
        lines = text.removesuffix("\n").split("\n")
        return None if "" in lines else [line.split(delimiter) for line in lines]
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        return None
    return None if [] in rows or len(rows) != reader.line_num else rows


class Quoting:
    """Follows quotes through a file's lines, one `read` each; `inside` says whether a quoted field is still open.

    Text behind a closing quote breaks a record. On one line it spoils that record alone; in a record of several lines
    the quote that opened or closed may have been a slip, so where records end can't be told: `doubtful` turns true.
    `stray_return` turns true at a carriage return outside quotes that ends no line.
    """

    def __init__(self, delimiter: bytes) -> None:
        self.inside = False
        self.doubtful = False
        self.stray_return = False
        self._broken = False
        self._delimiter = delimiter

    def read(self, line: bytes) -> None:
        """One line, without its line feed."""
        continued = self.inside
        self._broken &= continued
        at = 0 if continued else self._behind_opening(line, 0)
        while at >= 0:
            after = _behind_closing(line, at)
            self.inside = after < 0
            if self.inside:
                break
            rest = line[after : after + 2]
            self._broken |= rest not in (b"", b"\r") and not rest.startswith(self._delimiter)
            at = self._behind_opening(line, after)
        self.doubtful |= self._broken and (continued or self.inside)

    def _behind_opening(self, line: bytes, at: int) -> int:
        """Just behind the next quote that opens a field, or -1."""
        if at == 0 and line.startswith(b'"'):
            return 1
        found = line.find(self._delimiter + b'"', at)
        end = found if found >= 0 else len(line) - line.endswith(b"\r")
        self.stray_return |= line.find(b"\r", at, end) >= 0
        return found + 2 if found >= 0 else -1


def _behind_closing(line: bytes, at: int) -> int:
    """Just behind the quote that closes the field open at `at`, or -1."""
    while (at := line.find(b'"', at)) >= 0:
        if line[at + 1 : at + 2] != b'"':
            return at + 1
        at += 2
    return -1
