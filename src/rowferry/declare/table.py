"""What the rest of the core knows of a declared table, read from its Pydantic class.

Its fields are the columns, in their order, each `Annotated` with one type of rowferry.declare; columns marked `Key()`
are the primary key. A column that is also marked with `References` holds keys of a class that stands above it, so a
table can't refer to itself and parents always come first. All that is wrong in all classes is told at once.
"""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import Column, TableDefinition
from rowferry.declare.references import Marked, read_references
from rowferry.declare.table_class import Key, References, Table, table_name
from rowferry.declare.types import KINDS, Binary, Choice, Double, Json, Kind, Text, Varchar

_TABLE_NAME = re.compile("(?!rowferry_|all$)[a-z][a-z0-9_]{0,63}", re.IGNORECASE | re.ASCII)
"""What MySQL, Avro, a path and `/backup/all` take alike."""

_COLUMN_NAME = re.compile("(?!rowferry_)[a-z][a-z0-9_]{0,63}", re.IGNORECASE | re.ASCII)
"""What MySQL, Avro and the columns of rejects (`_line`) take alike."""

_NO_KEYS = (Double, Text, Json)
_KEY_BYTES = 3072  # of an index in MySQL


def read_models(models: Iterable[type[BaseModel]]) -> dict[str, TableDefinition]:
    """The tables that models declare, by name, parents first.

    Raises: TypeError, with all that can't be, each with its class and field.
    """
    tables: dict[str, TableDefinition] = {}
    problems, broken = list[str](), list[type[BaseModel]]()
    for model in models:
        reader = _Reader(model, tables, broken)
        table = reader.read()
        if reader.problems:
            broken.append(model)
            problems += [f"{model.__name__}{words}" for words in reader.problems]
        else:
            tables[table.name] = table
    if problems:
        raise TypeError("; ".join(problems))
    return tables


class _Reader:
    """Reads one class. `problems`: what can't be; each follows the class's name."""

    def __init__(
        self, model: type[BaseModel], known: Mapping[str, TableDefinition], broken: Sequence[type[BaseModel]]
    ) -> None:
        self._model = model
        self._known = known
        self._broken = broken
        self._name = table_name(model)
        self.problems = list[str]()

    def read(self) -> TableDefinition:
        """Only for use where there are no problems."""
        self._check_name()
        self._refuse_rules_of_the_class()
        columns, keys, marked = list[Column](), list[str](), list[Marked]()
        for field_name, field in self._model.model_fields.items():
            name = field.alias or field_name
            self._check_column(name, field, [column.name for column in columns])
            kind = self._kind(name, field)
            if kind is None:
                continue
            column = Column(name, kind)
            columns.append(column)
            if any(isinstance(mark, Key) for mark in field.metadata):
                keys.append(name)
            marked += [Marked(column, mark) for mark in field.metadata if isinstance(mark, References)]
        self._check_key(keys, columns)
        references, wrong = read_references(marked, self._known, self._broken)
        self.problems += wrong
        csv = self._csv([column.name for column in columns])
        return TableDefinition(self._name, tuple(columns), tuple(keys), self._model, references, csv=csv)

    def _check_name(self) -> None:
        same = [name for name in self._known if name.casefold() == self._name.casefold()]
        if not self._name:
            self.problems.append(f' has no name: write class {self._model.__name__}(Table, name="…")')
        elif not _TABLE_NAME.fullmatch(self._name):
            self.problems.append(f": {self._name!r} can't be a name; a letter, then letters, digits and _ can")
        elif same:
            self.problems.append(f": there is a table {same[0]} already")

    def _refuse_rules_of_the_class(self) -> None:
        """What would be passed over without a word."""
        found = self._model.__pydantic_decorators__
        for name in (*found.field_validators, *found.model_validators, *found.validators, *found.root_validators):
            self.problems.append(f".{name}: validators of your own are not supported yet")

    def _check_column(self, name: str, field: FieldInfo, before: Sequence[str]) -> None:
        if not _COLUMN_NAME.fullmatch(name):
            self.problems.append(f": {name!r} can't be a name; a letter, then letters, digits and _ can")
        if name.casefold() in map(str.casefold, before):
            self.problems.append(f".{name}: there is a column of this name already; upper and lower case are the same")
        if _may_be_none(field.annotation):
            self.problems.append(f".{name} may be None: columns that may be empty are not supported yet")
        elif not field.is_required():
            self.problems.append(f".{name} has a default, which a file's empty field would not get: leave it out")
        for mark in field.metadata:
            if not isinstance(mark, (*KINDS, Key, References)) and not _lacks_parentheses(mark):
                self.problems.append(f".{name}: {mark!r} is not supported yet as a rule")

    def _kind(self, name: str, field: FieldInfo) -> Kind | None:
        """The column's type; a Choice gets the words of its field's own type."""
        bare = [mark.__name__ for mark in field.metadata if _lacks_parentheses(mark)]
        kinds = [mark for mark in field.metadata if isinstance(mark, KINDS)]
        if bare:
            self.problems += [f".{name}: write {mark}(), with parentheses" for mark in bare]
            return None
        if len(kinds) != 1:
            has = f"{' and '.join(type(kind).__name__ for kind in kinds)}" if kinds else "none"
            self.problems.append(f".{name} must have exactly one type of rowferry.declare; it has {has}")
            return None
        kind: Kind = kinds[0]
        try:
            return kind.of(field.annotation) if isinstance(kind, Choice) else kind
        except ValueError as error:
            self.problems.append(f".{name}: {error}")
            return None

    def _check_key(self, keys: Sequence[str], columns: Sequence[Column]) -> None:
        kinds = {column.name: column.kind for column in columns if column.name in keys}
        if not keys:
            self.problems.append(" has no key: mark one column or several with Key()")
        for name, kind in kinds.items():
            if isinstance(kind, _NO_KEYS):
                instead = "; take a Varchar" if isinstance(kind, Text) else ""
                self.problems.append(f".{name} is a key, which can't be a {type(kind).__name__}{instead}")
        size = sum(map(_bytes_in_index, kinds.values()))
        if size > _KEY_BYTES:
            words = f" the key ({', '.join(keys)}) may be {size} bytes long; an index of MySQL takes {_KEY_BYTES}"
            self.problems.append(f":{words}. Each character counts as 4")

    def _csv(self, names: Sequence[str]) -> CsvFormat:
        csv = self._model.__csv_format__ if issubclass(self._model, Table) else CsvFormat()
        if wrong := [name for name in csv.names.values() if name not in names]:
            self.problems.append(f": csv has names for {', '.join(wrong)}, which the table does not have as a column")
        return csv


def _lacks_parentheses(mark: Any) -> bool:
    return isinstance(mark, type) and issubclass(mark, (*KINDS, Key, References))


def _may_be_none(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _bytes_in_index(kind: Kind) -> int:
    """At most, of kinds that keys have."""
    if isinstance(kind, Varchar):
        return 4 * kind.length
    if isinstance(kind, Choice):
        return 4 * max(map(len, kind.words))
    if isinstance(kind, Binary):
        return kind.length
    return 4 * 36 if kind.ddl == "char(36)" else 30
