"""What stands in a run's way, and that it failed; also where its execution could not claim it."""

import json
from dataclasses import asdict

from rowferry.ledger import attempts
from rowferry.ledger.batch_rows import has_batches
from rowferry.ledger.model import Claim, Run
from rowferry.ledger.runs import UNCLAIMED
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection


def note(conn: Connection, run: Run, reason: str | None, lasting: bool = False) -> None:
    """Says on a running run what stands in its way; the next note, its end or its next claim replaces that.

    `lasting`: starting the run again changes nothing; that stays until its next claim. Of a run that another execution
    has taken over meanwhile it says nothing.
    """
    sql = """
        UPDATE rowferry_runs SET reason = %s, lasting = lasting OR %s
        WHERE id = %s AND execution = %s AND status = 'running'"""
    mysql.run(conn, sql, (reason, lasting, run.id, run.execution))


def fail(conn: Connection, execution: str, reason: str, lasting: bool) -> bool:
    """Says that the run of an execution failed, which frees it for the next execution at once; False: it has none.

    Where some of its batches are in the table it keeps its range of keys: what overlaps must not come between them.
    A note that the run has says more than Step Functions does of a Map whose child failed: it stays, before `reason`.
    """
    sql = f"""
        UPDATE rowferry_runs SET status = 'failed', reason = CONCAT_WS('; ', reason, %s), lasting = lasting OR %s,
          turn = IF({has_batches("rowferry_runs")}, turn, NULL),
          finished_at = UTC_TIMESTAMP(6) WHERE execution = %s AND status = 'running'"""
    with mysql.transaction(conn):
        mine = mysql.row(conn, "SELECT id FROM rowferry_runs WHERE execution = %s", (execution,))
        if mine and mysql.run(conn, sql, (reason, lasting, execution)):
            attempts.close(conn, mine["id"])
    return mine is not None


def fail_unclaimed(conn: Connection, lost: Claim, reason: str, lasting: bool) -> None:
    """Makes a run of an upload whose execution failed before it could claim it, so that it is in the history.

    `lost.uploaded_at` and `lost.options` are put right by the claim that comes. A run that an execution has claimed
    stays as it is.
    """
    sql = f"""
        INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind,
          execution, status, stage, reason, lasting, lease_until, options, started_at, claimed_at, finished_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'failed', '{UNCLAIMED}', %s, %s, UTC_TIMESTAMP(6), %s,
          UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
        ON DUPLICATE KEY UPDATE id = rowferry_runs.id"""
    again = f"""
        UPDATE rowferry_runs SET execution = %s, reason = %s, lasting = %s, asked_at = NULL,
          finished_at = UTC_TIMESTAMP(6)
        WHERE id = %s AND stage = '{UNCLAIMED}' AND status = 'failed' AND execution <> %s"""
    upload = (lost.id, lost.bucket, lost.key.encode(), lost.version, lost.etag, lost.uploaded_at)
    named = (*upload, lost.table, lost.kind, lost.execution)
    options = json.dumps(asdict(lost.options))
    with mysql.transaction(conn):
        made = mysql.run(conn, sql, (*named, reason, lasting, options))
        if made or mysql.run(conn, again, (lost.execution, reason, lasting, lost.id, lost.execution)):
            attempts.begin(conn, lost.id, lost.execution)
            attempts.close(conn, lost.id)
