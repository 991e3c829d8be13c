"""A table's DDL, and how the database's table differs from its declaration."""

import re
from collections.abc import Iterable, Mapping, Sequence

from rowferry.declare import information_schema
from rowferry.declare.catalog import TABLES
from rowferry.declare.table import Table
from rowferry.storage.mysql import Connection, Row


def create_table(table: Table) -> str:
    """A table's DDL, from its declaration."""
    lines = [f"`{column.name}` {column.kind.ddl.upper()} NOT NULL" for column in table.columns]
    lines.append(f"PRIMARY KEY (`{table.key}`)")
    for column in table.references:
        parent = TABLES[str(column.parent)]
        name = f"{table.name}_{column.name}"
        lines.append(f"CONSTRAINT `{name}` FOREIGN KEY (`{column.name}`) REFERENCES `{parent.name}` (`{parent.key}`)")
    body = ",\n  ".join(lines)
    return f"CREATE TABLE IF NOT EXISTS `{table.name}` (\n  {body}\n) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"


def differences(conn: Connection, tables: Iterable[Table] = TABLES.values()) -> list[str]:
    """In words, where the database's tables are not what their classes declare; tables that lack are not in it."""
    return [words for table in tables for words in differing(table, information_schema.columns(conn, table.name))]


def differing(table: Table, there: Mapping[str, Row]) -> Sequence[str]:
    """In words, how these columns of the database (`information_schema.columns`) differ from the declared ones."""
    more = [f"{table.name}.{name} is in the database, but not declared" for name in there if name not in table.names]
    return [*more, *_misfits(table, there)]


def misfits(conn: Connection, table: Table) -> Sequence[str]:
    """In words, why the database's table does not take rows of its class as they are; it may have more columns."""
    return _misfits(table, information_schema.columns(conn, table.name))


def _misfits(table: Table, there: Mapping[str, Row]) -> Sequence[str]:
    words = []
    for column in table.columns if there else ():
        row = there.get(column.name)
        if row is None:
            words.append(f"{table.name}.{column.name} is declared, but not in the database")
        elif (is_now := without_width(row["type"])) != column.kind.ddl:
            words.append(f"{table.name}.{column.name} is {is_now} in the database, declared as {column.kind.ddl}")
        elif (row["part"] == "PRI") != (column.name == table.key):
            words.append(f"{table.name}.{column.name}: the primary key is declared as {table.key}, and is not that")
    return words


def fields_loaded(table: Table) -> tuple[list[str], dict[str, str]]:
    """Of rows in normal form, `columns` and `computed` of mysql.load_local: bytes stand there in hexadecimal digits."""
    as_bytes = {column.name for column in table.columns if column.kind.ddl.startswith("varbinary")}
    names = [f"@`{name}`" if name in as_bytes else name for name in table.names]
    return names, {name: f"UNHEX(@`{name}`)" for name in table.names if name in as_bytes}


def without_width(column_type: str) -> str:
    """A column's type as a `Kind` spells it, without the width that old servers show an INT with, as in `int(11)`."""
    return re.sub(r"^((?:small|medium|big)?int)\(\d+\)", r"\1", column_type)
