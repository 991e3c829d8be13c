"""What the rest of the core knows of a declared table."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.types import Kind


@dataclass(frozen=True)
class Column:
    """One column: its type, and whether it may be NULL."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True)
class Reference:
    """Columns that hold the key of another table; a row with NULL in any of them refers to nothing."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableDefinition:
    """A table as the rest of the core sees it, read once from its model."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    model: type[BaseModel]
    references: tuple[Reference, ...] = ()
    generated: bool = False
    csv: CsvFormat = field(default_factory=CsvFormat, hash=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the table's order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return self.columns[self.names.index(name)]

    @cached_property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns that files have: all but a generated one."""
        return tuple(column for column in self.columns if not (self.generated and column.name in self.key))

    @cached_property
    def declaration(self) -> str:
        """The columns as rows in normal form have them; rules that take fewer or more values don't change it."""
        parents = {name: reference.parent for reference in self.references for name in reference.columns}
        return ", ".join(
            f"{column.name} {column.kind.ddl}"
            + (" key" if column.name in self.key else "")
            + (f" of {parents[column.name]}" if column.name in parents else "")
            for column in self.columns
        )

    @cached_property
    def rows(self) -> TypeAdapter[list[tuple[Any, ...]]]:
        """Validates many rows at once, each a tuple of fields in the table's order."""
        types = tuple(Annotated[Any, column.kind] for column in self.file_columns)
        return TypeAdapter(list[tuple[types]])  # type: ignore[valid-type]
