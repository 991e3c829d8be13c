"""The step Load: a batch into MySQL exactly once, its row in the books in the same transaction.

The fast way is LOAD DATA straight into the table; it counts only where each row sent was written without warning. The
batch's parents are locked first, a few rows, which holds what MySQL would otherwise look up for each row. Where that
does not count, the transaction is rolled back and the careful way taken (merge.py). It is taken at once where the table
has a foreign key or a trigger that its class does not know.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rowferry import ledger
from rowferry.csvfile.split import Batch
from rowferry.declare import constraints
from rowferry.declare.catalog import table_named
from rowferry.declare.ddl import fields_loaded
from rowferry.declare.definition import TableDefinition
from rowferry.errors import BooksDoNotBalance, Contention
from rowferry.ledger import LedgerRow, Run, Totals
from rowferry.steps.compare import Key, stored_rows
from rowferry.steps.file_scan import parent_rows
from rowferry.steps.merge import Loaded, MergeLoad, stage
from rowferry.steps.normal_rows import RowReader
from rowferry.steps.work_files import RunFiles, Stats, verdict_key
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

_TRIES = 5
_PROBES = 50


class _NotAllNew(Exception):
    """The fast way did not write every row, or must not be taken: keys are there already, or a row is not allowed."""


def load_batch(conn: Connection, bucket: Bucket, run: Run, batch: Batch) -> Totals:
    """Loads a batch, or finds that it is loaded; answers what its ledger row says.

    Raises: Contention after five tries, DatabaseUnavailable, StorageUnavailable, TurnLost; SchemaDiffers where it found
    a trigger that was not there at Plan. All of it is written or nothing.
    """
    if run.verdict is None or run.verdict.gate != "open" or run.kind != "load":
        raise BooksDoNotBalance(f"run {run.id} may not load: its gate is not open")
    ledger.renew(conn, run, "Load")
    if done := ledger.batch(conn, run.id, batch.batch):
        return done.totals
    files = RunFiles(bucket, run.id, run.manifest)
    stats = files.stats(batch.batch, table_named(run.table))
    before = Totals(records=batch.records, rejected=stats.rejected + run.verdict.batches.get(batch.batch, 0))
    with _rows_file(files, run, batch, stats) as rows:
        if rows.count + before.rejected != batch.records:
            words = f"{rows.count} rows and {before.rejected} rejects are not the {batch.records} records read"
            raise BooksDoNotBalance(f"batch {batch.batch} of run {run.id}: {words}")
        return _load(conn, files, run, batch, rows, before)


@dataclass(frozen=True)
class _Rows:
    """A file with a batch's rows in normal form.

    `count`: how many they are. `probes`: some of their keys. `references`: by the table's references, the distinct
    values, fields with tabs between.
    """

    path: str
    count: int
    probes: Sequence[Key]
    references: Sequence[Sequence[bytes]]


@contextmanager
def _rows_file(files: RunFiles, run: Run, batch: Batch, stats: Stats) -> Iterator[_Rows]:
    """The rows that are left after Reconcile, in a temporary file: PyMySQL sends LOAD DATA from a path."""
    text = files.bucket.read_all(files.rows_key(batch.batch, stats.attempt)) if stats.valid else b""
    rows, table = text.split(b"\n")[:-1], table_named(run.table)
    reader = RowReader(table)
    if run.verdict and batch.batch in run.verdict.batches:
        out = {reject.line for reject in files.rejects(verdict_key(run.verdict.prefix, batch.batch))}
        rows = [row for row in rows if int(row.partition(b"\t")[0]) not in out]
        text = b"".join(row + b"\n" for row in rows)
        references = reader.distinct_references(reader.columns(text))
    else:
        references = files.references(batch.batch, stats, table)
    some = () if table.generated else rows[:: max(1, len(rows) // _PROBES)]
    probes = [reader.key(reader.fields(row)) for row in some]
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
                stage(conn, table, rows.path, rows.count)
            with mysql.transaction(conn):
                if not ledger.open_batch(conn, run.id, batch.batch, batch.records):
                    break
                ledger.check_turn(conn, run)
                may_skip_checks = constraints.may_skip_checks(conn, table)
                if fast and may_skip_checks:
                    loaded = _straight(conn, table, rows)
                elif fast:
                    raise _NotAllNew
                else:
                    loaded = MergeLoad(conn, files, run, batch).load()
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


def _with(before: Totals, loaded: Loaded) -> Totals:
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


def _any_there(conn: Connection, table: TableDefinition, keys: Sequence[Key]) -> bool:
    """Whether some of a few keys are in the table: then the fast way would be in vain."""
    return bool(stored_rows(conn, table, keys, ()))


def _straight(conn: Connection, table: TableDefinition, rows: _Rows) -> Loaded:
    """Raises: _NotAllNew."""
    if not rows.count:
        return Loaded()
    if not _parents_held(conn, table, rows.references):
        raise _NotAllNew
    with mysql.foreign_keys_unchecked(conn):
        names, computed = fields_loaded(table)
        written = mysql.load_local(conn, rows.path, table.name, ("@line", *names), computed)
    if written != (rows.count, 0):
        raise _NotAllNew
    return Loaded(inserted=rows.count)


def _parents_held(conn: Connection, table: TableDefinition, references: Sequence[Sequence[bytes]]) -> bool:
    """Whether all parents are there; they are locked against change and deletion until the transaction ends."""
    return all(
        all(parent_rows(conn, reference, values, "FOR SHARE"))
        for reference, values in zip(table.references, references, strict=True)
    )
