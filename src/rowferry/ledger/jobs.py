"""Backups and restores as rows in MySQL: who is at work on which tables, until when, and what came of it.

A job at work holds a lock of its session's, which the server frees when the process ends, and a lease, which it renews,
for where the server can't know. One without either is dead, and whoever looks next says that it failed; but not of one
that is just writing: its transaction holds its row locked, so it is passed over until that ends.
"""

import datetime as dt
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rowferry.errors import Busy, NotFound, OutOfTime
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

Kind = Literal["backup", "restore", "rehearsal"]
Tick = Callable[[], None]
"""Called every now and then by what takes long. Raises OutOfTime."""

LEASE_MINUTES = 10
ID = re.compile("[0-9]{8}T[0-9]{12}Z-[0-9a-f]{6}")


@dataclass(frozen=True)
class Job:
    """A row of rowferry_jobs. `tables`: those that a backup reads or a restore writes."""

    id: str
    kind: Kind
    tables: tuple[str, ...]
    status: str
    reason: str | None
    result: Any
    started_at: dt.datetime
    finished_at: dt.datetime | None


def new_id(conn: Connection) -> str:
    """Sorts by time: the database's, to the microsecond."""
    found = mysql.row(conn, "SELECT UTC_TIMESTAMP(6) AS now")
    assert found
    return f"{found['now']:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Whether it looks like a job's id and names a moment: anybody may put things into the bucket."""
    try:
        return bool(ID.fullmatch(text) and moment_of(text))
    except ValueError:  # 30 February
        return False


def moment_of(id: str) -> dt.datetime:
    """When a job with this id began."""
    return dt.datetime.strptime(id.partition("Z")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=dt.UTC)


def begin(conn: Connection, kind: Kind, tables: Sequence[str]) -> str:
    """Makes a running job, which has a minute to be at work (`guard`); answers its id."""
    id = new_id(conn)
    sql = """
        INSERT INTO rowferry_jobs (id, kind, table_names, status, lease_until, started_at)
        VALUES (%s, %s, %s, 'running', UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE, UTC_TIMESTAMP(6))"""
    mysql.run(conn, sql, (id, kind, ",".join(tables)))
    return id


_LEASE = f"UTC_TIMESTAMP(6) + INTERVAL {LEASE_MINUTES} MINUTE"


def guard(conn: Connection, id: str) -> None:
    """From now on the job is at work, and dead when this session is."""
    mysql.row(conn, f"SELECT GET_LOCK({_LOCK}, 0) FROM rowferry_jobs WHERE id = %s", (id,))
    mysql.run(conn, f"UPDATE rowferry_jobs SET guarded = TRUE, lease_until = {_LEASE} WHERE id = %s", (id,))


_LOCK = "CONCAT('rowferry-job-', id)"


def renew(conn: Connection, id: str) -> None:
    """Not while the job writes: then its row is locked, and needs no lease."""
    free = "SELECT 1 FROM rowferry_jobs WHERE id = %s AND status = 'running' FOR UPDATE SKIP LOCKED"
    with mysql.transaction(conn):
        if mysql.row(conn, free, (id,)):
            mysql.run(conn, f"UPDATE rowferry_jobs SET lease_until = {_LEASE} WHERE id = %s", (id,))


def ticker(conn: Connection, id: str, ends: float | None = None) -> Tick:
    """Renews a job's lease where a fifth of it is gone. `ends`: by time.monotonic, from when on it is out of time."""
    renewed = time.monotonic()

    def tick() -> None:
        nonlocal renewed
        now = time.monotonic()
        if ends is not None and now >= ends:
            raise OutOfTime(
                "the time that a function has is nearly over, and nothing was changed; the stack's BackupFunction and"
                " RestoreFunction have 15 minutes, the API on its instance has no limit"
            )
        if now - renewed > LEASE_MINUTES * 60 / 5:
            renew(conn, id)
            renewed = now

    return tick


def hold(conn: Connection, id: str) -> None:
    """Within a transaction: the job is not said to be dead, and nobody says so before the commit.

    Raises: Busy.
    """
    sql = "SELECT 1 FROM rowferry_jobs WHERE id = %s AND status = 'running' FOR UPDATE"
    if not mysql.row(conn, sql, (id,)):
        raise Busy(f"job {id} was silent for too long, so that it was taken for dead; nothing was changed")


def confirm(conn: Connection, id: str) -> None:
    """Before what can't be taken back: the job is not taken for dead, and has a whole lease again.

    Raises: Busy.
    """
    with mysql.transaction(conn):
        hold(conn, id)
        mysql.run(conn, f"UPDATE rowferry_jobs SET lease_until = {_LEASE} WHERE id = %s", (id,))


def finish(conn: Connection, id: str, result: Any) -> None:
    """Ends a job well.

    Raises: Busy where it was taken for dead: the job stays failed.
    """
    if not _end(conn, id, "done", None, result, ("running",)):
        raise Busy(f"job {id} was silent for too long, so that it was taken for dead; nothing was changed")


def finish_what_is_complete(conn: Connection, id: str, result: Any) -> None:
    """Ends a job well whose work is there for good, also where it was taken for dead at the last moment."""
    _end(conn, id, "done", None, result, ("running", "failed"))


def fail(conn: Connection, id: str, reason: str) -> None:
    _end(conn, id, "failed", reason, None, ("running",))


def _end(conn: Connection, id: str, status: str, reason: str | None, result: Any, only_from: Sequence[str]) -> bool:
    marks = ", ".join(["%s"] * len(only_from))
    sql = f"""
        UPDATE rowferry_jobs SET status = %s, reason = %s, result = %s, finished_at = UTC_TIMESTAMP(6)
        WHERE id = %s AND status IN ({marks})"""
    return mysql.run(conn, sql, (status, reason, None if result is None else json.dumps(result), id, *only_from)) == 1


def bury(conn: Connection) -> None:
    """Within a transaction: says of dead jobs that they failed."""
    silent = f"lease_until < UTC_TIMESTAMP(6) OR guarded AND IS_USED_LOCK({_LOCK}) IS NULL"
    dead = f"SELECT id FROM rowferry_jobs WHERE status = 'running' AND ({silent}) FOR UPDATE SKIP LOCKED"
    for row in mysql.rows(conn, dead):
        fail(conn, row["id"], "its process ended or fell silent; nothing was changed")


def restore_of(conn: Connection, tables: Sequence[str]) -> str | None:
    """A restore that is under way into one of these tables; call `bury` first."""
    mine = " OR ".join(["FIND_IN_SET(%s, table_names)"] * len(tables))
    sql = f"SELECT id FROM rowferry_jobs WHERE status = 'running' AND kind = 'restore' AND ({mine}) LIMIT 1"
    found = mysql.row(conn, sql, tables)
    return str(found["id"]) if found else None


def read(conn: Connection, id: str) -> Job:
    """Raises: NotFound."""
    with mysql.transaction(conn):
        bury(conn)
    row = mysql.row(conn, "SELECT * FROM rowferry_jobs WHERE id = %s", (id,))
    if row is None:
        raise NotFound(f"there is no job {id}")
    return _job(row)


def is_done(conn: Connection, id: str) -> bool:
    """Whether a job ended well. Waits for a transaction of the job's that is being committed or rolled back.

    Raises: Contention where that takes longer than a wait for a lock.
    """
    found = mysql.row(conn, "SELECT status FROM rowferry_jobs WHERE id = %s FOR SHARE", (id,))
    return bool(found and found["status"] == "done")


def running(conn: Connection) -> Mapping[str, Job]:
    """The jobs that are under way, by id."""
    with mysql.transaction(conn):
        bury(conn)
    found = mysql.rows(conn, "SELECT * FROM rowferry_jobs WHERE status = 'running'")
    return {job.id: job for job in map(_job, found)}


def _job(row: Row) -> Job:
    finished = row["finished_at"]
    return Job(
        id=row["id"],
        kind=row["kind"],
        tables=tuple(row["table_names"].split(",")),
        status=row["status"],
        reason=row["reason"],
        result=json.loads(row["result"]) if row["result"] else None,
        started_at=row["started_at"].replace(tzinfo=dt.UTC),
        finished_at=finished.replace(tzinfo=dt.UTC) if finished else None,
    )
