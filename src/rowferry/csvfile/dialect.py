"""How one file writes its records, as Plan found it out, and how its fields become a table's row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from pydantic import TypeAdapter, ValidationError

from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import Column, TableDefinition
from rowferry.errors import BadRequest

DELIMITERS = ",;\t|"
IGNORED = "_"
"""The name of a column whose fields are left out. A column without a name has empty fields only."""


@dataclass(frozen=True)
class Dialect:
    """How a file writes its records.

    `columns` are the names of the file's fields in order, `_` ones too; empty: the table's columns in their order.
    `header`: the names as the file's header has them, without blanks and regard to case; empty without a header.
    `format`: what the run's format says. The run's own copy is UTF-8 and quoted by RFC 4180, whatever the upload was.
    `left_out`: what Plan left out of the file and how often.
    """

    delimiter: str = ","
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    format: CsvFormat = field(default_factory=CsvFormat)
    left_out: Mapping[str, int] = field(default_factory=dict)


DIALECT = TypeAdapter(Dialect)
"""Reads a dialect from JSON, also one that an earlier release wrote."""


def folded(fields: Sequence[str]) -> tuple[str, ...]:
    """Names as they are compared: without blanks around them and regard to upper and lower case."""
    return tuple(name.strip().casefold() for name in fields)


def is_text(column: Column) -> bool:
    """Whether the column takes any text."""
    return column.kind.ddl.startswith(("text", "varchar"))


def arrangement(table: TableDefinition, dialect: Dialect) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """A function that puts a record's fields into the table's order and leaves columns out that the table lacks.

    Raises: BadRequest where the dialect's columns are not the table's.
    """
    if dialect.columns in ((), table.names):
        return tuple
    own = [name for name in dialect.columns if name and not name.startswith(IGNORED)]
    if sorted(own) != sorted(table.names):
        raise BadRequest(f"columns {', '.join(own)} are not those of {table.name}: {', '.join(table.names)}")
    places = [dialect.columns.index(name) for name in table.names]
    return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)


def without_surplus(fields: Sequence[str], width: int) -> Sequence[str]:
    """A record's fields without empty ones at its end that are more than it should have."""
    return fields[:width] if len(fields) > width and not any(fields[width:]) else fields


@dataclass(frozen=True)
class Shape:
    """What the records of a file should look like, for whoever is in doubt about one."""

    table: TableDefinition
    dialect: Dialect

    @property
    def width(self) -> int:
        return len(self.dialect.columns or self.table.columns)

    def is_row(self, fields: Sequence[str]) -> bool:
        """Whether the table takes them; types only, as the numbers of a declared format are not looked into."""
        fields = without_surplus(fields, self.width)
        if len(fields) != self.width:
            return False
        try:
            self.table.rows.validate_python([arrangement(self.table, self.dialect)(fields)])
        except ValidationError:
            return False
        return True

    def named(self, fields: Sequence[str]) -> tuple[str, ...]:
        """The columns that a header of these fields names: the table's own spelling, `_` for those to leave out, empty
        for those without a name; a name that the table does not have stays as it is.
        """
        own = {name.casefold(): name for name in self.table.names}
        given = {name.strip().casefold(): column for name, column in self.dialect.format.names.items()}
        named = [given.get(name, own.get(name, name)) for name in folded(fields)]
        ignored = self.dialect.format.extra == "ignore"
        while named and not named[-1]:
            named.pop()
        return tuple(
            IGNORED if name.startswith(IGNORED) or (ignored and name and name not in self.table.names) else name
            for name in named
        )

    def is_header(self, fields: Sequence[str]) -> bool:
        """Whether they name exactly the table's columns."""
        named = [name for name in self.named(fields) if name not in ("", IGNORED)]
        return sorted(named) == sorted(self.table.names)
