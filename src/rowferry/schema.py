"""The tables in MySQL: made where they lack, compared with their declaration where they are."""

import re
from collections.abc import Iterable, Mapping, Sequence

from rowferry import db
from rowferry.avro import Field, Schema
from rowferry.db import Connection, Row
from rowferry.errors import NotFound, SchemaDiffers
from rowferry.tables import TABLES, Table

RUNS = """
CREATE TABLE IF NOT EXISTS rowferry_runs (
  id CHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  claim BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE COMMENT 'the order of claims',
  bucket VARCHAR(63) CHARACTER SET ascii NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  version_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  etag VARCHAR(255) CHARACTER SET ascii NOT NULL,
  uploaded_at DATETIME(6) NOT NULL,
  table_name VARCHAR(64) NOT NULL COMMENT 'empty: the path names no table',
  kind VARCHAR(8) NOT NULL COMMENT 'load or check',
  execution VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status VARCHAR(16) NOT NULL COMMENT 'running, done, refused, gated, superseded, checked or failed',
  stage VARCHAR(16) NOT NULL COMMENT 'the state that the run is in',
  reason TEXT NULL COMMENT 'why it was refused, gated or failed',
  lasting BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it failed for a reason that starting it again does not cure',
  starts INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'executions that have had it',
  lease_until DATETIME(6) NOT NULL,
  options JSON NOT NULL,
  dialect JSON NULL,
  records BIGINT UNSIGNED NULL COMMENT 'counted by Plan',
  batches INT UNSIGNED NULL,
  verdict JSON NULL COMMENT 'what Reconcile and the gate decided',
  low_key BIGINT NULL,
  high_key BIGINT NULL,
  turn VARCHAR(8) NULL COMMENT 'waiting for or holding its range of keys',
  report JSON NULL,
  started_at DATETIME(6) NOT NULL,
  claimed_at DATETIME(6) NOT NULL COMMENT 'by the execution that has it',
  finished_at DATETIME(6) NULL,
  KEY execution (execution),
  KEY table_status (table_name, status),
  KEY object_key (bucket, object_key(255))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

BATCHES = """
CREATE TABLE IF NOT EXISTS rowferry_batches (
  run_id CHAR(32) CHARACTER SET ascii NOT NULL,
  batch INT UNSIGNED NOT NULL,
  records BIGINT UNSIGNED NOT NULL,
  inserted BIGINT UNSIGNED NOT NULL DEFAULT 0,
  updated BIGINT UNSIGNED NOT NULL DEFAULT 0,
  unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejected BIGINT UNSIGNED NOT NULL DEFAULT 0,
  withheld BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_insert BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'of those withheld, for a check',
  would_update BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejects_key VARCHAR(1024) NULL COMMENT 'rejects that this batch found while loading',
  committed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (run_id, batch),
  CONSTRAINT rowferry_batches_run FOREIGN KEY (run_id) REFERENCES rowferry_runs (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

JOBS = """
CREATE TABLE IF NOT EXISTS rowferry_jobs (
  id CHAR(29) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'sorts by time; a backup has its own as its name',
  kind VARCHAR(9) NOT NULL COMMENT 'backup, restore or rehearsal',
  table_names VARCHAR(1024) NOT NULL COMMENT 'that it reads or writes, commas between',
  status VARCHAR(8) NOT NULL COMMENT 'running, done or failed',
  reason TEXT NULL COMMENT 'why it failed',
  result JSON NULL,
  lease_until DATETIME(6) NOT NULL,
  guarded BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it lives no longer than its session, which has a lock',
  started_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  KEY status (status)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

TURNS = """
CREATE TABLE IF NOT EXISTS rowferry_turns (
  table_name VARCHAR(64) NOT NULL PRIMARY KEY COMMENT 'locked by whoever decides whose turn it is'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""


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
    """Makes every table that lacks, Rowferry's own ones too. Safe to repeat; changes no table that is there."""
    for statement in (RUNS, BATCHES, JOBS, TURNS, *map(create_table, TABLES.values())):
        db.run(conn, statement)
    db.run_many(conn, "INSERT IGNORE INTO rowferry_turns (table_name) VALUES (%s)", [(name,) for name in TABLES])


def missing(conn: Connection) -> list[str]:
    """The required tables that are not in the connection's database."""
    there = db.rows(conn, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()")
    names = {str(row["name"]) for row in there}
    return [name for name in (*TABLES, *_OWN) if name not in names]


_OWN = ("rowferry_runs", "rowferry_batches", "rowferry_jobs", "rowferry_turns")


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
