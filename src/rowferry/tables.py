"""What a table is: one Pydantic model per table. DDL, validation, CSV columns and OpenAPI all come from here.

Adding a table is adding a class here, whose title is the table's name. Its fields are the columns, in their order, each
`Annotated` with one type of values.py; its key is an `Id`; a column that is also annotated with `References` holds keys
of a class that stands above it, so a table can't refer to itself and parents always come first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from rowferry.errors import UnknownTable
from rowferry.values import Decimal, Integer, Kind, Text, Timestamp


@dataclass(frozen=True)
class Key:
    """Marks the primary key's column."""


@dataclass(frozen=True)
class References:
    """Marks a column that holds keys of another table."""

    table: type[BaseModel]


_KEY = Integer(minimum=1)
Id = Annotated[int, _KEY, Key()]
"""An INT, as Reconcile keeps keys in four bytes."""


class Department(BaseModel, title="departments"):
    """A department of the company."""

    id: Id = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Product Management"])


class Job(BaseModel, title="jobs"):
    """A job that somebody can be hired for."""

    id: Id = Field(examples=["96"])
    name: Annotated[str, Text()] = Field(examples=["Marketing Assistant"])


class HiredEmployee(BaseModel, title="hired_employees"):
    """Somebody who was hired: when, for which job, in which department."""

    id: Id = Field(examples=["1"])
    name: Annotated[str, Text()] = Field(examples=["Harold Vogt"])
    datetime: Annotated[Any, Timestamp()] = Field(examples=["2021-11-07T02:48:42Z"])
    department_id: Annotated[int, Integer(minimum=1), References(Department)] = Field(examples=["2"])
    job_id: Annotated[int, Integer(minimum=1), References(Job)] = Field(examples=["96"])


MODELS: Sequence[type[BaseModel]] = [
    found
    for found in vars().values()
    if isinstance(found, type) and issubclass(found, BaseModel) and found.model_fields
]
"""All classes above, parents before children: the order in which tables are made."""

_NAME = re.compile("(?!rowferry_|all$)[a-z][a-z0-9_]{0,63}", re.IGNORECASE | re.ASCII)
"""Of a table or a column: what MySQL, Avro, a path and `/backup/all` take alike."""


@dataclass(frozen=True)
class Column:
    """One column: its type and, where it refers to a table, that table's name."""

    name: str
    kind: Kind
    parent: str | None = None


@dataclass(frozen=True)
class Table:
    """A table as the rest of the core sees it, read once from its model."""

    name: str
    columns: tuple[Column, ...]
    key: str
    model: type[BaseModel]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the table's order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def declaration(self) -> str:
        """The columns as rows in normal form have them; rules that take fewer or more values don't change it."""
        return ", ".join(
            f"{column.name} {column.kind.ddl}"
            + (" key" if column.name == self.key else "")
            + (f" of {column.parent}" if column.parent else "")
            for column in self.columns
        )

    @cached_property
    def references(self) -> tuple[Column, ...]:
        """The columns that refer to another table."""
        return tuple(column for column in self.columns if column.parent)

    @cached_property
    def key_index(self) -> int:
        """The key's place among the columns."""
        return self.names.index(self.key)

    @cached_property
    def rows(self) -> TypeAdapter[list[tuple[Any, ...]]]:
        """Validates many rows at once, each a tuple of fields in the table's order."""
        types = tuple(Annotated[Any, column.kind] for column in self.columns)
        return TypeAdapter(list[tuple[types]])  # type: ignore[valid-type]


def _read(model: type[BaseModel], known: Mapping[str, Table]) -> Table:
    """Raises: TypeError where a class says what Rowferry does not support."""
    name = model.model_config.get("title") or model.__name__
    _check_names(name, model, known)
    columns, keys = [], []
    for column, field in model.model_fields.items():
        marks = {type(mark): mark for mark in field.metadata}
        kinds = [mark for mark in field.metadata if isinstance(mark, (Integer, Decimal, Text, Timestamp))]
        if len(kinds) != 1:
            raise TypeError(f"{model.__name__}.{column} must have exactly one type of rowferry.values")
        parent = marks[References].table.model_config.get("title") if References in marks else None
        if parent is not None and parent not in known:
            raise TypeError(f"{model.__name__}.{column} refers to {parent}, which must be declared above it")
        if (Key in marks or parent) and kinds[0].ddl != _KEY.ddl:
            raise TypeError(f"{model.__name__}.{column} holds keys, which are {_KEY.ddl}, not {kinds[0].ddl}")
        if Key in marks and getattr(kinds[0], "minimum", 0) < 0:
            raise TypeError(f"{model.__name__}.{column} is the key, and may be negative, which no key may")
        if Key in marks:
            keys.append(column)
        columns.append(Column(column, kinds[0], parent))
    if len(keys) != 1:
        raise TypeError(f"{model.__name__} must have exactly one key, an Id; it has {len(keys)}")
    return Table(name, tuple(columns), keys[0], model)


def _check_names(name: str, model: type[BaseModel], known: Mapping[str, Table]) -> None:
    if wrong := [given for given in (name, *model.model_fields) if not _NAME.fullmatch(given)]:
        raise TypeError(f"{model.__name__}: {wrong[0]!r} can't be a name; a letter, then letters, digits and _ can")
    if name in known:
        raise TypeError(f"{model.__name__}: there is a table {name} already")


def read_models(models: Sequence[type[BaseModel]]) -> dict[str, Table]:
    """The tables that models declare, by name, parents first.

    Raises: TypeError naming the class and column that can't be.
    """
    tables: dict[str, Table] = {}
    for model in models:
        table = _read(model, tables)
        tables[table.name] = table
    return tables


TABLES: Mapping[str, Table] = read_models(MODELS)


def table_named(name: str) -> Table:
    """Raises: UnknownTable, with the names that are known."""
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownTable(f"there is no table {name!r}; the tables are {', '.join(TABLES)}") from None


def table_of_path(path: str) -> Table | None:
    """The table of a file by its path below `raw/`: `t.csv`, `t-anything.csv`, `t/anything.csv`; also with .gz."""
    if not path.endswith((".csv", ".csv.gz")):
        return None
    for table in TABLES.values():
        rest = path.removeprefix(table.name)
        if rest != path and (rest in (".csv", ".csv.gz") or rest[0] in "-/"):
            return table
    return None
