"""What people do to a run: give it up for good, or have it started again."""

from rowferry.errors import Busy, Conflict, NotFound
from rowferry.ledger import attempts
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row


class Ended(Conflict):
    """The run has ended, so there is nothing to give up or to start again."""


def abandon(conn: Connection, id: str, why: str = "") -> None:
    """Gives a run up for good: its range of keys is free, no step of it writes anything any more, no sweep starts it.

    What it has loaded stays in the table; the run's reason says how much that is. Waits for a batch that is just being
    written: that one counts, and none commits later (`key_ranges.check_turn`). The upload stays where it is. A repeat
    changes nothing.

    Raises: NotFound; Ended; Busy where all is loaded and the file is just being moved; Contention.
    """
    with mysql.transaction(conn):
        run = _locked(conn, id)
        if run["status"] == "abandoned":
            return
        if run["status"] not in ("running", "failed"):
            raise Ended(f"run {id} has ended ({run['status']}): there is nothing to give up")
        if run["stage"] == "Summarise" and run["live"]:
            raise Busy(f"run {id} has loaded everything and is about to end; give it up if it fails")
        sql = """
            UPDATE rowferry_runs SET status = 'abandoned', reason = %s, turn = NULL, asked_at = NULL,
              finished_at = UTC_TIMESTAMP(6) WHERE id = %s"""
        mysql.run(conn, sql, (f"abandoned: {why or 'by a person'}; {_in_the_table(conn, run)}", id))
        attempts.close(conn, id)


def _locked(conn: Connection, id: str) -> Row:
    sql = """
        SELECT id, status, stage, batches, execution, lease_until > UTC_TIMESTAMP(6) AS live
        FROM rowferry_runs WHERE id = %s FOR UPDATE"""
    run = mysql.row(conn, sql, (id,))
    if run is None:
        raise NotFound(f"there is no run {id}")
    return run


def _in_the_table(conn: Connection, run: Row) -> str:
    sql = """
        SELECT COUNT(*) AS batches, COALESCE(SUM(inserted + updated + unchanged), 0) AS loaded
        FROM rowferry_batches WHERE run_id = %s"""
    found = mysql.row(conn, sql, (run["id"],))
    if not found or not found["batches"]:
        return "nothing of it is in the table"
    return f"{found['batches']} of its {run['batches']} batches are in the table, with {found['loaded']} rows"


def retry(conn: Connection, id: str) -> None:
    """Asks for a run that failed or died to be started again, whatever it failed for: the sweep does, once.

    Raises: NotFound; Ended; Busy where an execution is at work on it.
    """
    with mysql.transaction(conn):
        run = _locked(conn, id)
        if run["status"] == "abandoned":
            raise Ended(f"run {id} was given up for good; upload the file again, which makes a new run")
        if run["status"] == "running" and run["live"]:
            raise Busy(f"run {id} is under way, in {run['stage']}: {run['execution']}")
        if run["status"] not in ("running", "failed"):
            raise Ended(f"run {id} has ended ({run['status']}): there is nothing to start again")
        mysql.run(conn, "UPDATE rowferry_runs SET asked_at = UTC_TIMESTAMP(6) WHERE id = %s", (id,))
