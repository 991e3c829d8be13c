"""What the rest of the core knows of a declared table, read from its Pydantic class.

The class's title is the table's name. Its fields are the columns, in their order, each `Annotated` with one type of
types.py; its key is an `Id`. A column that is also annotated with `References` holds keys of a class that stands above
it, so a table can't refer to itself and parents always come first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel

from rowferry.declare.definition import Column, Reference, TableDefinition
from rowferry.declare.types import KINDS, Choice, Integer, Kind


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


_NAME = re.compile("(?!rowferry_|all$)[a-z][a-z0-9_]{0,63}", re.IGNORECASE | re.ASCII)
"""Of a table or a column: what MySQL, Avro, a path and `/backup/all` take alike."""


def _read(model: type[BaseModel], known: Mapping[str, TableDefinition]) -> TableDefinition:
    """Raises: TypeError where a class says what Rowferry does not support."""
    name = model.model_config.get("title") or model.__name__
    _check_names(name, model, known)
    columns, keys, references = [], [], []
    for column, field in model.model_fields.items():
        marks = {type(mark): mark for mark in field.metadata}
        kinds = [mark for mark in field.metadata if isinstance(mark, KINDS)]
        if len(kinds) != 1:
            raise TypeError(f"{model.__name__}.{column} must have exactly one type of rowferry.declare")
        kind = _with_words(kinds[0], model, column)
        parent = marks[References].table.model_config.get("title") if References in marks else None
        if parent is not None and parent not in known:
            raise TypeError(f"{model.__name__}.{column} refers to {parent}, which must be declared above it")
        if (Key in marks or parent) and kind.ddl != _KEY.ddl:
            raise TypeError(f"{model.__name__}.{column} holds keys, which are {_KEY.ddl}, not {kind.ddl}")
        if Key in marks and getattr(kind, "minimum", 0) < 0:
            raise TypeError(f"{model.__name__}.{column} is the key, and may be negative, which no key may")
        if Key in marks:
            keys.append(column)
        columns.append(Column(column, kind))
        if parent:
            references.append(Reference((column,), parent, known[parent].key))
    if len(keys) != 1:
        raise TypeError(f"{model.__name__} must have exactly one key, an Id; it has {len(keys)}")
    return TableDefinition(name, tuple(columns), tuple(keys), model, tuple(references))


def _with_words(kind: Kind, model: type[BaseModel], column: str) -> Kind:
    """A Choice gets the words of its field's own type."""
    if not isinstance(kind, Choice):
        return kind
    try:
        return kind.of(model.model_fields[column].annotation)
    except ValueError as error:
        raise TypeError(f"{model.__name__}.{column}: {error}") from None


def _check_names(name: str, model: type[BaseModel], known: Mapping[str, TableDefinition]) -> None:
    if wrong := [given for given in (name, *model.model_fields) if not _NAME.fullmatch(given)]:
        raise TypeError(f"{model.__name__}: {wrong[0]!r} can't be a name; a letter, then letters, digits and _ can")
    folded = [given.casefold() for given in model.model_fields]
    if twice := [given for given in model.model_fields if folded.count(given.casefold()) > 1]:
        raise TypeError(f"{model.__name__}: {' and '.join(twice)} differ by upper and lower case only")
    if name in known:
        raise TypeError(f"{model.__name__}: there is a table {name} already")


def read_models(models: Sequence[type[BaseModel]]) -> dict[str, TableDefinition]:
    """The tables that models declare, by name, parents first.

    Raises: TypeError naming the class and column that can't be.
    """
    tables: dict[str, TableDefinition] = {}
    for model in models:
        table = _read(model, tables)
        tables[table.name] = table
    return tables
