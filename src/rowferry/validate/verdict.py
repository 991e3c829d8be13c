"""The verdict on up to 1,000 records: accepted rows in normal form, and rejects that say what is wrong."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rowferry.csvfile.convert import is_as_rfc_4180
from rowferry.csvfile.dialect import Dialect, arrangement, folded, is_text, without_surplus
from rowferry.csvfile.header import find_dialect
from rowferry.csvfile.records import CHUNK_BYTES, CHUNK_RECORDS, Record, plain_rows, records
from rowferry.declare.definition import TableDefinition
from rowferry.declare.types import VERDICT, shown
from rowferry.errors import BadRequest, TooLarge
from rowferry.validate.reading import Fault, arranged_header, read_fields, seen


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

    `given`: fields in the table's order, numbers and words for null as without a declared format; `values`: the same
    as Python values. `counts`: what was seen and left alone, or left out (reading.COUNTS).
    """

    table: TableDefinition
    lines: Sequence[int]
    given: Sequence[Sequence[str]]
    values: Sequence[Sequence[Any]]
    rejects: Sequence[Reject]
    counts: Mapping[str, int] = field(default_factory=dict)

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


def validate(table: TableDefinition, text: str, dialect: Dialect, first_line: int = 1) -> Validated:
    """Judges whole records of CSV text without a header; `first_line` is the text's first line in its file.

    Raises: TooLarge above 1,000 records; BadRequest where the columns don't fit or the text is no CSV.
    """
    if "\0" in text:
        raise BadRequest("the text holds NUL: it is not CSV")
    arrange = arrangement(table, dialect)
    width = len(dialect.columns or table.columns)
    rows = plain_rows(text, dialect.delimiter)
    if rows is not None and "" not in dialect.columns and all(len(row) == width for row in rows):
        _cap(len(rows))
        return _judge(table, dialect, range(first_line, first_line + len(rows)), [arrange(row) for row in rows], [])
    chunk = list(records(text, dialect.delimiter, first_line))
    _cap(len(chunk))
    lines, given, misshapen, surplus = list[int](), list[tuple[str, ...]](), list[Reject](), 0
    for record in chunk:
        fields = without_surplus(record.fields, width) if record.fields is not None else ()
        if len(fields) == width and not any(_unnamed(fields, dialect)):
            surplus += len(record.fields or ()) > width
            lines.append(record.line)
            given.append(arrange(fields))
        else:
            misshapen.append(_misshapen(record, width, dialect))
    validated = _judge(table, dialect, lines, given, misshapen)
    return replace(validated, counts={**validated.counts, "surplus_fields": surplus}) if surplus else validated


def _unnamed(fields: Sequence[str], dialect: Dialect) -> Iterator[str]:
    """The fields below header cells without a name, which must be empty."""
    return (field for field, name in zip(fields, dialect.columns, strict=False) if not name)


def validate_bytes(table: TableDefinition, body: bytes, dialect: Dialect | None, first_line: int = 1) -> Validated:
    """`validate` for bytes as they came; without a dialect they are a whole file, with or without BOM and header.

    Such a file is in the table's declared format, but UTF-8.
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
    if not is_as_rfc_4180(table.csv):
        words = f"files of {table.name} have a quote or escape character of their own: upload it to check/{table.name}/"
        raise BadRequest(f"{words}, where a run reads it as declared")
    text = text.removeprefix("\ufeff")
    found = find_dialect(text.encode(), table, whole=True, wanted=table.csv)
    rest = "".join(text.split("\n", found.lines)[found.lines :])
    return validate(table, rest, found.dialect, first_line + found.lines)


def _cap(count: int) -> None:
    if count > CHUNK_RECORDS:
        raise TooLarge(f"{count} records in one chunk; at most {CHUNK_RECORDS} are taken, and none of these was")


def _judge(
    table: TableDefinition,
    dialect: Dialect,
    lines: Sequence[int],
    given: Sequence[tuple[str, ...]],
    misshapen: Sequence[Reject],
) -> Validated:
    read, faults = read_fields(table, dialect.format, given)
    values: Sequence[Sequence[Any]] = ()
    try:
        values = table.rows.validate_python(read)
    except ValidationError as error:
        for place, found in _faults(table, error).items():
            faults[place] = [*faults.get(place, ()), *found]
    faults |= _headers_again(table, dialect, given, faults)
    if not faults:
        return Validated(table, lines, read, values, misshapen, seen(table, read))
    rejects = [*misshapen, *(rejected(lines[place], found, given[place]) for place, found in faults.items())]
    rejects.sort(key=lambda reject: reject.line)
    accepted = [place for place in range(len(given)) if place not in faults]
    rest = [read[place] for place in accepted]
    values = table.rows.validate_python(rest)
    return Validated(table, [lines[place] for place in accepted], rest, values, rejects, seen(table, rest))


def _headers_again(
    table: TableDefinition, dialect: Dialect, given: Sequence[tuple[str, ...]], faults: Iterable[int]
) -> dict[int, list[Fault]]:
    """Records that repeat the header, by their place; where names can't be values, only rows with faults may be one."""
    names = arranged_header(table, dialect)
    places = range(len(given)) if is_text(table.columns[0]) else faults
    words = [("header_again", "the header stands here again")]
    found = (place for place in places if given[place][0].strip().casefold() == names[0])
    return {place: words for place in found if folded(given[place]) == names}


def rejected(line: int, faults: Sequence[Fault], fields: tuple[str, ...]) -> Reject:
    """A row with all that is wrong with it."""
    codes, words = zip(*faults, strict=True)
    return Reject(line, codes, f"line {line}: {'; '.join(words)}", fields)


def _misshapen(record: Record, width: int, dialect: Dialect) -> Reject:
    if record.fields is None:
        return Reject(record.line, ("bad_quoting",), f"line {record.line}: {record.broken}", raw=record.raw)
    words = f"{len(record.fields)} fields where {width} are expected"
    if len(record.fields) == width:
        words = f"{shown(next(_unnamed(record.fields, dialect), ''))} stands in a column that has no name in the header"
    return Reject(record.line, ("field_count",), f"line {record.line}: {words}", raw=record.raw)


def _faults(table: TableDefinition, error: ValidationError) -> dict[int, list[Fault]]:
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
    counts = {"counts": validated.counts} if validated.counts else {}
    head = json.dumps({"read": validated.read, "rejects": rejects, **counts}, ensure_ascii=False)
    return f"{head}\n{validated.normal_text()}"
