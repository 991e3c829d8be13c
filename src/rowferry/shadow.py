"""A backup in a temporary table beside the table that it is for: loaded, verified, compared.

The shadow is this session's own, takes no part in any transaction of the table, and is gone with the session.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rowferry import avro, db
from rowferry.avro import Reader, Schema
from rowferry.backup import Manifest, data_key
from rowferry.db import Connection
from rowferry.errors import BackupDamaged
from rowferry.jobs import Tick
from rowferry.s3 import Bucket
from rowferry.tables import Column, Table
from rowferry.values import Text

PART_BYTES = 8 * 1024**2
"""Of text, to one LOAD DATA: no local file is larger, but by a block."""
RANGE_ROWS = 50_000
"""Keys to one statement: it ends long before a connection's patience does."""


@dataclass(frozen=True)
class Target:
    """A table to be restored and the backup that it is restored from.

    `table`: by its declaration, under the name that it has in the database. `now`: its columns as they are there.
    """

    table: Table
    now: Schema
    manifest: Manifest
    shadow: str

    @property
    def name(self) -> str:
        return self.table.name


@dataclass(frozen=True)
class Range:
    """Keys above `low` up to `high`; None: no bound."""

    low: int | None
    high: int | None

    def sql(self, key: str) -> str:
        bounds = [f"{key} {sign} {at:d}" for sign, at in ((">", self.low), ("<=", self.high)) if at is not None]
        return " AND ".join(bounds) or "TRUE"


@dataclass(frozen=True)
class Counts:
    """What a restore does to rows, or would do."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.unchanged + other.unchanged,
        )


# --- loading ---------------------------------------------------------------------------------------------------------


def load(conn: Connection, bucket: Bucket, target: Target, tick: Tick) -> None:
    """Makes the shadow and loads the backup into it.

    Raises: BackupDamaged where what is in it then is not what was backed up, byte for byte.
    """
    nullable = {field.name for field in target.now.fields if field.nullable}
    columns = ", ".join(
        f"`{column.name}` {column.kind.ddl} {'NULL' if column.name in nullable else 'NOT NULL'}"
        for column in target.table.columns
    )
    db.run(conn, f"DROP TEMPORARY TABLE IF EXISTS `{target.shadow}`")
    db.run(
        conn,
        f"CREATE TEMPORARY TABLE `{target.shadow}` ({columns}, PRIMARY KEY (`{target.table.key}`))"
        " ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
    )
    fill(conn, bucket, target, target.shadow, tick)


def fill(conn: Connection, bucket: Bucket, target: Target, name: str, tick: Tick) -> None:
    """Loads the backup into an empty table, and compares what is in it with what was backed up.

    Raises: BackupDamaged.
    """
    with bucket.read(data_key(target.manifest.table, target.manifest.id)) as fp:
        reader = Reader(fp)
        for path, rows in _parts(reader):
            tick()
            if _load_part(conn, path, name, reader.schema) != (rows, 0):
                raise BackupDamaged(f"not all rows of backup {target.manifest.id} could be loaded for {target.name}")
    tick()
    sql = f"SELECT COUNT(*) AS n, {avro.checksum_sql(reader.schema, 's')} AS checksum FROM `{name}` s"
    found = db.row(conn, sql) or {}
    checksum = found["checksum"] if found["n"] else "0" * 64
    if (found["n"], checksum) != (target.manifest.rows, target.manifest.checksum):
        raise BackupDamaged(f"what backup {target.manifest.id} loads for {target.name} is not what was backed up")


def _parts(reader: Reader) -> Iterator[tuple[str, int]]:
    """Temporary files for LOAD DATA, one at a time, each with how many rows it holds."""
    with tempfile.TemporaryDirectory(prefix="rowferry-") as folder:
        path = Path(folder) / "rows.tsv"
        blocks = reader.blocks()
        while True:
            rows = 0
            with path.open("wb") as fp:
                for count, block in blocks:
                    fp.writelines(avro.lines(reader.schema, count, block))
                    rows += count
                    if fp.tell() >= PART_BYTES:
                        break
            if not rows:
                return
            yield str(path), rows


def _load_part(conn: Connection, path: str, table: str, schema: Schema) -> tuple[int, int]:
    moments = [field.name for field in schema.fields if field.type == "timestamp-millis"]
    columns = [f"@{field.name}" if field.name in moments else field.name for field in schema.fields]
    return db.load_local(conn, path, table, columns, {name: f"FROM_UNIXTIME(@{name})" for name in moments})


# --- comparing -------------------------------------------------------------------------------------------------------


def ranges(conn: Connection, target: Target, tick: Tick) -> Iterator[Range]:
    """All keys, in ranges of so many rows of the table and of its shadow at most."""
    low: int | None = None
    while True:
        tick()
        ends = [_end(conn, name, target.table.key, low) for name in (target.name, target.shadow)]
        high = min((end for end in ends if end is not None), default=None)
        yield Range(low, high)
        if high is None:
            return
        low = high


def _end(conn: Connection, name: str, key: str, low: int | None) -> int | None:
    after = Range(low, None).sql(f"`{key}`")
    sql = f"SELECT `{key}` AS k FROM `{name}` WHERE {after} ORDER BY `{key}` LIMIT 1 OFFSET {RANGE_ROWS - 1}"
    found = db.row(conn, sql)
    return int(found["k"]) if found else None


def compare(conn: Connection, target: Target, part: Range) -> Counts:
    """What a restore would do to the rows of a range."""
    key = target.table.key
    both = db.row(
        conn,
        f"SELECT COUNT(*) AS n, COALESCE(SUM(NOT ({same(target)})), 0) AS differ FROM `{target.shadow}` s"
        f" STRAIGHT_JOIN `{target.name}` t ON t.`{key}` = s.`{key}` WHERE {part.sql(f's.`{key}`')}",
    )
    assert both
    there, differ = int(both["n"]), int(both["differ"])
    new, old = (_count(conn, name, part.sql(f"`{key}`")) for name in (target.shadow, target.name))
    return Counts(new - there, differ, old - there, there - differ)


def _count(conn: Connection, name: str, where: str) -> int:
    found = db.row(conn, f"SELECT COUNT(*) AS n FROM `{name}` WHERE {where}")
    assert found
    return int(found["n"])


def same(target: Target) -> str:
    """Whether a row `t` of the table is its shadow `s`, byte for byte; nulls are alike."""
    others = [column for column in target.table.columns if column.name != target.table.key]
    return " AND ".join(map(_same, others)) or "TRUE"


def _same(column: Column) -> str:
    mine, its = f"t.`{column.name}`", f"s.`{column.name}`"
    if isinstance(column.kind, Text):  # the default collation calls 'Sales' and 'sáles' equal
        return f"CAST({mine} AS BINARY) <=> CAST({its} AS BINARY)"
    return f"{mine} <=> {its}"


# --- writing ---------------------------------------------------------------------------------------------------------


def insert(conn: Connection, target: Target, part: Range) -> int:
    key, names = target.table.key, _names(target.table.names)
    return db.run(
        conn,
        f"INSERT INTO `{target.name}` ({names}) SELECT {_names(target.table.names, 's.')} FROM `{target.shadow}` s"
        f" LEFT JOIN `{target.name}` t ON t.`{key}` = s.`{key}`"
        f" WHERE t.`{key}` IS NULL AND {part.sql(f's.`{key}`')} ORDER BY s.`{key}`",
    )


def update(conn: Connection, target: Target, part: Range) -> int:
    key = target.table.key
    values = ", ".join(f"t.`{name}` = s.`{name}`" for name in target.table.names if name != key)
    return db.run(
        conn,
        f"UPDATE `{target.shadow}` s STRAIGHT_JOIN `{target.name}` t ON t.`{key}` = s.`{key}` SET {values}"
        f" WHERE NOT ({same(target)}) AND {part.sql(f's.`{key}`')}",
    )


def delete(conn: Connection, target: Target, part: Range) -> int:
    key = target.table.key
    return db.run(
        conn,
        f"DELETE t FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{key}` = t.`{key}`"
        f" WHERE s.`{key}` IS NULL AND {part.sql(f't.`{key}`')}",
    )


def _names(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}`{name}`" for name in names)
