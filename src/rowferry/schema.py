"""The tables in MySQL: made where they lack, compared with their declaration where they are."""

import re
from collections.abc import Iterable, Mapping, Sequence

from rowferry import db, information_schema
from rowferry.db import Connection, Row
from rowferry.errors import NotFound, SchemaDiffers
from rowferry.ledger import migrations
from rowferry.record import Field, Schema
from rowferry.tables import TABLES, Table


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


def create(conn: Connection) -> None:
    """Makes every table that is missing; brings Rowferry's own ones to this release's version. Safe to repeat.

    A table of tables.py that is there is left as it is.
    """
    migrations.migrate(conn)
    for statement in map(create_table, TABLES.values()):
        db.run(conn, statement)
    db.run_many(conn, "INSERT IGNORE INTO rowferry_turns (table_name) VALUES (%s)", [(name,) for name in TABLES])


def missing(conn: Connection) -> list[str]:
    """The required tables that are not in the connection's database."""
    there = db.rows(conn, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()")
    names = {str(row["name"]) for row in there}
    return [name for name in (*TABLES, *migrations.TABLES) if name not in names]


def differences(conn: Connection, tables: Iterable[Table] = TABLES.values()) -> list[str]:
    """In words, where the database's tables are not what their classes declare; tables that lack are not in it."""
    return [words for table in tables for words in _differences(conn, table)]


def _differences(conn: Connection, table: Table) -> Sequence[str]:
    return _differing(table, _columns(conn, table))


def _differing(table: Table, there: Mapping[str, Row]) -> Sequence[str]:
    more = [f"{table.name}.{name} is in the database, but not declared" for name in there if name not in table.names]
    return [*more, *_misfits(table, there)]


def misfits(conn: Connection, table: Table) -> Sequence[str]:
    """In words, why the database's table does not take rows of its class as they are; it may have more columns."""
    return _misfits(table, _columns(conn, table))


def _columns(conn: Connection, table: Table) -> Mapping[str, Row]:
    found = db.rows(
        conn,
        "SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_key AS part,"
        " character_set_name AS charset FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table.name,),
    )
    return {str(row["name"]): row for row in found}


def _misfits(table: Table, there: Mapping[str, Row]) -> Sequence[str]:
    words = []
    for column in table.columns if there else ():
        row = there.get(column.name)
        if row is None:
            words.append(f"{table.name}.{column.name} is declared, but not in the database")
        elif (is_now := type_of(row["type"])) != column.kind.ddl:
            words.append(f"{table.name}.{column.name} is {is_now} in the database, declared as {column.kind.ddl}")
        elif (row["part"] == "PRI") != (column.name == table.key):
            words.append(f"{table.name}.{column.name}: the primary key is declared as {table.key}, and is not that")
    return words


def type_of(column_type: object) -> str:
    """A column's type as a `Kind` spells it, without the width that old servers show an INT with, as in `int(11)`."""
    return re.sub(r"\(\d+\)", "", _text(column_type))


_UTF8 = ("utf8mb4", "utf8mb3", "ascii")


def avro_schema(conn: Connection, table: Table) -> Schema:
    """What a backup of a table looks like: types by its declaration, nulls where the database's table may hold them.

    Raises: NotFound where the database has no such table; SchemaDiffers where it is not as declared, or holds what a
    backup can't.
    """
    there = _columns(conn, table)
    if not there:
        raise NotFound(f"the database has no table {table.name}")
    if unfit := information_schema.not_innodb(conn, table.name):
        raise SchemaDiffers(unfit)
    words = list(_differing(table, there))
    for column in table.columns if not words else ():
        row = there[column.name]
        if _text(row["type"]) != column.kind.ddl:
            words.append(f"{table.name}.{column.name} is {_text(row['type'])} in the database, not {column.kind.ddl}")
        if row["charset"] not in (None, *_UTF8):
            words.append(f"{table.name}.{column.name} holds text in {row['charset']}, not UTF-8")
    if words:
        raise SchemaDiffers("; ".join(words))
    nullable = {name for name, row in there.items() if row["nullable"] == "YES"}
    return Schema(table.name, tuple(Field(c.name, c.kind.avro, c.name in nullable) for c in table.columns))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
