"""What each execution of a run came to: written when it begins and ends, kept when the next one takes the run over."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

SILENT = "its execution ended or fell silent without a word"


@dataclass(frozen=True)
class Attempt:
    """`status`: running, or what the run was when it ended; `reason`: why it failed."""

    execution: str
    status: str
    reason: str | None
    started_at: dt.datetime
    ended_at: dt.datetime | None


def of_run(conn: Connection, id: str) -> Sequence[Attempt]:
    """All attempts of a run, the first one first."""
    return list(
        map(_attempt, mysql.rows(conn, "SELECT * FROM rowferry_attempts WHERE run_id = %s ORDER BY attempt", (id,)))
    )


def _attempt(row: Row) -> Attempt:
    ended = row["ended_at"]
    return Attempt(
        execution=row["execution"],
        status=row["status"],
        reason=row["reason"],
        started_at=row["started_at"].replace(tzinfo=dt.UTC),
        ended_at=ended.replace(tzinfo=dt.UTC) if ended else None,
    )


def begin(conn: Connection, id: str, execution: str) -> None:
    """Within the claim's transaction, which holds the run's row locked."""
    sql = f"""
        INSERT INTO rowferry_attempts (run_id, attempt, execution, status, started_at)
        SELECT %s, {_NEXT}, %s, 'running', UTC_TIMESTAMP(6) FROM rowferry_attempts WHERE run_id = %s"""
    mysql.run(conn, sql, (id, execution, id))


_NEXT = "COALESCE(MAX(attempt), 0) + 1"


def replaced(conn: Connection, before: Row) -> None:
    """Ends the attempt of the execution that had a run until now. `before`: the run's row, which the claim has locked.

    A release that knew no attempts may have begun it; then it is noted now.
    """
    reason = before["reason"] or SILENT
    sql = """
        UPDATE rowferry_attempts SET status = 'failed', reason = %s, ended_at = UTC_TIMESTAMP(6)
        WHERE run_id = %s AND ended_at IS NULL"""
    mysql.run(conn, sql, (reason, before["id"]))
    sql = f"""
        INSERT INTO rowferry_attempts (run_id, attempt, execution, status, reason, started_at, ended_at)
        SELECT %s, {_NEXT}, %s, 'failed', %s, %s, UTC_TIMESTAMP(6) FROM rowferry_attempts WHERE run_id = %s
        HAVING COUNT(*) = 0"""
    mysql.run(conn, sql, (before["id"], before["execution"], reason, before["claimed_at"], before["id"]))


def close(conn: Connection, id: str) -> None:
    """After a run ended, in the same transaction: its open attempt ended as the run did."""
    sql = """
        UPDATE rowferry_attempts a JOIN rowferry_runs r ON r.id = a.run_id
        SET a.status = r.status, a.reason = r.reason, a.ended_at = r.finished_at
        WHERE r.id = %s AND a.ended_at IS NULL"""
    mysql.run(conn, sql, (id,))
