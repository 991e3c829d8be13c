"""The step Load: a batch into MySQL exactly once, its row in the books in the same transaction.

The fast way is LOAD DATA straight into the table; it counts only where each row sent was written without warning. The
batch's parents are locked first, a few rows, which holds what MySQL would otherwise look up for each row. Where that
does not count, the transaction is rolled back and the careful way taken: a staging table, parents locked, existing rows
locked and compared byte for byte, each row written by its class.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rowferry import db, ledger
from rowferry.batch import columns_of
from rowferry.config import OnConflict
from rowferry.db import Connection
from rowferry.errors import BooksDoNotBalance, Contention
from rowferry.files import RunFiles, Stats, verdict_key
from rowferry.ledger import LedgerRow, Run, Totals
from rowferry.parse import Dialect
from rowferry.rejects import given_records, key_exists, no_parent
from rowferry.s3 import Bucket
from rowferry.split import Batch
from rowferry.tables import TABLES, Table, table_named
from rowferry.validate import Reject

_TRIES = 5
_PROBES = 50


class _NotAllNew(Exception):
    """The fast way did not write every row: some keys are there already, or something is wrong with a row."""


def load_batch(conn: Connection, bucket: Bucket, run: Run, batch: Batch) -> Totals:
    """Loads a batch, or finds that it is loaded; answers what its ledger row says.

    Raises: Contention after five tries, DatabaseUnavailable, StorageUnavailable, TurnLost: all of it is written or
    nothing.
    """
    if run.verdict is None or run.verdict.gate != "open" or run.kind != "load":
        raise BooksDoNotBalance(f"run {run.id} may not load: its gate is not open")
    ledger.renew(conn, run.id, "Load")
    if done := ledger.batch(conn, run.id, batch.batch):
        return done.totals
    files = RunFiles(bucket, run.id)
    stats = files.stats(batch.batch)
    before = Totals(records=batch.records, rejected=stats.rejected + run.verdict.batches.get(batch.batch, 0))
    with _rows_file(files, run, batch, stats) as rows:
        if rows.count + before.rejected != batch.records:
            words = f"{rows.count} rows and {before.rejected} rejects are not the {batch.records} records read"
            raise BooksDoNotBalance(f"batch {batch.batch} of run {run.id}: {words}")
        return _load(conn, files, run, batch, rows, before)


@dataclass(frozen=True)
class _Rows:
    """A file with a batch's rows in normal form.

    `count`: how many they are. `probes`: some of their keys. `references`: by column, the distinct values.
    """

    path: str
    count: int
    probes: Sequence[int]
    references: Mapping[str, Sequence[int]]


@contextmanager
def _rows_file(files: RunFiles, run: Run, batch: Batch, stats: Stats) -> Iterator[_Rows]:
    """The rows that are left after Reconcile, in a temporary file: PyMySQL sends LOAD DATA from a path."""
    text = files.bucket.read_all(files.rows_key(batch.batch)) if stats.valid else b""
    rows, references = text.split(b"\n")[:-1], stats.references
    table = table_named(run.table)
    if run.verdict and batch.batch in run.verdict.batches:
        out = {reject.line for reject in files.rejects(verdict_key(run.verdict.prefix, batch.batch))}
        rows = [row for row in rows if int(row.partition(b"\t")[0]) not in out]
        text = b"".join(row + b"\n" for row in rows)
        columns = columns_of(text, table)
        references = {name: sorted(map(int, set(columns[name]))) for name in references}
    place = table.key_index + 1
    probes = [int(row.split(b"\t", place + 1)[place]) for row in rows[:: max(1, len(rows) // _PROBES)]]
    with tempfile.NamedTemporaryFile(prefix="rowferry-", suffix=".tsv", delete=False) as fp:
        fp.write(text)
    try:
        yield _Rows(fp.name, len(rows), probes, references)
    finally:
        Path(fp.name).unlink()


def _load(conn: Connection, files: RunFiles, run: Run, batch: Batch, rows: _Rows, before: Totals) -> Totals:
    table = table_named(run.table)
    fast = not _any_there(conn, table, rows.probes)
    for tries_left in reversed(range(_TRIES)):
        try:
            if not fast:
                _stage(conn, table, rows)
            with db.transaction(conn):
                if not ledger.open_batch(conn, run.id, batch.batch, batch.records):
                    break
                ledger.check_turn(conn, run)
                loaded = _straight(conn, table, rows) if fast else _Careful(conn, files, run, batch).load()
                totals = _with(before, loaded)
                ledger.close_batch(conn, run.id, LedgerRow(batch.batch, totals, loaded.rejects_key))
            return totals
        except _NotAllNew:
            fast = False
        except Contention:
            if not tries_left:
                raise
    done = ledger.batch(conn, run.id, batch.batch)
    if done is None:
        raise Contention(f"batch {batch.batch} of run {run.id} did not get through in {_TRIES} tries")
    return done.totals


@dataclass(frozen=True)
class _Loaded:
    """What became of the rows that were sent."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects_key: str | None = None


def _with(before: Totals, loaded: _Loaded) -> Totals:
    totals = replace(
        before,
        inserted=loaded.inserted,
        updated=loaded.updated,
        unchanged=loaded.unchanged,
        rejected=before.rejected + loaded.rejected,
    )
    if not totals.balances:
        raise BooksDoNotBalance(
            f"a batch of {before.records} records ended as {loaded}, with {before.rejected} rejects"
        )
    return totals


# --- the fast way ----------------------------------------------------------------------------------------------------


def _any_there(conn: Connection, table: Table, keys: Sequence[int]) -> bool:
    """Whether some of a few keys are in the table: then the fast way would be in vain."""
    sql = f"SELECT 1 FROM `{table.name}` WHERE `{table.key}` IN ({{}}) LIMIT 1"
    return any(db.rows_in(conn, sql, keys))


def _straight(conn: Connection, table: Table, rows: _Rows) -> _Loaded:
    """Raises: _NotAllNew."""
    if not rows.count:
        return _Loaded()
    if not _parents_held(conn, table, rows.references):
        raise _NotAllNew
    with db.foreign_keys_unchecked(conn):
        written = db.load_local(conn, rows.path, table.name, ("@line", *table.names))
    if written != (rows.count, 0):
        raise _NotAllNew
    return _Loaded(inserted=rows.count)


def _parents_held(conn: Connection, table: Table, references: Mapping[str, Sequence[int]]) -> bool:
    """Whether all parents are there; they are locked against change and deletion until the transaction ends."""
    for column in table.references:
        parent = TABLES[str(column.parent)]
        values = references[column.name]
        sql = f"SELECT `{parent.key}` FROM `{parent.name}` WHERE `{parent.key}` IN ({{}}) ORDER BY 1 FOR SHARE"
        if sum(1 for _ in db.rows_in(conn, sql, values)) < len(values):
            return False
    return True


# --- the careful way -------------------------------------------------------------------------------------------------


def _stage(conn: Connection, table: Table, rows: _Rows) -> None:
    """The batch's rows in temporary tables of this session, which neither commit nor lock anything."""
    columns = ", ".join(f"`{column.name}` {column.kind.ddl} NOT NULL" for column in table.columns)
    db.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_stage")
    db.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_class")
    db.run(
        conn,
        f"CREATE TEMPORARY TABLE rowferry_stage (_line BIGINT UNSIGNED NOT NULL, {columns},"
        f" PRIMARY KEY (`{table.key}`)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
    )
    db.run(
        conn,
        "CREATE TEMPORARY TABLE rowferry_class (k BIGINT NOT NULL PRIMARY KEY,"
        " class CHAR(9) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB",
    )
    if rows.count and db.load_local(conn, rows.path, "rowferry_stage", ("_line", *table.names)) != (rows.count, 0):
        raise BooksDoNotBalance(f"not all of {rows.count} rows went into the staging table of {table.name}")


class _Careful:
    """A staged batch into its table, within the batch's transaction."""

    def __init__(self, conn: Connection, files: RunFiles, run: Run, batch: Batch) -> None:
        self._conn = conn
        self._files = files
        self._run = run
        self._batch = batch
        self._table = table_named(run.table)
        self._policy: OnConflict = run.options.on_conflict

    def load(self) -> _Loaded:
        orphans = self._orphans()
        self._unstage(list(orphans))
        counts = self._classify()
        differs = counts.get("differs", 0)
        existing = self._existing() if self._policy == "reject" and differs else {}
        inserted = self._insert()
        updated = self._update() if self._policy == "update" and differs else 0
        if inserted != counts.get("new", 0) or (self._policy == "update" and updated != differs):
            raise Contention(f"{self._table.name}: rows changed while they were locked")
        unchanged = counts.get("same", 0) + (differs if self._policy == "skip" else 0)
        return _Loaded(inserted, updated, unchanged, len(orphans) + len(existing), self._written(orphans, existing))

    def _orphans(self) -> dict[int, dict[str, int]]:
        """By line, the references whose parent went away since Reconcile. Locks the parents that are there."""
        found: dict[int, dict[str, int]] = {}
        for column in self._table.references:
            parent = TABLES[str(column.parent)]
            db.rows(
                self._conn,
                f"SELECT `{parent.key}` FROM `{parent.name}` WHERE `{parent.key}` IN"
                f" (SELECT `{column.name}` FROM rowferry_stage) ORDER BY `{parent.key}` FOR SHARE",
            )
            lost = db.rows(
                self._conn,
                f"SELECT s._line AS line, s.`{column.name}` AS value FROM rowferry_stage s LEFT JOIN `{parent.name}` p"
                f" ON p.`{parent.key}` = s.`{column.name}` WHERE p.`{parent.key}` IS NULL",
            )
            for row in lost:
                found.setdefault(row["line"], {})[column.name] = row["value"]
        return found

    def _unstage(self, lines: Sequence[int]) -> None:
        for begin in range(0, len(lines), 1_000):
            part = lines[begin : begin + 1_000]
            marks = ", ".join(["%s"] * len(part))
            db.run(self._conn, f"DELETE FROM rowferry_stage WHERE _line IN ({marks})", part)

    def _classify(self) -> dict[str, int]:
        """Each staged row is `new`, byte for byte the `same` as the row that is there, or `differs`. Locks those."""
        key = self._table.key
        same = " AND ".join(
            f"CAST(t.`{name}` AS BINARY) = CAST(s.`{name}` AS BINARY)" for name in self._table.names if name != key
        )
        db.run(self._conn, "DELETE FROM rowferry_class")
        db.run(
            self._conn,
            f"INSERT INTO rowferry_class SELECT s.`{key}`,"
            f" IF(t.`{key}` IS NULL, 'new', IF({same or 'TRUE'}, 'same', 'differs')) FROM rowferry_stage s"
            f" LEFT JOIN `{self._table.name}` t ON t.`{key}` = s.`{key}` ORDER BY s.`{key}` FOR UPDATE",
        )
        found = db.rows(self._conn, "SELECT class, COUNT(*) AS n FROM rowferry_class GROUP BY class")
        return {str(row["class"]): int(row["n"]) for row in found}

    def _existing(self) -> dict[int, int]:
        """By line, the keys whose row differs from the one that is there."""
        found = db.rows(
            self._conn,
            f"SELECT s._line AS line, c.k FROM rowferry_stage s JOIN rowferry_class c ON c.k = s.`{self._table.key}`"
            " WHERE c.class = 'differs'",
        )
        return {row["line"]: row["k"] for row in found}

    def _insert(self) -> int:
        names = ", ".join(f"`{name}`" for name in self._table.names)
        return db.run(
            self._conn,
            f"INSERT INTO `{self._table.name}` ({names}) SELECT {names} FROM rowferry_stage s"
            f" JOIN rowferry_class c ON c.k = s.`{self._table.key}` WHERE c.class = 'new' ORDER BY c.k",
        )

    def _update(self) -> int:
        key = self._table.key
        others = ", ".join(f"t.`{name}` = s.`{name}`" for name in self._table.names if name != key)
        return db.run(
            self._conn,
            f"UPDATE `{self._table.name}` t JOIN rowferry_stage s ON s.`{key}` = t.`{key}`"
            f" JOIN rowferry_class c ON c.k = s.`{key}` SET {others} WHERE c.class = 'differs'",
        )

    def _written(self, orphans: Mapping[int, Mapping[str, int]], existing: Mapping[int, int]) -> str | None:
        """The rejects in an object of this attempt's own, written before the commit that names it."""
        if not orphans and not existing:
            return None
        key = self._files.loaded_key(self._batch.batch)
        self._files.write_rejects(key, self._rejects(orphans, existing))
        return key

    def _rejects(self, orphans: Mapping[int, Mapping[str, int]], existing: Mapping[int, int]) -> Iterator[Reject]:
        for line, fields in given_records(self._files, self._run.dialect or Dialect(), self._batch, self._table):
            if line in orphans:
                yield no_parent(self._table, line, orphans[line], fields)
            elif line in existing:
                yield key_exists(self._table, line, existing[line], fields)
