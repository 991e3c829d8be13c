"""Fields as a declared format means them, and what was seen in them and left alone."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

from pydantic import BaseModel

from rowferry.csvfile.dialect import Dialect, is_text
from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import Column, TableDefinition
from rowferry.declare.types import shown

Fault = tuple[str, str]
"""What is wrong with a row: a code for programs, and words for people."""

Rows = Sequence[tuple[str, ...]]

COUNTS = {
    "surplus_fields": "records with empty fields behind the last column, which were left out",
    "blanks_at_ends": "texts that begin or end with a blank, which was kept",
    "words_for_null": "texts that are a word for null elsewhere (NULL, \\N, nan, #N/A, None), which were kept",
}
"""What Validate counts beside records, in words."""

SEEN = ("blanks_at_ends", "words_for_null")
"""Those of them that were left alone; the rest was left out."""


@cache
def _spellings(word: str) -> frozenset[str]:
    return frozenset(map("".join, product(*((letter.lower(), letter.upper()) for letter in word))))


_NULLS = frozenset().union(*map(_spellings, ("null", "\\n", "nan", "#n/a", "none")))


def seen(table: TableDefinition, rows: Rows) -> dict[str, int]:
    """What was seen in the texts of accepted rows and left alone (COUNTS)."""
    if not rows:
        return {}
    blanks = words = 0
    for place, column in enumerate(table.columns):
        if is_text(column):
            texts = [row[place] for row in rows]
            joined = "\0".join(("", *texts, ""))
            if "\0 " in joined or " \0" in joined or "\0\t" in joined or "\t\0" in joined:
                blanks += sum(text != text.strip(" \t") for text in texts)
            if not _NULLS.isdisjoint(texts):
                words += sum(text in _NULLS for text in texts)
    return {name: count for name, count in (("blanks_at_ends", blanks), ("words_for_null", words)) if count}


def arranged_header(table: TableDefinition, dialect: Dialect) -> tuple[str, ...]:
    """The file's header in the table's order, folded; without one, the table's own names."""
    own = tuple(name.casefold() for name in table.names)
    if not dialect.header:
        return own
    places = {column: place for place, column in enumerate(dialect.columns)}
    return tuple(dialect.header[places[name]] for name in table.names) if dialect.columns else own


def read_fields(table: TableDefinition, given: CsvFormat, rows: Rows) -> tuple[Rows, dict[int, list[Fault]]]:
    """The fields without what the format adds to them, and faults of numbers that the format does not allow."""
    if (given.nulls, given.decimal, given.thousands, given.trim) == (("",), ".", None, False):
        return rows, {}
    faults: dict[int, list[Fault]] = {}
    columns = [
        _column(column, given, [row[place] for row in rows], faults) for place, column in enumerate(table.columns)
    ]
    return list(zip(*columns, strict=True)) if rows else [], faults


def _column(column: Column, given: CsvFormat, fields: list[str], faults: dict[int, list[Fault]]) -> list[str]:
    if given.trim:
        fields = [field.strip(" \t") for field in fields]
    nulls = frozenset(given.nulls)
    found = ["" if field in nulls else field for field in fields]
    kind = column.kind.ddl.partition("(")[0]
    if kind not in _NUMBERS or (given.decimal, given.thousands) == (".", None):
        return found
    number = _number(given)
    for place, field in enumerate(found):
        read = number(field)
        if read is None:
            words = f"{column.name} {shown(field)} is not a number as the format has them, such as {_example(given)}"
            faults.setdefault(place, []).append((f"{_NUMBERS[kind]}_format", words))
            found[place] = "0"
        else:
            found[place] = read
    return found


_NUMBERS = {"int": "int", "bigint": "int", "decimal": "decimal", "double": "double"}


def _example(given: CsvFormat) -> str:
    return f"1{given.thousands or ''}234{given.decimal}5"


def _number(given: CsvFormat) -> Callable[[str], str | None]:
    """A number's text with a point and without marks between thousands; None for what is none."""
    mark, point = re.escape(given.thousands or ""), re.escape(given.decimal)
    whole = rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)" if mark else "[0-9]+"
    pattern = re.compile(rf"( *-?)({whole})(?:{point}([0-9]+))?((?:[eE][-+]?[0-9]+)? *)")

    def read(text: str) -> str | None:
        if not text.strip():
            return text
        found = pattern.fullmatch(text)
        if not found:
            return None
        digits = found[2].replace(given.thousands, "") if given.thousands else found[2]
        return f"{found[1]}{digits}{'.' + found[3] if found[3] else ''}{found[4]}"

    return read


class ChunkFormat(BaseModel, extra="forbid"):
    """What the validator needs to know of a file's format beside its delimiter and columns; sent with each chunk."""

    header: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)
    decimal: str = "."
    thousands: str | None = None
    trim: bool = False

    @classmethod
    def of(cls, dialect: Dialect) -> "ChunkFormat":
        given = dialect.format
        return cls(
            header=dialect.header,
            nulls=given.nulls,
            decimal=given.decimal,
            thousands=given.thousands,
            trim=given.trim,
        )

    def as_csv_format(self) -> CsvFormat:
        """Raises: ValueError."""
        return CsvFormat(nulls=self.nulls, decimal=self.decimal, thousands=self.thousands, trim=self.trim)
