"""Which run may load now: overlapping ranges of keys are held by one run after the other, in the order of claims."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rowferry.errors import Busy, NotFound, StartAgain
from rowferry.ledger import jobs, verdicts
from rowferry.ledger.batch_rows import has_batches
from rowferry.ledger.model import Run
from rowferry.ledger.runs import LEASE_MINUTES, abandoned, newer_done
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

RETRIED_MINUTES = 180
"""A run whose lease ran out may still be alive for so long: the state machine tries its steps again for at least an
hour, and for so long at most.
"""

WAIT_BOUND = dt.timedelta(days=1)
"""How long an execution waits: one that asks again and again grows, and Step Functions ends it at 25,000 events."""


class TurnBlocked(StartAgain):
    """A run with overlapping keys is dead, and some of its batches are in the table: that one has to end first."""


class TurnLost(StartAgain):
    """Another run was let past while this one was silent: to load now would mix the two."""


class WaitedTooLong(StartAgain):
    """What this run waits for takes longer than a day: the sweep starts it again, and it keeps its place."""


@dataclass(frozen=True)
class Turn:
    """`go`; `superseded`; or `wait`: ask again in so many seconds, for `ahead` (a file's key, a restore) goes first."""

    outcome: Literal["go", "wait", "superseded"]
    ahead: str | None = None
    seconds: int = 0


def take_turn(conn: Connection, run: Run) -> Turn:
    """Holds the run's range of keys (`go`), or says to `wait` for those that are ahead of it.

    Ahead are runs on the same table whose range overlaps and who hold theirs or have rows in the table; and, where this
    run has none there yet, those who wait with an older claim, and a run of another version of the same key with an
    older claim, however far it is. A dead run, one that failed or whose lease ran out, is ahead only where some of its
    batches are in the table; where none is, it has to ask for its turn anew. So has an older version of this run's own
    key: it stays in everybody else's way until this one was loaded. Where a newer version of the key was loaded
    meanwhile, this one may not load, nor go on loading: `superseded`, and its verdict says so. A restore of the table
    goes first too.

    Raises: TurnBlocked, RunAbandoned, WaitedTooLong.
    """
    with mysql.transaction(conn):
        mysql.row(conn, "SELECT table_name FROM rowferry_turns WHERE table_name = %s FOR UPDATE", (run.table,))
        _refuse_abandoned(conn, run, "FOR UPDATE")
        mysql.run(conn, "UPDATE rowferry_runs SET turn = 'waiting' WHERE id = %s AND turn IS NULL", (run.id,))
        if newer := newer_done(conn, run):
            _supersede(conn, run, newer)
            return Turn("superseded")
        if mysql.row(conn, "SELECT 1 FROM rowferry_runs WHERE id = %s AND turn = 'holding'", (run.id,)):
            return Turn("go")
        jobs.bury(conn)
        if restore := jobs.restore_of(conn, [run.table]):
            return Turn("wait", f"the restore {restore}", seconds=patience(run, dt.datetime.now(dt.UTC)))
        _pass_by_the_dead(conn, run)
        if ahead := mysql.row(conn, _AHEAD, (run.id,)):
            return _behind(run, ahead)
        mysql.run(conn, "UPDATE rowferry_runs SET turn = 'holding' WHERE id = %s", (run.id,))
        return Turn("go")


_LIVE = "(other.status = 'running' AND other.lease_until > UTC_TIMESTAMP(6))"


_OUTDATED = """EXISTS (SELECT 1 FROM rowferry_runs newer WHERE newer.object_key = other.object_key
    AND newer.bucket = other.bucket AND newer.uploaded_at > other.uploaded_at AND newer.kind = 'load'
    AND newer.status = 'done')"""
_IN_PART = f"""(EXISTS (SELECT 1 FROM rowferry_batches b
    WHERE b.run_id = other.id AND b.inserted + b.updated + b.unchanged > 0) AND NOT {_OUTDATED})"""
"""Of an unfinished run: it has rows in the table, and will go on when it is started again."""


def _end(name: str) -> str:
    """An end of a range of keys; an earlier release has written it as a whole number (see `key.encoded_integer`)."""
    return f"IFNULL({name}_range, UNHEX(LPAD(HEX({name}_key + 9223372036854775808), 16, '0')))"


_AHEAD = f"""
    SELECT other.object_key, other.status, {_LIVE} AS live,
      other.lease_until < UTC_TIMESTAMP(6) - INTERVAL {RETRIED_MINUTES} MINUTE AS given_up
    FROM rowferry_runs mine JOIN rowferry_runs other ON other.table_name = mine.table_name
      AND other.id <> mine.id AND other.status IN ('running', 'failed') AND other.kind = 'load'
    WHERE mine.id = %s AND (
      ({_end("other.low")} <= {_end("mine.high")} AND {_end("other.high")} >= {_end("mine.low")} AND (
        other.turn = 'holding'
        OR ({_IN_PART} AND NOT (other.object_key = mine.object_key AND other.bucket = mine.bucket
          AND other.uploaded_at < mine.uploaded_at))
        OR (other.turn = 'waiting' AND other.claim < mine.claim AND {_LIVE} AND NOT {has_batches("mine")})))
      OR (other.object_key = mine.object_key AND other.bucket = mine.bucket AND other.claim < mine.claim AND {_LIVE}
        AND NOT {has_batches("mine")}))
    ORDER BY live DESC, other.claim LIMIT 1"""
_DEAD_HOLDERS = f"""
    SELECT id, object_key = %s AND bucket = %s AND uploaded_at < %s AS outdated FROM rowferry_runs other
    WHERE table_name = %s AND id <> %s AND status IN ('running', 'failed') AND turn = 'holding' AND NOT {_LIVE}"""


def _pass_by_the_dead(conn: Connection, run: Run) -> None:
    """Takes the turn from dead runs that have loaded nothing or are outdated.

    Waits for a batch that one of them is just writing.
    """
    for dead in mysql.rows(conn, _DEAD_HOLDERS, (run.key.encode(), run.bucket, run.uploaded_at, run.table, run.id)):
        sql = f"""
            UPDATE rowferry_runs other SET turn = NULL WHERE id = %s AND NOT {_LIVE}
              AND (%s OR NOT {has_batches("other")})"""
        mysql.run(conn, sql, (dead["id"], dead["outdated"]))


def _behind(run: Run, ahead: Row) -> Turn:
    key = ahead["object_key"].decode()
    if not ahead["live"] and (ahead["status"] == "failed" or ahead["given_up"]):
        raise TurnBlocked(
            f"{run.key} has keys of {key}, whose run ended before all its batches were loaded; start that again first"
        )
    return Turn("wait", key, seconds=patience(run, dt.datetime.now(dt.UTC)))


def ahead_in_table(conn: Connection, run: Run) -> str | None:
    """The key of a file whose live run loads the same table and was claimed before this one; for a check, None."""
    sql = f"""
        SELECT other.object_key FROM rowferry_runs mine JOIN rowferry_runs other ON other.table_name = mine.table_name
          AND other.kind = 'load' AND other.claim < mine.claim AND {_LIVE}
        WHERE mine.id = %s AND mine.kind = 'load' ORDER BY other.claim LIMIT 1"""
    row = mysql.row(conn, sql, (run.id,))
    return row["object_key"].decode() if row else None


def patience(run: Run, now: dt.datetime) -> int:
    """Seconds until a run that waits asks again: a tenth of its age, so that many don't keep others from work.

    Raises: WaitedTooLong.
    """
    waited = now - run.claimed_at
    if waited > WAIT_BOUND:
        raise WaitedTooLong(f"{run.key} has waited for {WAIT_BOUND.days} day; it is started again")
    return round(min(LEASE_MINUTES * 60 / 2, max(2, waited.total_seconds() / 10)))


def _supersede(conn: Connection, run: Run, newer: str) -> None:
    if run.verdict is None:
        raise NotFound(f"run {run.id} has no verdict")
    verdict = replace(run.verdict, gate="refused", code="superseded", reason=superseded_by(run.key, newer))
    sql = "UPDATE rowferry_runs SET verdict = %s, verdict_code = %s WHERE id = %s"
    mysql.run(conn, sql, (*verdicts.to_columns(verdict), run.id))


def superseded_by(key: str, newer: str) -> str:
    """Why an older version of a key is not loaded."""
    return f"a newer version of {key}, {newer}, has been loaded; this one would undo it"


def check_turn(conn: Connection, run: Run) -> None:
    """Within a batch's transaction: the run holds its range of keys, and nobody takes that away before the commit.

    Raises: TurnLost, RunAbandoned.
    """
    if _refuse_abandoned(conn, run, "FOR SHARE")["turn"] != "holding":
        raise TurnLost(f"{run.key} was silent for too long and has lost its turn to another file; start it again")


def _refuse_abandoned(conn: Connection, run: Run, lock: Literal["FOR UPDATE", "FOR SHARE"]) -> Row:
    """The run's row, locked until the transaction ends. Raises: RunAbandoned."""
    sql = f"SELECT status, turn, object_key, reason FROM rowferry_runs WHERE id = %s {lock}"
    row = mysql.row(conn, sql, (run.id,))
    if row is None:
        raise NotFound(f"there is no run {run.id}")
    if row["status"] == "abandoned":
        raise abandoned(row)
    return row


def take_tables(conn: Connection, into: Sequence[str]) -> str:
    """Begins a restore into tables, and takes all their keys; answers the job's id.

    Dead runs without a row in a table are passed by, as a run does.

    Raises: Busy where a run loads one of them, or ended before all its batches were loaded, or a restore goes on.
    """
    with mysql.transaction(conn):
        mysql.rows(conn, "SELECT 1 FROM rowferry_turns ORDER BY table_name FOR UPDATE")  # all: not each table has a row
        jobs.bury(conn)
        if other := jobs.restore_of(conn, into):
            raise Busy(
                f"the restore {other} is at work on {', '.join(into)}; try again when it has ended;"
                f" if its worker died, the job is marked failed within {jobs.LEASE_MINUTES} minutes"
            )
        for table in into:
            _refuse_among_runs(conn, table)
        return jobs.begin(conn, "restore", into)


def _refuse_among_runs(conn: Connection, table: str) -> None:
    sql = f"""
        UPDATE rowferry_runs other SET turn = NULL WHERE table_name = %s AND turn = 'holding' AND NOT {_LIVE}
          AND NOT {has_batches("other")}"""
    mysql.run(conn, sql, (table,))
    holding = f"""
        SELECT object_key, {_LIVE} AS live FROM rowferry_runs other WHERE table_name = %s AND kind = 'load'
          AND status IN ('running', 'failed') AND (turn = 'holding' OR {_IN_PART}) ORDER BY live DESC, claim LIMIT 1"""
    if run := mysql.row(conn, holding, (table,)):
        key = run["object_key"].decode()
        now = "is being loaded" if run["live"] else "was loaded in part, by a run that did not end well: start it again"
        raise Busy(f"{key} {now}; {table} can be restored when that has ended")
