"""Backups taken, kept and given back: what functions and the API call. Each is a job, with a session of its own for it.

Beginning one is quick and answers what speaks against it; carrying it out takes as long as it takes.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from rowferry import ledger
from rowferry.backup.export import Manifest, backup
from rowferry.backup.restore import Order, restore
from rowferry.backup.retention import Retention, sweep
from rowferry.config import Settings
from rowferry.declare.catalog import TABLES, table_named
from rowferry.errors import Contention, RowferryError
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Job, Tick
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket


def begin_backup(conn: Connection, tables: Sequence[str]) -> str:
    """Answers the job's id, which will be the backup's; no table named: all.

    Raises: UnknownTable.
    """
    return jobs.begin(conn, "backup", list(dict.fromkeys(table_named(name).name for name in tables or TABLES)))


def begin_restore(conn: Connection, order: Order) -> str:
    """Takes the tables, but for a dry run; answers the job's id.

    Raises: Busy.
    """
    if order.dry_run:
        return jobs.begin(conn, "rehearsal", order.names)
    return ledger.take_tables(conn, order.names)


def carry_out_backup(
    settings: Settings, bucket: Bucket, id: str, ends: float | None = None, retention: Retention | None = None
) -> Job:
    """Backs up the job's tables, then removes what retention lets go. `ends`: by time.monotonic.

    The backup is complete whatever becomes of the removal: why that failed is in the result, as `not_removed`.

    Raises: what `backup` raises, and the job says so too.
    """
    with _at_work(settings, id, ends) as (conn, tick), mysql.session(settings) as reading:
        tables = [table_named(name) for name in jobs.read(conn, id).tables]
        manifests = backup(reading, bucket, tables, id, tick)
        result: dict[str, Any] = {"backups": [_summary(manifest) for manifest in manifests], "removed": {}}
        try:
            if retention:
                result["removed"] = {
                    table.name: asdict(sweep(conn, bucket, table.name, retention, dt.datetime.now(dt.UTC), tick))
                    for table in tables
                }
        except RowferryError as error:
            result["not_removed"] = f"{type(error).__name__}: {error}"
        jobs.finish_what_is_complete(conn, id, result)
        return jobs.read(conn, id)


def carry_out_restore(settings: Settings, bucket: Bucket, id: str, order: Order, ends: float | None = None) -> Job:
    """Restores as ordered. `ends`: by time.monotonic.

    Raises: what `restore` raises, and the job says so too.
    """
    with _at_work(settings, id, ends) as (conn, tick), mysql.session(settings) as writing:
        try:
            restore(writing, bucket, order, id, tick)
        except RowferryError:
            if not _is_done(settings, id):
                raise
        return jobs.read(conn, id)


def _is_done(settings: Settings, id: str) -> bool:
    """It may be, where only the answer to the commit was lost; a large one may still be going on."""
    for _ in range(_LOOKS):
        with suppress(Contention), mysql.session(settings) as conn:
            return jobs.is_done(conn, id)
    return False


_LOOKS = 6
"""Each waits for 20 seconds, as every wait for a lock."""


def _summary(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(mode="json", include={"id", "table", "rows", "bytes", "seconds", "snapshot_at"})


@contextmanager
def _at_work(settings: Settings, id: str, ends: float | None) -> Iterator[tuple[Connection, Tick]]:
    with mysql.session(settings) as conn:
        try:
            jobs.guard(conn, id)
            yield conn, jobs.ticker(conn, id, ends)
        except BaseException as error:
            _say_failed(settings, id, error)
            raise


def _say_failed(settings: Settings, id: str, error: BaseException) -> None:
    """Where not even that works the job's lease runs out."""
    reason = f"{type(error).__name__}: {error}" if isinstance(error, RowferryError) else "an internal error"
    with suppress(RowferryError), mysql.session(settings) as conn:
        jobs.fail(conn, id, reason)
