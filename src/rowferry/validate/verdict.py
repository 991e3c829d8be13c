"""The verdict on up to 1,000 records: accepted rows in normal form, and rejects that say what is wrong."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rowferry.csvfile.records import CHUNK_BYTES, CHUNK_RECORDS, Dialect, Record, plain_rows, records
from rowferry.csvfile.split import find_dialect
from rowferry.declare.table import Table
from rowferry.declare.types import VERDICT
from rowferry.errors import BadRequest, TooLarge

Fault = tuple[str, str]
"""What is wrong with a row: a code for programs, and words for people."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that does not go into the table.

    `codes` are words for programs, one for each fault, `message` is for people. `fields` are the table's own columns as
    given, in the table's order; None where fields and columns don't match one to one, and then `raw` has the record.
    """

    line: int
    codes: tuple[str, ...]
    message: str
    fields: tuple[str, ...] | None = None
    raw: str | None = None


REJECT = TypeAdapter(Reject)


@dataclass(frozen=True)
class Validated:
    """A chunk's verdict. The accepted rows stand in three lists side by side, in the order of their lines.

    `given`: fields as they came, in the table's order; `values`: the same as Python values.
    """

    table: Table
    lines: Sequence[int]
    given: Sequence[Sequence[str]]
    values: Sequence[Sequence[Any]]
    rejects: Sequence[Reject]

    @property
    def read(self) -> int:
        return len(self.lines) + len(self.rejects)

    def normal_text(self) -> str:
        """A line for each accepted row: its line number and its columns, tab-separated, as LOAD DATA reads them."""
        if not self.lines:
            return ""
        columns = [
            column.kind.normalise(given, values)
            for column, given, values in zip(
                self.table.columns, zip(*self.given, strict=True), zip(*self.values, strict=True), strict=True
            )
        ]
        return "\n".join(map("\t".join, zip(map(str, self.lines), *columns, strict=True))) + "\n"

    def rows(self) -> Iterator[dict[str, str | int | float]]:
        """The accepted rows by column name, as JSON values."""
        for given, values in zip(self.given, self.values, strict=True):
            yield {
                column.name: column.kind.as_json(text, value)
                for column, text, value in zip(self.table.columns, given, values, strict=True)
            }


def validate(table: Table, text: str, dialect: Dialect, first_line: int = 1) -> Validated:
    """Judges whole records of CSV text without a header; `first_line` is the text's first line in its file.

    Raises: TooLarge above 1,000 records; BadRequest where the columns don't fit or the text is no CSV.
    """
    if "\0" in text:
        raise BadRequest("the text holds NUL: it is not CSV")
    arrange = arrangement(table, dialect)
    width = len(dialect.columns or table.columns)
    rows = plain_rows(text, dialect.delimiter)
    if rows is not None and all(len(row) == width for row in rows):
        _cap(len(rows))
        return _judge(table, range(first_line, first_line + len(rows)), [arrange(row) for row in rows], [])
    chunk = list(records(text, dialect.delimiter, first_line))
    _cap(len(chunk))
    lines, given, misshapen = list[int](), list[tuple[str, ...]](), list[Reject]()
    for record in chunk:
        if record.fields is not None and len(record.fields) == width:
            lines.append(record.line)
            given.append(arrange(record.fields))
        else:
            misshapen.append(_misshapen(record, width))
    return _judge(table, lines, given, misshapen)


def validate_bytes(table: Table, body: bytes, dialect: Dialect | None, first_line: int = 1) -> Validated:
    """`validate` for bytes as they came; without a dialect they are a whole file, with or without BOM and header.

    Raises: TooLarge, BadRequest; Refused for a header that does not fit.
    """
    if len(body) > CHUNK_BYTES:
        raise TooLarge(f"{len(body)} bytes in one chunk; at most {CHUNK_BYTES} are taken, and none of these was")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"byte {error.start} is not UTF-8 ({error.reason})") from None
    if dialect:
        return validate(table, text, dialect, first_line)
    text = text.removeprefix("\ufeff")
    found = find_dialect(text.encode(), table, whole=True)
    return validate(table, text.encode()[found.bytes :].decode(), found.dialect, first_line + found.lines)


def arrangement(table: Table, dialect: Dialect) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """A function that puts a record's fields into the table's order and leaves `_` columns out.

    Raises: BadRequest where the dialect's columns are not the table's.
    """
    if dialect.columns in ((), table.names):
        return tuple
    own = [name for name in dialect.columns if not name.startswith("_")]
    if sorted(own) != sorted(table.names):
        raise BadRequest(f"columns {', '.join(own)} are not those of {table.name}: {', '.join(table.names)}")
    places = [dialect.columns.index(name) for name in table.names]
    return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)


def _cap(count: int) -> None:
    if count > CHUNK_RECORDS:
        raise TooLarge(f"{count} records in one chunk; at most {CHUNK_RECORDS} are taken, and none of these was")


def _judge(
    table: Table, lines: Sequence[int], given: Sequence[tuple[str, ...]], misshapen: Sequence[Reject]
) -> Validated:
    try:
        return Validated(table, lines, given, table.rows.validate_python(given), misshapen)
    except ValidationError as error:
        faults = _faults(table, error)
    rejects = [*misshapen, *(rejected(lines[place], found, given[place]) for place, found in faults.items())]
    rejects.sort(key=lambda reject: reject.line)
    accepted = [place for place in range(len(given)) if place not in faults]
    rest = [given[place] for place in accepted]
    return Validated(table, [lines[place] for place in accepted], rest, table.rows.validate_python(rest), rejects)


def rejected(line: int, faults: Sequence[Fault], fields: tuple[str, ...]) -> Reject:
    """A row with all that is wrong with it."""
    codes, words = zip(*faults, strict=True)
    return Reject(line, codes, f"line {line}: {'; '.join(words)}", fields)


def _misshapen(record: Record, width: int) -> Reject:
    if record.fields is None:
        words = "the quoting is broken: text stands behind a closing quote"
        return Reject(record.line, ("bad_quoting",), f"line {record.line}: {words}", raw=record.raw)
    words = f"{len(record.fields)} fields where {width} are expected"
    return Reject(record.line, ("field_count",), f"line {record.line}: {words}", raw=record.raw)


def _faults(table: Table, error: ValidationError) -> dict[int, list[Fault]]:
    """By the row's place: each fault's code and its words, in the order of the columns."""
    found: dict[int, list[Fault]] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place, column, choice = fault["loc"][:3]
        if choice == VERDICT:
            words = f"{table.names[int(column)]} {fault['msg']}"
            found.setdefault(int(place), []).append((fault["type"], words))
    return found


# --- the answer as text, for the functions ---------------------------------------------------------------------------

CHUNK_MEDIA_TYPE = "application/vnd.rowferry.chunk"
"""One JSON line `{"read": n, "rejects": [...]}`, then a line for each accepted row in normal form (`normal_text`)."""


def chunk_answer(validated: Validated) -> str:
    """A chunk's verdict in CHUNK_MEDIA_TYPE."""
    rejects = [REJECT.dump_python(reject, mode="json", exclude_none=True) for reject in validated.rejects]
    head = json.dumps({"read": validated.read, "rejects": rejects}, ensure_ascii=False)
    return f"{head}\n{validated.normal_text()}"
