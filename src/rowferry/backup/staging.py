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
from rowferry.backup.record import Checksum, Schema
from rowferry.declare.table import Column, Table
from rowferry.declare.types import Text
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

    table: Table
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

    Raises: NotLoaded where what is in it then is not what was backed up, byte for byte; BackupDamaged.
    """
    nullable = {field.name for field in target.now.fields if field.nullable}
    columns = ", ".join(
        f"`{column.name}` {column.kind.ddl} {'NULL' if column.name in nullable else 'NOT NULL'}"
        for column in target.table.columns
    )
    make_temporary(conn, target.shadow, f"{columns}, PRIMARY KEY (`{target.table.key}`)")
    make_temporary(conn, target.changes, "k BIGINT NOT NULL PRIMARY KEY, is_new BOOLEAN NOT NULL")
    fill(conn, bucket, target, target.shadow, tick)


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


def _contents(conn: Connection, name: str, key: str, schema: Schema, tick: Tick) -> tuple[int, str]:
    """How many rows a table has and their checksum, asked range by range."""
    rows, checksum = 0, 0
    for part in ranges(conn, [name], key, tick):
        found = mysql.row(
            conn,
            f"SELECT COUNT(*) AS n, {record.checksum_sql(schema, 's')} AS checksum FROM `{name}` s"
            f" WHERE {part.sql(f's.`{key}`')}",
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


def _load_part(conn: Connection, path: str, name: str, table: Table, schema: Schema) -> tuple[int, int]:
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


def ranges(conn: Connection, names: Sequence[str], key: str, tick: Tick) -> Iterator[Range]:
    """All keys, in ranges of so many rows of each of these tables at most."""
    low: int | None = None
    while True:
        tick()
        ends = [_end(conn, name, key, low) for name in names]
        high = min((end for end in ends if end is not None), default=None)
        yield Range(low, high)
        if high is None:
            return
        low = high


def _end(conn: Connection, name: str, key: str, low: int | None) -> int | None:
    after = Range(low, None).sql(f"`{key}`")
    sql = f"SELECT `{key}` AS k FROM `{name}` WHERE {after} ORDER BY `{key}` LIMIT 1 OFFSET {RANGE_ROWS - 1}"
    found = mysql.row(conn, sql)
    return int(found["k"]) if found else None


def classify(conn: Connection, target: Target, part: Range) -> Counts:
    """What a restore would do to the rows of a range. Notes the keys of those to be inserted or updated; locks nothing.

    At READ COMMITTED: with a higher isolation MySQL would lock what it reads here.
    """
    key = target.table.key
    changed = mysql.run(
        conn,
        f"INSERT INTO `{target.changes}` SELECT s.`{key}`, t.`{key}` IS NULL FROM `{target.shadow}` s"
        f" LEFT JOIN `{target.name}` t ON t.`{key}` = s.`{key}`"
        f" WHERE (t.`{key}` IS NULL OR NOT ({_same(target)})) AND {part.sql(f's.`{key}`')}",
    )
    new = _count(conn, target.changes, f"is_new AND {part.sql('k')}") if changed else 0
    wanted, there = (_count(conn, name, part.sql(f"`{key}`")) for name in (target.shadow, target.name))
    return Counts(new, changed - new, there - (wanted - new), wanted - changed)


def forget(conn: Connection, target: Target, tick: Tick) -> None:
    """The keys that `classify` noted."""
    empty(conn, target.changes, tick)


def empty(conn: Connection, name: str, tick: Tick) -> None:
    """Deletes what is in a temporary table with the key `k`; TRUNCATE would commit."""
    for part in ranges(conn, [name], "k", tick):
        mysql.run(conn, f"DELETE FROM `{name}` WHERE {part.sql('k')}")


def _count(conn: Connection, name: str, where: str) -> int:
    return count(conn, f"FROM `{name}` WHERE {where}")


def count(conn: Connection, rest: str) -> int:
    """How many rows a SELECT has that goes on with `rest`."""
    found = mysql.row(conn, f"SELECT COUNT(*) AS n {rest}")
    assert found
    return int(found["n"])


def _same(target: Target) -> str:
    """Whether a row `t` of the table is its shadow `s`, byte for byte; nulls are alike."""
    others = [column for column in target.table.columns if column.name != target.table.key]
    return " AND ".join(map(_same_column, others)) or "TRUE"


def _same_column(column: Column) -> str:
    mine, its = f"t.`{column.name}`", f"s.`{column.name}`"
    if isinstance(column.kind, Text):  # the default collation calls 'Sales' and 'sáles' equal
        return f"CAST({mine} AS BINARY) <=> CAST({its} AS BINARY)"
    return f"{mine} <=> {its}"


def lock_changing(conn: Connection, target: Target, part: Range, lost_only: bool) -> None:
    """Locks the table's rows of a range that the backup does not have or, unless `lost_only`, has otherwise."""
    key = target.table.key
    changing = f"s.`{key}` IS NULL" if lost_only else f"(s.`{key}` IS NULL OR NOT ({_same(target)}))"
    count(
        conn,
        f"FROM (SELECT t.`{key}` AS k FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{key}` = t.`{key}`"
        f" WHERE {changing} AND {part.sql(f't.`{key}`')}) changing"
        f" STRAIGHT_JOIN `{target.name}` x ON x.`{key}` = changing.k FOR UPDATE OF x",
    )


# --- writing ---------------------------------------------------------------------------------------------------------


def insert(conn: Connection, target: Target, part: Range, also_changed: bool = False) -> int:
    """The rows that `classify` noted as new; `also_changed`: and those as different, which `delete_changed` deleted."""
    which = "TRUE" if also_changed else "c.is_new"
    names, theirs = (", ".join(f"{prefix}`{name}`" for name in target.table.names) for prefix in ("", "s."))
    return mysql.run(
        conn,
        f"INSERT INTO `{target.name}` ({names}) SELECT {theirs} FROM `{target.changes}` c"
        f" STRAIGHT_JOIN `{target.shadow}` s ON s.`{target.table.key}` = c.k"
        f" WHERE {which} AND {part.sql('c.k')} ORDER BY c.k",
    )


def update(conn: Connection, target: Target, part: Range) -> int:
    """The rows that `classify` noted as different."""
    key = target.table.key
    values = ", ".join(f"t.`{name}` = s.`{name}`" for name in target.table.names if name != key)
    return mysql.run(
        conn,
        f"UPDATE `{target.changes}` c STRAIGHT_JOIN `{target.shadow}` s ON s.`{key}` = c.k"
        f" STRAIGHT_JOIN `{target.name}` t ON t.`{key}` = c.k SET {values} WHERE NOT c.is_new AND {part.sql('c.k')}",
    )


def delete(conn: Connection, target: Target, part: Range) -> int:
    """The rows that are not in the backup."""
    key = target.table.key
    return mysql.run(
        conn,
        f"DELETE t FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{key}` = t.`{key}`"
        f" WHERE s.`{key}` IS NULL AND {part.sql(f't.`{key}`')}",
    )


def delete_changed(conn: Connection, target: Target, part: Range) -> int:
    """The rows that `classify` noted as different."""
    return mysql.run(
        conn,
        f"DELETE t FROM `{target.changes}` c STRAIGHT_JOIN `{target.name}` t ON t.`{target.table.key}` = c.k"
        f" WHERE NOT c.is_new AND {part.sql('c.k')}",
    )
