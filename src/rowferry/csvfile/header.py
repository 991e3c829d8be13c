"""A file's dialect: its delimiter and its header, looked for in its first hundred records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from rowferry.csvfile.dialect import DELIMITERS, IGNORED, Dialect, Shape, arrangement, folded, is_text, without_surplus
from rowferry.csvfile.records import Record, records
from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import TableDefinition
from rowferry.declare.types import shown
from rowferry.errors import BadRequest, Refused

_HEAD_RECORDS = 100

HEADER_FIELDS = 1_000
"""A header may have so many columns: they go to the validator with each chunk."""

_SEPARATOR = re.compile(r'"?sep=([!-/:-@\[-`{-~\t ])"?\r?(?:\n|$)', re.IGNORECASE)
"""The line that spreadsheets write and read before the header."""


@dataclass(frozen=True)
class Found:
    """A dialect, and how many lines of the file stand before its first record."""

    dialect: Dialect
    lines: int = 0


def find_dialect(head: bytes, table: TableDefinition, whole: bool, wanted: CsvFormat | None = None) -> Found:
    """Delimiter and header, from a file's first bytes (`whole`: all of it), behind a byte order mark.

    Raises: Refused where it is in doubt which column a field belongs to.
    """
    wanted = wanted or CsvFormat()
    text = head.decode("utf-8", errors="ignore")
    if not whole:
        text = text[: text.rfind("\n") + 1] or text
    skipped, delimiters = _before_records(text, wanted)
    text = "".join(text.split("\n", skipped)[skipped:])
    looks = [_Look(text, skipped, Shape(table, Dialect(delimiter, format=wanted))) for delimiter in delimiters]
    best = max(looks, key=_Look.evidence)
    if wanted.header is False:
        return best.without_header()
    for look in looks:
        if (place := look.header_place()) is not None:
            return look.with_header(place)
    best.refuse_other_headers()
    if wanted.header:
        raise Refused("header", f"line {skipped + 1}: no header stands in the file; {best.expected}")
    return best.without_header()


def _before_records(text: str, wanted: CsvFormat) -> tuple[int, Sequence[str]]:
    """Lines to skip, and the delimiters that the file may have."""
    lines = text.split("\n")
    line = lines[wanted.skip_lines] if len(lines) > wanted.skip_lines else ""
    if found := _SEPARATOR.fullmatch(line):
        return wanted.skip_lines + 1, [found[1]]
    return wanted.skip_lines, [wanted.delimiter] if wanted.delimiter else list(DELIMITERS)


class _Look:
    """The first records of a file under one delimiter."""

    def __init__(self, text: str, skipped: int, shape: Shape) -> None:
        self._text = text
        self._skipped = skipped
        self._shape = shape
        self._table = shape.table
        self._sample = self._read()

    @property
    def expected(self) -> str:
        return f"the columns are {', '.join(self._table.names)}"

    def _read(self) -> list[Record]:
        sample: list[Record] = []
        try:
            for record in records(self._text, self._shape.dialect.delimiter, self._skipped + 1):
                sample.append(record)
                if len(sample) == _HEAD_RECORDS:
                    break
        except BadRequest:
            pass  # a quote left open under this delimiter; if it is the file's, the splitter says so with the line
        return sample

    def evidence(self) -> tuple[int, int, int]:
        """What speaks for a delimiter: rows that the table takes, then names in the first, then records of its width.

        Names that the table does not have speak too, but less than anything else.
        """
        width = len(self._table.columns)
        fitting = [
            record for record in self._sample if record.fields and len(without_surplus(record.fields, width)) == width
        ]
        named = set(self._shape.named(self._sample[0].fields or [])) & set(self._table.names) if self._sample else ()
        return sum(self._shape.is_row(record.fields or []) for record in fitting), len(named), len(fitting)

    def header_place(self) -> int | None:
        """Where among the first records one names exactly the table's columns."""
        places = (place for place, record in enumerate(self._sample) if self._shape.is_header(record.fields or []))
        return next(places, None)

    def without_header(self) -> Found:
        return Found(self._shape.dialect, self._skipped)

    def with_header(self, place: int) -> Found:
        """Raises: Refused where something stands before the header."""
        header = self._sample[place]
        fields = header.fields or []
        above = self._text.split("\n")[: header.line - self._skipped - 1]
        if before := next((number for number, line in enumerate(above, self._skipped + 1) if line.strip("\r")), 0):
            words = shown(above[before - self._skipped - 1].rstrip("\r"))
            raise Refused(
                "header",
                f"line {header.line} names the columns, but line {before} stands before it: {words}. Delete what stands"
                f" above the header, or declare CsvFormat(skip_lines={header.line - 1})",
            )
        if len(fields) > HEADER_FIELDS:
            words = f"the header has {len(fields)} columns; at most {HEADER_FIELDS} are read"
            raise Refused("header", f"line {header.line}: {words}")
        columns = self._shape.named(fields)
        dialect = Dialect(self._shape.dialect.delimiter, columns, folded(fields), self._shape.dialect.format)
        return Found(dialect, header.line + header.raw.count("\n"))

    def refuse_other_headers(self) -> None:
        """Raises: Refused at a record that names some of the columns, or looks like a header of other names."""
        for record in self._sample[:1]:
            self._refuse_near_header(record, 1)
            self._refuse_other_names(record)
        for record in self._sample[1:]:
            self._refuse_near_header(record, max(2, (len(self._table.columns) + 1) // 2))

    def _refuse_near_header(self, record: Record, least: int) -> None:
        names = [name for name in self._shape.named(record.fields or []) if name not in ("", IGNORED)]
        if len(set(names) & set(self._table.names)) < least or self._shape.is_row(record.fields or []):
            return
        problems = []
        if missing := [name for name in self._table.names if name not in names]:
            problems.append(f"lacks {', '.join(missing)}")
        if unknown := [shown(name) for name in names if name not in self._table.names]:
            words = f"has {', '.join(unknown)}, which {self._table.name} does not have"
            problems.append(words)
        if twice := sorted({name for name in names if names.count(name) > 1 and name in self._table.names}):
            problems.append(f"names {', '.join(twice)} more than once")
        raise Refused(
            "header",
            f"line {record.line}: the header {'; '.join(problems)}. The columns are {', '.join(self._table.names)}; put"
            ' the header right, or declare CsvFormat(names={"its name": "column"}) or CsvFormat(extra="ignore")',
        )

    def _refuse_other_names(self, first: Record) -> None:
        """A first record that has words where the table has numbers and times, before records that have these."""
        if not self._has_words_only(first) or not any(
            self._shape.is_row(record.fields or []) for record in self._sample
        ):
            return
        shown_first = shown(first.raw)
        raise Refused(
            "header",
            f"line {first.line} looks like a header ({shown_first}: no field is a number or a time) and names none of"
            f" the columns; {self.expected}. Name them so, or declare CsvFormat(names={{...}}); where the line is a row"
            " and the file has no header, declare CsvFormat(header=False)",
        )

    def _has_words_only(self, record: Record) -> bool:
        fields = without_surplus(record.fields or [], self._shape.width)
        if len(fields) != self._shape.width:
            return False
        row = arrangement(self._table, self._shape.dialect)(fields)
        typed = {place for place, column in enumerate(self._table.columns) if not is_text(column)}
        if not typed or any(_looks_like_a_value(row[place]) for place in typed):
            return False
        try:
            self._table.rows.validate_python([row])
        except ValidationError as error:
            wrong = {
                int(fault["loc"][1])
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
                if fault["type"].endswith("_format")
            }
            return typed <= wrong
        return False


def _looks_like_a_value(text: str) -> bool:
    return text.strip()[:1] in tuple("0123456789+-.'\"=(") or not text.strip()
