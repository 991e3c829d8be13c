"""Runs as people look for them: by table, status and day; with the run that mended a failure; counted by day."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from rowferry.ledger.history import PROGRESS, Progress, progress_of
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

DAYS = 30
UNSUCCESSFUL = ("failed", "refused", "gated")


@dataclass(frozen=True)
class Filter:
    """Which runs; an empty value means all. `day`: in UTC. `before`: only runs with an older claim."""

    table: str = ""
    status: str = ""
    day: dt.date | None = None
    before: int | None = None


@dataclass(frozen=True)
class Day:
    """How many runs began on a day: those that ended well, badly, and those that are under way."""

    day: dt.date
    well: int = 0
    badly: int = 0
    running: int = 0


@dataclass(frozen=True)
class BatchTimes:
    """When a run's first and last batch was committed."""

    first: dt.datetime
    last: dt.datetime


def found(conn: Connection, wanted: Filter, limit: int) -> Sequence[Progress]:
    """The newest runs first."""
    where = """
        SELECT * FROM rowferry_runs WHERE claim < %s AND (%s = '' OR table_name = %s) AND (%s = '' OR status = %s)
          AND started_at >= %s AND started_at < %s ORDER BY claim DESC LIMIT %s"""
    begin = wanted.day or dt.date(1970, 1, 1)
    end = wanted.day + dt.timedelta(days=1) if wanted.day else dt.date(9999, 1, 1)
    names = (wanted.table, wanted.table, wanted.status, wanted.status)
    rows = mysql.rows(conn, PROGRESS.format(where), (wanted.before or 2**63 - 1, *names, begin, end, limit))
    return list(map(progress_of, rows))


def mended(conn: Connection, runs: Sequence[Progress]) -> dict[str, str]:
    """By a run that did not load its file, the newest later run of the same key that did."""
    bad = [one for one in runs if one.run.status in UNSUCCESSFUL]
    sql = """
        SELECT id FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND claim > %s AND status = 'done'
        ORDER BY claim DESC LIMIT 1"""
    later = {one.run.id: mysql.row(conn, sql, (one.run.bucket, one.run.key.encode(), one.claim)) for one in bad}
    return {id: str(row["id"]) for id, row in later.items() if row}


def by_day(conn: Connection, today: dt.date) -> Sequence[Day]:
    """The last 30 days, the oldest first."""
    sql = """
        SELECT DATE(started_at) AS day, SUM(status IN ('failed', 'refused', 'gated')) AS badly,
          SUM(status = 'running') AS running, COUNT(*) AS n
        FROM rowferry_runs WHERE started_at >= %s GROUP BY DATE(started_at)"""
    first = today - dt.timedelta(days=DAYS - 1)
    counted = {row["day"]: row for row in mysql.rows(conn, sql, (first,))}
    days = [first + dt.timedelta(days=place) for place in range(DAYS)]
    return [_day(day, counted[day]) if day in counted else Day(day) for day in days]


def _day(day: dt.date, row: mysql.Row) -> Day:
    badly, running = int(row["badly"]), int(row["running"])
    return Day(day, int(row["n"]) - badly - running, badly, running)


def last_loaded(conn: Connection, table: str, before: int | None = None, limit: int = 10) -> Sequence[Progress]:
    """A table's newest runs that loaded their file, the newest first."""
    where = """
        SELECT * FROM rowferry_runs WHERE table_name = %s AND status = 'done' AND kind = 'load' AND claim < %s
        ORDER BY claim DESC LIMIT %s"""
    rows = mysql.rows(conn, PROGRESS.format(where), (table, before or 2**63 - 1, limit))
    return list(map(progress_of, rows))


def of_key(conn: Connection, bucket: str, key: str) -> str | None:
    """The newest run of an uploaded object."""
    sql = "SELECT id FROM rowferry_runs WHERE bucket = %s AND object_key = %s ORDER BY claim DESC LIMIT 1"
    row = mysql.row(conn, sql, (bucket, key.encode()))
    return str(row["id"]) if row else None


def batch_times(conn: Connection, id: str) -> BatchTimes | None:
    """None before the first batch is in the ledger."""
    sql = "SELECT MIN(committed_at) AS first, MAX(committed_at) AS last FROM rowferry_batches WHERE run_id = %s"
    row = mysql.row(conn, sql, (id,))
    if not row or row["first"] is None:
        return None
    return BatchTimes(row["first"].replace(tzinfo=dt.UTC), row["last"].replace(tzinfo=dt.UTC))


def estimated_rows(conn: Connection) -> dict[str, int]:
    """MySQL's own estimates by table, which need no reading of the rows."""
    sql = """
        SELECT table_name AS name, table_rows AS n FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"""
    return {str(row["name"]): int(row["n"] or 0) for row in mysql.rows(conn, sql)}
