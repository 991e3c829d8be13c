"""A table's DDL, and how the database's table differs from its declaration."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from rowferry.declare import information_schema
from rowferry.declare.catalog import TABLES
from rowferry.declare.definition import Column, Reference, TableDefinition
from rowferry.declare.key_sql import column_type
from rowferry.storage.mysql import Connection, Row

_NAME_LENGTH = 64  # of any name in MySQL


def create_table(table: TableDefinition) -> str:
    """A table's DDL, from its declaration."""
    lines = [_column(table, column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({_listed(table.key)})")
    for reference in table.references:
        name = _constraint_name(table, reference)
        parent = f"`{reference.parent}` ({_listed(reference.parent_columns)})"
        lines.append(f"CONSTRAINT `{name}` FOREIGN KEY ({_listed(reference.columns)}) REFERENCES {parent}")
    body = ",\n  ".join(lines)
    return f"CREATE TABLE IF NOT EXISTS `{table.name}` (\n  {body}\n) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"


def _constraint_name(table: TableDefinition, reference: Reference) -> str:
    """At most 64 characters, as MySQL takes them."""
    columns = [*reference.columns]
    others = [one for one in table.references if one.columns == reference.columns]
    if len(others) > 1:  # the same columns refer to two tables
        columns.append(reference.parent)
    name = f"{table.name}_{'_'.join(columns)}"
    if len(name) <= _NAME_LENGTH:
        return name
    return f"{name[: _NAME_LENGTH - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _column(table: TableDefinition, column: Column) -> str:
    null = "NULL" if column.nullable else "NOT NULL"
    counted = " AUTO_INCREMENT" if table.generated and column.name in table.key else ""
    return f"`{column.name}` {column_type(table, column).upper()} {null}{counted}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def differences(conn: Connection, tables: Iterable[TableDefinition] = TABLES.values()) -> list[str]:
    """In words, where the database's tables are not what their classes declare; tables that lack are not in it."""
    return [words for table in tables for words in differing(table, information_schema.columns(conn, table.name))]


def differing(table: TableDefinition, there: Mapping[str, Row]) -> Sequence[str]:
    """In words, how these columns of the database (`information_schema.columns`) differ from the declared ones."""
    more = [f"{table.name}.{name} is in the database, but not declared" for name in there if name not in table.names]
    return [*more, *_misfits(table, there)]


def misfits(conn: Connection, table: TableDefinition) -> Sequence[str]:
    """In words, why the database's table does not take rows of its class as they are; it may have more columns."""
    return _misfits(table, information_schema.columns(conn, table.name))


def _misfits(table: TableDefinition, there: Mapping[str, Row]) -> Sequence[str]:
    words = []
    for column in table.columns if there else ():
        row = there.get(column.name)
        if row is None:
            words.append(f"{table.name}.{column.name} is declared, but not in the database")
        elif (is_now := without_width(row["type"])) != column.kind.ddl:
            words.append(f"{table.name}.{column.name} is {is_now} in the database, declared as {column.kind.ddl}")
        elif (row["part"] == "PRI") != (column.name in table.key):
            words.append(
                f"{table.name}.{column.name}: the primary key is declared as {', '.join(table.key)}, and is not that"
            )
    return words


def fields_loaded(table: TableDefinition) -> tuple[list[str], dict[str, str]]:
    """Of rows in normal form, `columns` and `computed` of mysql.load_local: bytes stand there in hexadecimal digits."""
    given = [column.name for column in table.file_columns]
    as_bytes = {column.name for column in table.file_columns if column.kind.ddl.startswith("varbinary")}
    names = [f"@`{name}`" if name in as_bytes else name for name in given]
    return names, {name: f"UNHEX(@`{name}`)" for name in given if name in as_bytes}


def without_width(column_type: str) -> str:
    """A column's type as a `Kind` spells it, without the width that old servers show an INT with, as in `int(11)`."""
    return re.sub(r"^((?:small|medium|big)?int)\(\d+\)", r"\1", column_type)
