"""A backup in a temporary table beside the table that it is for: loaded, verified, compared.

The shadow is this session's own, takes no part in any transaction of the table, and is gone with the session.
"""

import hashlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rowferry.backup import record
from rowferry.backup.avro import Reader
from rowferry.backup.export import Manifest, reading
from rowferry.backup.key_range import Bound, Range, literal
from rowferry.backup.record import Checksum, Schema
from rowferry.declare.definition import Column, TableDefinition
from rowferry.declare.key_sql import column_type, columns_sql, same_key
from rowferry.errors import BackupDamaged
from rowferry.ledger.jobs import Tick
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

PART_BYTES = 8 * 1024**2
"""Of text, to one LOAD DATA: no local file is larger, but by a block."""
RANGE_ROWS = 50_000
"""Keys to one statement: it ends long before a connection's patience does, and a job's lease."""


@dataclass(frozen=True)
class Target:
    """A table to be restored and the backup that it is restored from.

    `table`: by its declaration, under the name that it has in the database. `now`: its columns as they are there.
    `direct`: the table is empty and takes the backup itself, within the transaction; there is no shadow.
    """

    table: TableDefinition
    now: Schema
    manifest: Manifest
    direct: bool = False

    @property
    def source(self) -> str:
        """The table that has the backup's rows."""
        return self.name if self.direct else self.shadow

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def shadow(self) -> str:
        return temporary("shadow", self.name)

    @property
    def changes(self) -> str:
        """The keys of rows that are to be inserted or updated."""
        return temporary("changes", self.name)


def temporary(kind: str, *names: str) -> str:
    """A temporary table's name: of its own for these names, however long they are."""
    return f"rowferry_{kind}_{hashlib.sha256('.'.join(names).encode()).hexdigest()[:16]}"


class NotLoaded(BackupDamaged):
    """Not all rows went in, or not as they were: the backup is not what it says, or the table was not empty."""


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

    Raises: NotLoaded where what is in it then is not what was backed up, byte for byte; BackupDamaged.
    """
    nullable = {field.name for field in target.now.fields if field.nullable}
    columns = ", ".join(
        _column(target.table, column, "NULL" if column.name in nullable else "NOT NULL")
        for column in target.table.columns
    )
    own = columns_sql(target.table.key)
    make_temporary(conn, target.shadow, f"{columns}, PRIMARY KEY ({own})")
    keys = ", ".join(_column(target.table, target.table.column(name), "NOT NULL") for name in target.table.key)
    make_temporary(conn, target.changes, f"{keys}, rowferry_is_new BOOLEAN NOT NULL, PRIMARY KEY ({own})")
    fill(conn, bucket, target, target.shadow, tick)


def _column(table: TableDefinition, column: Column, null: str) -> str:
    return f"`{column.name}` {column_type(table, column)} {null}"


def make_temporary(conn: Connection, name: str, definition: str) -> None:
    """A table of this session; making and dropping it commits nothing."""
    mysql.run(conn, f"DROP TEMPORARY TABLE IF EXISTS `{name}`")
    mysql.run(conn, f"CREATE TEMPORARY TABLE `{name}` ({definition}) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4")


def fill(conn: Connection, bucket: Bucket, target: Target, name: str, tick: Tick) -> None:
    """Loads the backup into an empty table, and compares what is in it with what was backed up.

    Raises: NotLoaded, BackupDamaged.
    """
    manifest, sent = target.manifest, Checksum()
    with reading(bucket, manifest) as reader, tempfile.TemporaryDirectory(prefix="rowferry-") as folder:
        for path, rows in _parts(reader, Path(folder), sent):
            tick()
            if not _is_loaded(conn, path, name, target, reader.schema, rows):
                raise NotLoaded(f"not all rows could be loaded for {target.name}")
    if not manifest.describes(sent.rows, sent.digits):
        raise NotLoaded(f"what backup {manifest.id} of {manifest.table} holds is not what was backed up")
    if _contents(conn, name, target.table.key, reader.schema, tick) != (sent.rows, sent.digits):
        raise NotLoaded(f"what backup {manifest.id} loads for {target.name} is not what was backed up")


def _contents(conn: Connection, name: str, key: Sequence[str], schema: Schema, tick: Tick) -> tuple[int, str]:
    """How many rows a table has and their checksum, asked range by range."""
    rows, checksum = 0, 0
    for part in ranges(conn, [name], key, tick):
        found = mysql.row(
            conn,
            f"SELECT COUNT(*) AS n, {record.checksum_sql(schema, 's')} AS checksum FROM `{name}` s"
            f" WHERE {part.sql(key, 's')}",
        )
        if found and found["n"]:
            rows, checksum = rows + found["n"], checksum ^ int(found["checksum"], 16)
    return rows, f"{checksum:064x}"


def _parts(reader: Reader, folder: Path, sent: Checksum) -> Iterator[tuple[Path, int]]:
    """Files for LOAD DATA with how many rows each holds; while one is loaded the next is written, to another name."""
    batches = reader.batches()
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_write_part, folder / "rows-0.tsv", batches, sent)
        for number in itertools.count(1):
            path, rows = ahead.result()
            if not rows:
                return
            ahead = pool.submit(_write_part, folder / f"rows-{number % 2}.tsv", batches, sent)
            yield path, rows


def _write_part(path: Path, batches: Iterator[Sequence[bytes]], sent: Checksum) -> tuple[Path, int]:
    rows = 0
    with path.open("wb") as fp:
        for lines in batches:
            sent.add(lines)
            fp.write(b"\n".join(lines) + b"\n")
            rows += len(lines)
            if fp.tell() >= PART_BYTES:
                break
    return path, rows


def _is_loaded(conn: Connection, path: Path, name: str, target: Target, schema: Schema, rows: int) -> bool:
    try:
        return _load_part(conn, str(path), name, target.table, schema) == (rows, 0)
    except mysql.ValueRefused:  # bytes that are no text
        return False


def _load_part(conn: Connection, path: str, name: str, table: TableDefinition, schema: Schema) -> tuple[int, int]:
    given = {field.name: _GIVEN[field.type].format(f"@{field.name}") for field in schema.fields if field.type in _GIVEN}
    columns = [f"@{field.name}" if field.name in given else field.name for field in schema.fields]
    new = set(table.names) - {field.name for field in schema.fields}  # NULL, whatever default the column has
    return mysql.load_local(conn, path, name, columns, given | dict.fromkeys(new, "NULL"))


_GIVEN = {
    "timestamp-millis": "FROM_UNIXTIME({})",
    "timestamp-micros": "FROM_UNIXTIME(CAST({} AS DECIMAL(20,6)))",
    "bytes": "UNHEX({})",
}
"""What becomes of a line's field that is not the column's value itself."""


# --- comparing -------------------------------------------------------------------------------------------------------


def is_empty(conn: Connection, target: Target) -> bool:
    return mysql.row(conn, f"SELECT 1 FROM `{target.name}` LIMIT 1") is None


def ranges(conn: Connection, names: Sequence[str], key: Sequence[str], tick: Tick) -> Iterator[Range]:
    """All keys, in ranges of so many rows of each of these tables at most."""
    low: Bound | None = None
    while True:
        tick()
        ends = [end for name in names if (end := _end(conn, name, key, low)) is not None]
        high = _least(conn, ends) if ends else None
        yield Range(low, high)
        if high is None:
            return
        low = high


def _end(conn: Connection, name: str, key: Sequence[str], low: Bound | None) -> Bound | None:
    after, own = Range(low, None).sql(key), columns_sql(tuple(key))
    sql = f"SELECT {own} FROM `{name}` WHERE {after} ORDER BY {own} LIMIT 1 OFFSET {RANGE_ROWS - 1}"
    found = mysql.row(conn, sql)
    return tuple(literal(found[column]) for column in key) if found else None


def _least(conn: Connection, ends: Sequence[Bound]) -> Bound:
    """The first of them in the order of the tables' keys; MySQL compares."""
    least = ends[0]
    for end in ends[1:]:
        columns = [f"k{number}" for number in range(len(end))]
        values = ", ".join(f"{value} AS {column}" for value, column in zip(end, columns, strict=True))
        if mysql.row(conn, f"SELECT 1 FROM (SELECT {values}) one WHERE {Range(None, least).sql(columns)}"):
            least = end
    return least


def classify(conn: Connection, target: Target, part: Range) -> Counts:
    """What a restore would do to the rows of a range. Notes the keys of those to be inserted or updated; locks nothing.

    At READ COMMITTED: with a higher isolation MySQL would lock what it reads here.
    """
    key, first = target.table.key, target.table.key[0]
    changed = mysql.run(
        conn,
        f"INSERT INTO `{target.changes}` SELECT {columns_sql(key, 's')}, t.`{first}` IS NULL FROM `{target.shadow}` s"
        f" LEFT JOIN `{target.name}` t ON {same_key(target.table, 't', 's')}"
        f" WHERE (t.`{first}` IS NULL OR NOT ({_same(target)})) AND {part.sql(key, 's')}",
    )
    new = _count(conn, target.changes, f"rowferry_is_new AND {part.sql(key)}") if changed else 0
    wanted, there = (_count(conn, name, part.sql(key)) for name in (target.shadow, target.name))
    return Counts(new, changed - new, there - (wanted - new), wanted - changed)


def forget(conn: Connection, target: Target, tick: Tick) -> None:
    """The keys that `classify` noted."""
    empty(conn, target.changes, target.table.key, tick)


def empty(conn: Connection, name: str, key: Sequence[str], tick: Tick) -> None:
    """Deletes what is in a temporary table with this key; TRUNCATE would commit."""
    for part in ranges(conn, [name], key, tick):
        mysql.run(conn, f"DELETE FROM `{name}` WHERE {part.sql(key)}")


def _count(conn: Connection, name: str, where: str) -> int:
    return count(conn, f"FROM `{name}` WHERE {where}")


def count(conn: Connection, rest: str) -> int:
    """How many rows a SELECT has that goes on with `rest`."""
    found = mysql.row(conn, f"SELECT COUNT(*) AS n {rest}")
    assert found
    return int(found["n"])


def _same(target: Target) -> str:
    """Whether a row `t` of the table is its shadow `s`, byte for byte; nulls are alike."""
    others = [column for column in target.table.columns if column.name not in target.table.key]
    return " AND ".join(map(_same_column, others)) or "TRUE"


def _same_column(column: Column) -> str:
    mine, its = f"t.`{column.name}`", f"s.`{column.name}`"
    if "char" in column.kind.ddl or "text" in column.kind.ddl:  # the default collation calls 'Sales' and 'sáles' equal
        return f"CAST({mine} AS BINARY) <=> CAST({its} AS BINARY)"
    return f"{mine} <=> {its}"


def lock_changing(conn: Connection, target: Target, part: Range, lost_only: bool) -> None:
    """Locks the table's rows of a range that the backup does not have or, unless `lost_only`, has otherwise."""
    key, first = target.table.key, target.table.key[0]
    changing = f"s.`{first}` IS NULL" if lost_only else f"(s.`{first}` IS NULL OR NOT ({_same(target)}))"
    count(
        conn,
        f"FROM (SELECT {columns_sql(key, 't')} FROM `{target.name}` t"
        f" LEFT JOIN `{target.shadow}` s ON {same_key(target.table, 's', 't')}"
        f" WHERE {changing} AND {part.sql(key, 't')}) changing"
        f" STRAIGHT_JOIN `{target.name}` x ON {same_key(target.table, 'x', 'changing')} FOR UPDATE OF x",
    )


# --- writing ---------------------------------------------------------------------------------------------------------


def insert(conn: Connection, target: Target, part: Range, also_changed: bool = False) -> int:
    """The rows that `classify` noted as new; `also_changed`: and those as different, which `delete_changed` deleted."""
    which = "TRUE" if also_changed else "c.rowferry_is_new"
    names, theirs = columns_sql(target.table.names), columns_sql(target.table.names, "s")
    key = target.table.key
    return mysql.run(
        conn,
        f"INSERT INTO `{target.name}` ({names}) SELECT {theirs} FROM `{target.changes}` c"
        f" STRAIGHT_JOIN `{target.shadow}` s ON {same_key(target.table, 's', 'c')}"
        f" WHERE {which} AND {part.sql(key, 'c')} ORDER BY {columns_sql(key, 'c')}",
    )


def update(conn: Connection, target: Target, part: Range) -> int:
    """The rows that `classify` noted as different."""
    key = target.table.key
    values = ", ".join(f"t.`{name}` = s.`{name}`" for name in target.table.names if name not in key)
    return mysql.run(
        conn,
        f"UPDATE `{target.changes}` c STRAIGHT_JOIN `{target.shadow}` s ON {same_key(target.table, 's', 'c')}"
        f" STRAIGHT_JOIN `{target.name}` t ON {same_key(target.table, 't', 'c')}"
        f" SET {values} WHERE NOT c.rowferry_is_new AND {part.sql(key, 'c')}",
    )


def delete(conn: Connection, target: Target, part: Range) -> int:
    """The rows that are not in the backup."""
    key = target.table.key
    return mysql.run(
        conn,
        f"DELETE t FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON {same_key(target.table, 's', 't')}"
        f" WHERE s.`{key[0]}` IS NULL AND {part.sql(key, 't')}",
    )


def delete_changed(conn: Connection, target: Target, part: Range) -> int:
    """The rows that `classify` noted as different."""
    return mysql.run(
        conn,
        f"DELETE t FROM `{target.changes}` c STRAIGHT_JOIN `{target.name}` t ON {same_key(target.table, 't', 'c')}"
        f" WHERE NOT c.rowferry_is_new AND {part.sql(target.table.key, 'c')}",
    )
