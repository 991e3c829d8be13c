"""Runs: claimed, renewed, read, decided once, ended. A run is one version of one object."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rowferry.config import Options
from rowferry.csvfile.dialect import DIALECT, Dialect
from rowferry.errors import Never, NotFound
from rowferry.ledger import attempts, verdicts
from rowferry.ledger.model import ENDED_BY_VERDICT, Claim, Run, Verdict, run_id
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

LEASE_MINUTES = 10

UNCLAIMED = "Unclaimed"
"""The stage of a run that failed before an execution could claim it: what is known of it is what its event says."""


class RunAbandoned(Never):
    """Somebody has given the run up: no step of it does anything any more."""


class TakenOver(Never):
    """Another execution has taken the run over while this one was silent: this one does nothing more to it."""


def claim(conn: Connection, wanted: Claim) -> bool:
    """Makes the run this execution's own, or finds that it is; False where another holds it or it is finished.

    An unfinished run is taken over when it failed, when its lease ran out, or by the execution that has it.
    """
    with mysql.transaction(conn):
        return _insert_run(conn, wanted) or _take_over(conn, wanted)


def _insert_run(conn: Connection, wanted: Claim) -> bool:
    sql = f"""
        INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind,
          execution, status, stage, lease_until, options, started_at, claimed_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'running', 'Plan', {_LEASE}, %s, UTC_TIMESTAMP(6),
          UTC_TIMESTAMP(6))
        ON DUPLICATE KEY UPDATE id = rowferry_runs.id"""
    values = (wanted.id, wanted.bucket, wanted.key.encode(), wanted.version, wanted.etag, wanted.uploaded_at)
    options = json.dumps(asdict(wanted.options))
    made = mysql.run(conn, sql, (*values, wanted.table, wanted.kind, wanted.execution, options)) == 1
    if made:
        attempts.begin(conn, wanted.id, wanted.execution)
    return made


def _take_over(conn: Connection, wanted: Claim) -> bool:
    before = mysql.row(conn, f"SELECT {_COLUMNS} FROM rowferry_runs WHERE id = %s FOR UPDATE", (wanted.id,))
    sql = f"""
        UPDATE rowferry_runs SET starts = starts + (execution <> %s),
          claimed_at = IF(execution = %s, claimed_at, UTC_TIMESTAMP(6)), execution = %s,
          status = 'running', reason = NULL, lasting = FALSE, asked_at = NULL,
          finished_at = NULL, lease_until = {_LEASE}
        WHERE id = %s AND status IN ('running', 'failed')
          AND (status = 'failed' OR execution = %s OR lease_until < UTC_TIMESTAMP(6))"""
    mine = mysql.run(conn, sql, (*[wanted.execution] * 3, wanted.id, wanted.execution)) == 1
    if mine and before and before["stage"] == UNCLAIMED:
        _complete(conn, wanted)
    if mine and before and (before["status"] == "failed" or before["execution"] != wanted.execution):
        attempts.replaced(conn, before)
        attempts.begin(conn, wanted.id, wanted.execution)
    return mine


def _complete(conn: Connection, wanted: Claim) -> None:
    """Gives a run that failed before its claim what the claim knows and the failure did not."""
    sql = """
        UPDATE rowferry_runs SET stage = 'Plan', uploaded_at = %s, table_name = %s, options = %s,
          started_at = UTC_TIMESTAMP(6), claimed_at = UTC_TIMESTAMP(6) WHERE id = %s"""
    mysql.run(conn, sql, (wanted.uploaded_at, wanted.table, json.dumps(asdict(wanted.options)), wanted.id))


_LEASE = f"UTC_TIMESTAMP(6) + INTERVAL {LEASE_MINUTES} MINUTE"


def renew(conn: Connection, run: Run, stage: str) -> None:
    """Renews a run's lease where a fifth of it is gone, and says which state the run is in.

    Raises: RunAbandoned, TakenOver.
    """
    sql = f"""
        SELECT status, execution, object_key, reason,
          stage <> %s OR lease_until < {_LEASE} - INTERVAL {LEASE_MINUTES // 5} MINUTE AS due
        FROM rowferry_runs WHERE id = %s"""
    now = mysql.row(
        conn, sql, (stage, run.id)
    )  # asked first: an UPDATE would wait for each batch that is being written
    if now and now["status"] == "abandoned":
        raise abandoned(now)
    if now and now["execution"] != run.execution:
        raise taken_over(run)
    if now and now["status"] == "running" and now["due"]:
        sql = f"""
            UPDATE rowferry_runs SET lease_until = {_LEASE}, stage = %s
            WHERE id = %s AND execution = %s AND status = 'running'"""
        if not mysql.run(conn, sql, (stage, run.id, run.execution)):
            renew(conn, run, stage)  # it has ended, or was taken over, since it was asked


def taken_over(run: Run) -> TakenOver:
    return TakenOver(f"the run of {run.key} has been taken over by another execution, which goes on with it")


def abandoned(run: Row) -> RunAbandoned:
    """`run`: at least object_key and reason."""
    words = f"the run of {run['object_key'].decode()} was given up, and nothing more of it is done"
    return RunAbandoned(f"{words}: {run['reason']}")


_CLAIMED = f"stage <> '{UNCLAIMED}'"
_HAS_RUN = f"({_CLAIMED} OR lasting OR status <> 'failed')"
"""False for a run that failed before its claim for a reason that passes: its upload is like one without a run."""


def read(conn: Connection, id: str) -> Run:
    """Raises: NotFound."""
    row = mysql.row(conn, f"SELECT {_COLUMNS} FROM rowferry_runs WHERE id = %s", (id,))
    if row is None:
        raise NotFound(f"there is no run {id}")
    return run_of(row)


def held(conn: Connection, id: str, execution: str | None) -> Run:
    """A run, for a step of the execution that has claimed it; None: an execution whose events don't name it yet.

    Raises: NotFound, TakenOver.
    """
    run = read(conn, id)
    if execution not in (None, run.execution):
        raise taken_over(run)
    return run


def of_execution(conn: Connection, execution: str) -> Run | None:
    """The run that an execution has claimed."""
    row = mysql.row(conn, f"SELECT {_COLUMNS} FROM rowferry_runs WHERE execution = %s AND {_CLAIMED}", (execution,))
    return run_of(row) if row else None


def stamps(conn: Connection, bucket: str, key: str) -> Mapping[str, dt.datetime]:
    """By version, when it was uploaded, of all versions of an object that have had a run (`plan.in_order`)."""
    sql = f"SELECT version_id, uploaded_at FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND {_CLAIMED}"
    found = mysql.rows(conn, sql, (bucket, key.encode()))
    return {row["version_id"]: _utc(row["uploaded_at"]) for row in found}


def of_object(conn: Connection, bucket: str, key: str, etag: str, version: str | None) -> str | None:
    """The newest run that has had a version of an object: the named version, or one with the etag."""
    sql = "SELECT id FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND {} = %s ORDER BY claim DESC LIMIT 1"
    column, value = ("version_id", version) if version else ("etag", etag.strip('"'))
    row = mysql.row(conn, sql.format(column), (bucket, key.encode(), value))
    return str(row["id"]) if row else None


def newer_done(conn: Connection, run: Run) -> str | None:
    """The version of a newer upload under the same key that has been loaded."""
    sql = """
        SELECT version_id FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND status = 'done' AND kind = 'load'
          AND uploaded_at > %s LIMIT 1"""
    row = mysql.row(conn, sql, (run.bucket, run.key.encode(), run.uploaded_at))
    return str(row["version_id"]) if row else None


def unfinished_run(conn: Connection, table: str) -> str | None:
    """The key of a file of a table whose run is going on."""
    sql = "SELECT object_key FROM rowferry_runs WHERE table_name = %s AND status = 'running' AND kind = 'load' LIMIT 1"
    row = mysql.row(conn, sql, (table,))
    return row["object_key"].decode() if row else None


def status_of(conn: Connection, bucket: str, key: str, version: str) -> str | None:
    """The status of a version's run, None where it has none, or one that the sweep starts like one without."""
    row = mysql.row(
        conn, f"SELECT status FROM rowferry_runs WHERE id = %s AND {_HAS_RUN}", (run_id(bucket, key, version),)
    )
    return str(row["status"]) if row else None


_DEAD = f"(status = 'running' AND lease_until < UTC_TIMESTAMP(6) - INTERVAL {LEASE_MINUTES // 2} MINUTE)"


def to_start_again(conn: Connection, bucket: str, max_starts: int, after: tuple[str, str], limit: int) -> Sequence[Run]:
    """Runs that failed for a reason that may pass, or died, by key and version; each gets so many executions at most.

    Those that a person has asked for (`interventions.retry`) are among them whatever they failed for. `after`: the key
    and the version behind which to begin.
    """
    sql = f"""
        SELECT {_COLUMNS} FROM rowferry_runs WHERE bucket = %s AND object_key >= %s
          AND (object_key > %s OR version_id > %s) AND (
            starts < %s AND {_CLAIMED} AND (status = 'failed' AND NOT lasting OR {_DEAD})
            OR asked_at IS NOT NULL AND (status = 'failed' OR {_DEAD}))
        ORDER BY object_key, version_id LIMIT %s"""
    key = after[0].encode()
    return list(map(run_of, mysql.rows(conn, sql, (bucket, key, key, after[1], max_starts, limit))))


def with_run(conn: Connection, bucket: str, versions: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these versions, by key and version, that have a run.

    One that failed before its claim for a reason that passes is not among them: it is for the sweep like one without.
    """
    ids = {run_id(bucket, *version): version for version in versions}
    found = mysql.rows_in(conn, f"SELECT id FROM rowferry_runs WHERE {_HAS_RUN} AND id IN ({{}})", list(ids))
    return {ids[row["id"]] for row in found}


NAMES = [
    "id",
    "bucket",
    "object_key",
    "version_id",
    "etag",
    "uploaded_at",
    "table_name",
    "kind",
    "execution",
    "status",
    "stage",
    "reason",
    "options",
    "dialect",
    "records",
    "batches",
    "manifest",
    "verdict",
    "verdict_code",
    "report",
    "started_at",
    "claimed_at",
    "finished_at",
]
_COLUMNS = ", ".join(NAMES)


def run_of(row: Row) -> Run:
    verdict = verdicts.of_columns(row["verdict"], row["verdict_code"])
    dialect = json.loads(row["dialect"]) if row["dialect"] else None
    return Run(
        id=row["id"],
        bucket=row["bucket"],
        key=row["object_key"].decode(),
        version=row["version_id"],
        etag=row["etag"],
        uploaded_at=_utc(row["uploaded_at"]),
        table=row["table_name"],
        kind=row["kind"],
        execution=row["execution"],
        status=row["status"],
        stage=row["stage"],
        reason=_reason(row, verdict),
        options=Options(**json.loads(row["options"])),
        dialect=DIALECT.validate_python(dialect) if dialect else None,
        records=row["records"],
        batches=row["batches"],
        manifest=row["manifest"],
        verdict=verdict,
        report=json.loads(row["report"]) if row["report"] else None,
        started_at=_utc(row["started_at"]),
        claimed_at=_utc(row["claimed_at"]),
        finished_at=_utc(row["finished_at"]) if row["finished_at"] else None,
    )


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)


def _reason(row: Row, verdict: Verdict | None) -> str | None:
    """Earlier releases began the reason of a run that ended by its verdict with the verdict's code."""
    if row["reason"] and verdict and verdict.code and row["status"] in ENDED_BY_VERDICT:
        return str(row["reason"]).removeprefix(f"{verdict.code}: ")
    return row["reason"]  # type: ignore[no-any-return]


def keep_plan(conn: Connection, id: str, dialect: Dialect, records: int, batches: int, manifest: str) -> None:
    """Writes what Plan found; what was written first stays, and names the manifest that belongs to it.

    Nothing is written where another attempt at Plan has refused the file.
    """
    sql = """
        UPDATE rowferry_runs SET dialect = %s, records = %s, batches = %s, manifest = %s
        WHERE id = %s AND records IS NULL AND verdict IS NULL"""
    mysql.run(conn, sql, (json.dumps(asdict(dialect)), records, batches, manifest, id))


def refuse(conn: Connection, id: str, code: str, reason: str) -> None:
    """Writes that Plan refuses the file, unless another attempt at Plan has planned or refused it."""
    sql = """
        UPDATE rowferry_runs SET verdict = %s, verdict_code = %s
        WHERE id = %s AND records IS NULL AND verdict IS NULL"""
    mysql.run(conn, sql, (*verdicts.to_columns(Verdict("refused", code, reason)), id))


def keep_verdict(conn: Connection, id: str, verdict: Verdict) -> Verdict:
    """Writes Reconcile's verdict, or finds the one that was written first; answers the one that holds."""
    sql = """
        UPDATE rowferry_runs SET verdict = %s, verdict_code = %s, low_key = %s, high_key = %s, low_range = %s,
          high_range = %s
        WHERE id = %s AND verdict IS NULL"""
    mysql.run(conn, sql, (*verdicts.to_columns(verdict), *verdicts.key_range(verdict), id))
    kept = read(conn, id).verdict
    if kept is None:
        raise NotFound(f"run {id} has no verdict")
    return kept


def finish(conn: Connection, id: str, status: str, reason: str | None, report: Mapping[str, Any]) -> bool:
    """Ends a run: its report is kept, its range of keys is free. A repeat changes nothing, and answers False."""
    sql = """
        UPDATE rowferry_runs SET status = %s, stage = 'Finished', reason = %s, report = %s, turn = NULL,
          finished_at = UTC_TIMESTAMP(6) WHERE id = %s AND status IN ('running', 'failed')"""
    with mysql.transaction(conn):
        ended = mysql.run(conn, sql, (status, reason, json.dumps(report), id)) == 1
        attempts.close(conn, id)
    return ended
