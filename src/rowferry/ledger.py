"""The runs and their batches in MySQL: claims, leases, turns, and the books.

A run is one version of one object. Everything that decides what "batch 3" means or what becomes of its rows is written
once and then only read: options at the claim, the plan's counts, Reconcile's verdict with the gate's decision.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from typing import Any, Literal

from rowferry import db, jobs
from rowferry.config import Options
from rowferry.db import Connection, Row
from rowferry.errors import Busy, NotFound, StartAgain
from rowferry.parse import Dialect

LEASE_MINUTES = 10
RETRIED_MINUTES = 75
"""A run whose lease ran out may still be alive for so long: the state machine tries its steps again for an hour."""

Gate = Literal["open", "refused", "too_many_rejects", "no_valid_row"]


class TurnBlocked(StartAgain):
    """A run with overlapping keys is dead, and some of its batches are in the table: that one has to end first."""


class TurnLost(StartAgain):
    """Another run was let past while this one was silent: to load now would mix the two."""


def run_id(bucket: str, key: str, version: str) -> str:
    """32 hexadecimal digits, the same for the same version of an object."""
    name = "\0".join((bucket, key, version))
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Would:
    """What loading would do to rows that a check withholds."""

    insert: int = 0
    update: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Verdict:
    """What was decided over the whole file, by Plan (refused) or by Reconcile and the gate.

    `reason`: why the gate is shut, a code and words. `rejected`: records of the whole file that Validate or Reconcile
    rejected. `prefix`: where Reconcile's rejects lie, one object for each batch that is in `batches`, which has how
    many of that batch's rows it rejected. `would`: for a check, by batch. Keys: the range of the valid rows'.
    """

    gate: Gate
    reason: str | None = None
    rejected: int = 0
    prefix: str = ""
    batches: Mapping[int, int] = field(default_factory=dict)
    would: Mapping[int, Would] = field(default_factory=dict)
    low_key: int | None = None
    high_key: int | None = None


@dataclass(frozen=True)
class Run:
    """A row of rowferry_runs. `records`, `batches` and `dialect` are there after Plan, `verdict` after Reconcile."""

    id: str
    bucket: str
    key: str
    version: str
    etag: str
    uploaded_at: dt.datetime
    table: str
    kind: str
    execution: str
    status: str
    stage: str
    reason: str | None
    options: Options
    dialect: Dialect | None
    records: int | None
    batches: int | None
    verdict: Verdict | None
    report: Mapping[str, Any] | None
    started_at: dt.datetime
    claimed_at: dt.datetime
    finished_at: dt.datetime | None

    @property
    def path(self) -> str:
        """The object's key without its first folder: `raw/jobs.csv` -> `jobs.csv`."""
        return self.key.partition("/")[2]


@dataclass(frozen=True)
class Totals:
    """What became of records. Holds for a batch and for a file: read is the sum of the others."""

    records: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    withheld: int = 0

    @property
    def balances(self) -> bool:
        return self.records == self.inserted + self.updated + self.unchanged + self.rejected + self.withheld

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Totals)))


@dataclass(frozen=True)
class LedgerRow:
    """A batch's row: its totals, and the object with the rejects that were found while it was loaded."""

    batch: int
    totals: Totals
    rejects_key: str | None
    would: Would = Would()


# --- runs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """What a run is claimed with."""

    id: str
    bucket: str
    key: str
    version: str
    etag: str
    uploaded_at: dt.datetime
    table: str
    kind: str
    execution: str
    options: Options


def claim(conn: Connection, wanted: Claim) -> bool:
    """Makes the run this execution's own, or finds that it is; False where another holds it or it is finished.

    An unfinished run is taken over when it failed, when its lease ran out, or by the execution that has it.
    """
    with db.transaction(conn):
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
    return db.run(conn, sql, (*values, wanted.table, wanted.kind, wanted.execution, options)) == 1


def _take_over(conn: Connection, wanted: Claim) -> bool:
    sql = f"""
        UPDATE rowferry_runs SET starts = starts + (execution <> %s),
          claimed_at = IF(execution = %s, claimed_at, UTC_TIMESTAMP(6)), execution = %s,
          status = 'running', reason = NULL, lasting = FALSE,
          finished_at = NULL, lease_until = {_LEASE}
        WHERE id = %s AND status IN ('running', 'failed')
          AND (status = 'failed' OR execution = %s OR lease_until < UTC_TIMESTAMP(6))"""
    return db.run(conn, sql, (*[wanted.execution] * 3, wanted.id, wanted.execution)) == 1


_LEASE = f"UTC_TIMESTAMP(6) + INTERVAL {LEASE_MINUTES} MINUTE"


def renew(conn: Connection, id: str, stage: str) -> None:
    """Renews a run's lease where a fifth of it is gone, and says which state the run is in."""
    due = f"""
        SELECT 1 FROM rowferry_runs WHERE id = %s AND status = 'running'
          AND (stage <> %s OR lease_until < {_LEASE} - INTERVAL {LEASE_MINUTES // 5} MINUTE)"""
    if db.row(conn, due, (id, stage)):  # asked first: an UPDATE would wait for each batch that is being written
        sql = f"UPDATE rowferry_runs SET lease_until = {_LEASE}, stage = %s WHERE id = %s AND status = 'running'"
        db.run(conn, sql, (stage, id))


def read(conn: Connection, id: str) -> Run:
    """Raises: NotFound."""
    row = db.row(conn, f"SELECT {_COLUMNS} FROM rowferry_runs WHERE id = %s", (id,))
    if row is None:
        raise NotFound(f"there is no run {id}")
    return _run(row)


def of_execution(conn: Connection, execution: str) -> Run | None:
    """The run that an execution has claimed."""
    row = db.row(conn, f"SELECT {_COLUMNS} FROM rowferry_runs WHERE execution = %s", (execution,))
    return _run(row) if row else None


def stamps(conn: Connection, bucket: str, key: str) -> Mapping[str, dt.datetime]:
    """By version, when it was uploaded, of all versions of an object that have had a run (`plan.in_order`)."""
    sql = "SELECT version_id, uploaded_at FROM rowferry_runs WHERE bucket = %s AND object_key = %s"
    found = db.rows(conn, sql, (bucket, key.encode()))
    return {row["version_id"]: _utc(row["uploaded_at"]) for row in found}


def of_object(conn: Connection, bucket: str, key: str, etag: str, version: str | None) -> str | None:
    """The newest run that has had a version of an object: the named version, or one with the etag."""
    sql = "SELECT id FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND {} = %s ORDER BY claim DESC LIMIT 1"
    column, value = ("version_id", version) if version else ("etag", etag.strip('"'))
    row = db.row(conn, sql.format(column), (bucket, key.encode(), value))
    return str(row["id"]) if row else None


def newer_done(conn: Connection, run: Run) -> str | None:
    """The version of a newer upload under the same key that has been loaded."""
    sql = """
        SELECT version_id FROM rowferry_runs WHERE bucket = %s AND object_key = %s AND status = 'done' AND kind = 'load'
          AND uploaded_at > %s LIMIT 1"""
    row = db.row(conn, sql, (run.bucket, run.key.encode(), run.uploaded_at))
    return str(row["version_id"]) if row else None


def unfinished_run(conn: Connection, table: str) -> str | None:
    """The key of a file of a table whose run is going on."""
    sql = "SELECT object_key FROM rowferry_runs WHERE table_name = %s AND status = 'running' AND kind = 'load' LIMIT 1"
    row = db.row(conn, sql, (table,))
    return row["object_key"].decode() if row else None


def status_of(conn: Connection, bucket: str, key: str, version: str) -> str | None:
    """The status of a version's run, None where it has none."""
    row = db.row(conn, "SELECT status FROM rowferry_runs WHERE id = %s", (run_id(bucket, key, version),))
    return str(row["status"]) if row else None


def to_start_again(conn: Connection, bucket: str, max_starts: int) -> Sequence[Run]:
    """Runs that failed for a reason that may pass, or died; each gets so many executions at most."""
    sql = f"""
        SELECT {_COLUMNS} FROM rowferry_runs WHERE bucket = %s AND starts < %s AND (status = 'failed' AND NOT lasting
          OR status = 'running' AND lease_until < UTC_TIMESTAMP(6) - INTERVAL {LEASE_MINUTES // 2} MINUTE)"""
    return list(map(_run, db.rows(conn, sql, (bucket, max_starts))))


@dataclass(frozen=True)
class Progress:
    """A run with what its ledger says so far. `batches_done`: those that are in the books."""

    claim: int
    run: Run
    totals: Totals
    batches_done: int


def newest(conn: Connection, limit: int, before: int | None = None) -> Sequence[Progress]:
    """The newest runs first; `before`: only those with an older claim."""
    where = "SELECT * FROM rowferry_runs WHERE claim < %s ORDER BY claim DESC LIMIT %s"
    found = db.rows(conn, _PROGRESS.format(where), (before or 2**63 - 1, limit))
    return list(map(_progress, found))


def progress(conn: Connection, id: str) -> Progress:
    """Raises: NotFound."""
    row = db.row(conn, _PROGRESS.format("SELECT * FROM rowferry_runs WHERE id = %s"), (id,))
    if row is None:
        raise NotFound(f"there is no run {id}")
    return _progress(row)


def _progress(row: Row) -> Progress:
    totals = Totals(*(int(row[f"sum_{name}"]) for name in _SUM_NAMES))
    return Progress(int(row["claim"]), _run(row), totals, int(row["done"]))


_NAMES = [
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
    "verdict",
    "report",
    "started_at",
    "claimed_at",
    "finished_at",
]
_COLUMNS = ", ".join(_NAMES)
_SUM_NAMES = [field.name for field in fields(Totals)]
_PROGRESS = (
    f"SELECT r.claim, {', '.join(f'ANY_VALUE(r.{name}) AS {name}' for name in _NAMES)}, COUNT(b.batch) AS done, "
    + ", ".join(f"COALESCE(SUM(b.{name}), 0) AS sum_{name}" for name in _SUM_NAMES)
    + " FROM ({}) r LEFT JOIN rowferry_batches b ON b.run_id = r.id GROUP BY r.id, r.claim ORDER BY r.claim DESC"
)


def _run(row: Row) -> Run:
    verdict = json.loads(row["verdict"]) if row["verdict"] else None
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
        reason=row["reason"],
        options=Options(**json.loads(row["options"])),
        dialect=Dialect(dialect["delimiter"], tuple(dialect["columns"])) if dialect else None,
        records=row["records"],
        batches=row["batches"],
        verdict=_verdict(verdict) if verdict else None,
        report=json.loads(row["report"]) if row["report"] else None,
        started_at=_utc(row["started_at"]),
        claimed_at=_utc(row["claimed_at"]),
        finished_at=_utc(row["finished_at"]) if row["finished_at"] else None,
    )


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)


def _verdict(stored: dict[str, Any]) -> Verdict:
    batches = {int(batch): int(count) for batch, count in stored.pop("batches").items()}
    would = {int(batch): Would(**counts) for batch, counts in stored.pop("would").items()}
    return Verdict(**stored, batches=batches, would=would)


def keep_plan(conn: Connection, id: str, dialect: Dialect, records: int, batches: int) -> None:
    """Writes what Plan found; what was written first stays."""
    sql = """
        UPDATE rowferry_runs SET dialect = %s, records = %s, batches = %s WHERE id = %s AND records IS NULL"""
    db.run(conn, sql, (json.dumps(asdict(dialect)), records, batches, id))


def keep_verdict(conn: Connection, id: str, verdict: Verdict) -> Verdict:
    """Writes Reconcile's verdict, or finds the one that was written first; answers the one that holds."""
    sql = "UPDATE rowferry_runs SET verdict = %s, low_key = %s, high_key = %s WHERE id = %s AND verdict IS NULL"
    db.run(conn, sql, (json.dumps(asdict(verdict)), verdict.low_key, verdict.high_key, id))
    kept = read(conn, id).verdict
    if kept is None:
        raise NotFound(f"run {id} has no verdict")
    return kept


def finish(conn: Connection, id: str, status: str, reason: str | None, report: Mapping[str, Any]) -> bool:
    """Ends a run: its report is kept, its range of keys is free. A repeat changes nothing, and answers False."""
    sql = """
        UPDATE rowferry_runs SET status = %s, stage = 'Finished', reason = %s, report = %s, turn = NULL,
          finished_at = UTC_TIMESTAMP(6) WHERE id = %s AND status IN ('running', 'failed')"""
    return db.run(conn, sql, (status, reason, json.dumps(report), id)) == 1


def note(conn: Connection, id: str, reason: str | None, lasting: bool = False) -> None:
    """Says on a running run what stands in its way; the next note, its end or its next claim replaces that.

    `lasting`: starting the run again changes nothing; that stays until its next claim.
    """
    sql = "UPDATE rowferry_runs SET reason = %s, lasting = lasting OR %s WHERE id = %s AND status = 'running'"
    db.run(conn, sql, (reason, lasting, id))


def fail(conn: Connection, execution: str, reason: str, lasting: bool) -> None:
    """Says that the run of an execution failed, which frees it for the next execution at once.

    Where some of its batches are in the table it keeps its range of keys: what overlaps must not come between them.
    A note that the run has says more than Step Functions does of a Map whose child failed: it stays, before `reason`.
    """
    sql = f"""
        UPDATE rowferry_runs SET status = 'failed', reason = CONCAT_WS('; ', reason, %s), lasting = lasting OR %s,
          turn = IF({_begun("rowferry_runs")}, turn, NULL),
          finished_at = UTC_TIMESTAMP(6) WHERE execution = %s AND status = 'running'"""
    db.run(conn, sql, (reason, lasting, execution))


# --- turns -----------------------------------------------------------------------------------------------------------


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

    Raises: TurnBlocked.
    """
    with db.transaction(conn):
        db.row(conn, "SELECT table_name FROM rowferry_turns WHERE table_name = %s FOR UPDATE", (run.table,))
        db.run(conn, "UPDATE rowferry_runs SET turn = 'waiting' WHERE id = %s AND turn IS NULL", (run.id,))
        if newer := newer_done(conn, run):
            _supersede(conn, run, newer)
            return Turn("superseded")
        if db.row(conn, "SELECT 1 FROM rowferry_runs WHERE id = %s AND turn = 'holding'", (run.id,)):
            return Turn("go")
        jobs.bury(conn)
        if restore := jobs.restore_of(conn, [run.table]):
            return Turn("wait", f"the restore {restore}", seconds=patience(run, dt.datetime.now(dt.UTC)))
        _pass_by_the_dead(conn, run)
        if ahead := db.row(conn, _AHEAD, (run.id,)):
            return _behind(run, ahead)
        db.run(conn, "UPDATE rowferry_runs SET turn = 'holding' WHERE id = %s", (run.id,))
        return Turn("go")


_LIVE = "(other.status = 'running' AND other.lease_until > UTC_TIMESTAMP(6))"


def _begun(run: str) -> str:
    """Whether a run, by its table's name in the statement, has batches in the books."""
    return f"EXISTS (SELECT 1 FROM rowferry_batches b WHERE b.run_id = {run}.id)"


_OUTDATED = """EXISTS (SELECT 1 FROM rowferry_runs newer WHERE newer.object_key = other.object_key
    AND newer.bucket = other.bucket AND newer.uploaded_at > other.uploaded_at AND newer.kind = 'load'
    AND newer.status = 'done')"""
_IN_PART = f"""(EXISTS (SELECT 1 FROM rowferry_batches b
    WHERE b.run_id = other.id AND b.inserted + b.updated + b.unchanged > 0) AND NOT {_OUTDATED})"""
"""Of an unfinished run: it has rows in the table, and will go on when it is started again."""
_AHEAD = f"""
    SELECT other.object_key, other.status, {_LIVE} AS live,
      other.lease_until < UTC_TIMESTAMP(6) - INTERVAL {RETRIED_MINUTES} MINUTE AS given_up
    FROM rowferry_runs mine JOIN rowferry_runs other ON other.table_name = mine.table_name
      AND other.id <> mine.id AND other.status IN ('running', 'failed') AND other.kind = 'load'
    WHERE mine.id = %s AND (
      (other.low_key <= mine.high_key AND other.high_key >= mine.low_key AND (
        other.turn = 'holding'
        OR ({_IN_PART} AND NOT (other.object_key = mine.object_key AND other.bucket = mine.bucket
          AND other.uploaded_at < mine.uploaded_at))
        OR (other.turn = 'waiting' AND other.claim < mine.claim AND {_LIVE} AND NOT {_begun("mine")})))
      OR (other.object_key = mine.object_key AND other.bucket = mine.bucket AND other.claim < mine.claim AND {_LIVE}
        AND NOT {_begun("mine")}))
    ORDER BY live DESC, other.claim LIMIT 1"""
_DEAD_HOLDERS = f"""
    SELECT id, object_key = %s AND bucket = %s AND uploaded_at < %s AS outdated FROM rowferry_runs other
    WHERE table_name = %s AND id <> %s AND status IN ('running', 'failed') AND turn = 'holding' AND NOT {_LIVE}"""


def _pass_by_the_dead(conn: Connection, run: Run) -> None:
    """Takes the turn from dead runs whom that does not harm. Waits for a batch that one of them is just writing."""
    for dead in db.rows(conn, _DEAD_HOLDERS, (run.key.encode(), run.bucket, run.uploaded_at, run.table, run.id)):
        sql = f"""
            UPDATE rowferry_runs other SET turn = NULL WHERE id = %s AND NOT {_LIVE}
              AND (%s OR NOT {_begun("other")})"""
        db.run(conn, sql, (dead["id"], dead["outdated"]))


def _behind(run: Run, ahead: Row) -> Turn:
    key = ahead["object_key"].decode()
    if not ahead["live"] and (ahead["status"] == "failed" or ahead["given_up"]):
        raise TurnBlocked(
            f"{run.key} has keys of {key}, whose run ended before all its batches were loaded; start that again first"
        )
    return Turn("wait", key, seconds=patience(run, dt.datetime.now(dt.UTC)))


def patience(run: Run, now: dt.datetime) -> int:
    """Seconds until a run that waits asks again: a tenth of its age, so that many don't keep others from work."""
    waited = (now - run.claimed_at).total_seconds()
    return round(min(LEASE_MINUTES * 60 / 2, max(2, waited / 10)))


def _supersede(conn: Connection, run: Run, newer: str) -> None:
    reason = f"superseded: {superseded_by(run.key, newer)}"
    if run.verdict is None:
        raise NotFound(f"run {run.id} has no verdict")
    verdict = replace(run.verdict, gate="refused", reason=reason)
    db.run(conn, "UPDATE rowferry_runs SET verdict = %s WHERE id = %s", (json.dumps(asdict(verdict)), run.id))


def superseded_by(key: str, newer: str) -> str:
    """Why an older version of a key is not loaded."""
    return f"a newer version of {key}, {newer}, has been loaded; this one would undo it"


def check_turn(conn: Connection, run: Run) -> None:
    """Within a batch's transaction: the run holds its range of keys, and nobody takes that away before the commit.

    Raises: TurnLost.
    """
    if not db.row(conn, "SELECT 1 FROM rowferry_runs WHERE id = %s AND turn = 'holding' FOR SHARE", (run.id,)):
        raise TurnLost(f"{run.key} was silent for too long and has lost its turn to another file; start it again")


def take_tables(conn: Connection, into: Sequence[str]) -> str:
    """Begins a restore into tables, and takes all their keys; answers the job's id.

    Dead runs without a row in a table are passed by, as a run does.

    Raises: Busy where a run loads one of them, or ended before all its batches were loaded, or a restore goes on.
    """
    with db.transaction(conn):
        db.rows(conn, "SELECT 1 FROM rowferry_turns ORDER BY table_name FOR UPDATE")  # all: not each table has a row
        jobs.bury(conn)
        if other := jobs.restore_of(conn, into):
            raise Busy(
                f"the restore {other} is at work on {', '.join(into)}; try again when it has ended;"
                f" should its machine have been cut off, that is known after {jobs.LEASE_MINUTES} minutes at most"
            )
        for table in into:
            _refuse_among_runs(conn, table)
        return jobs.begin(conn, "restore", into)


def _refuse_among_runs(conn: Connection, table: str) -> None:
    sql = f"""
        UPDATE rowferry_runs other SET turn = NULL WHERE table_name = %s AND turn = 'holding' AND NOT {_LIVE}
          AND NOT {_begun("other")}"""
    db.run(conn, sql, (table,))
    holding = f"""
        SELECT object_key, {_LIVE} AS live FROM rowferry_runs other WHERE table_name = %s AND kind = 'load'
          AND status IN ('running', 'failed') AND (turn = 'holding' OR {_IN_PART}) ORDER BY live DESC, claim LIMIT 1"""
    if run := db.row(conn, holding, (table,)):
        key = run["object_key"].decode()
        now = "is being loaded" if run["live"] else "was loaded in part, by a run that did not end well: start it again"
        raise Busy(f"{key} {now}; {table} can be restored when that has ended")


# --- the books -------------------------------------------------------------------------------------------------------


def open_batch(conn: Connection, id: str, batch: int, records: int) -> bool:
    """Within the batch's transaction, first: False where the batch is already in the books.

    Waits while another transaction has the same batch open.
    """
    sql = """
        INSERT INTO rowferry_batches (run_id, batch, records, committed_at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6))
        ON DUPLICATE KEY UPDATE batch = rowferry_batches.batch"""
    return db.run(conn, sql, (id, batch, records)) == 1


def close_batch(conn: Connection, id: str, row: LedgerRow) -> None:
    """Within the batch's transaction, last: what became of its records."""
    names = ", ".join(f"{name} = %s" for name in _SUM_NAMES)
    sql = f"""
        UPDATE rowferry_batches SET {names}, would_insert = %s, would_update = %s, would_unchanged = %s,
          rejects_key = %s, committed_at = UTC_TIMESTAMP(6) WHERE run_id = %s AND batch = %s"""
    values = [getattr(row.totals, name) for name in _SUM_NAMES]
    db.run(conn, sql, (*values, *astuple(row.would), row.rejects_key, id, row.batch))


def batch(conn: Connection, id: str, number: int) -> LedgerRow | None:
    """A batch's row, None where it is not in the books."""
    row = db.row(conn, "SELECT * FROM rowferry_batches WHERE run_id = %s AND batch = %s", (id, number))
    return _ledger_row(row) if row else None


def batches(conn: Connection, id: str) -> Sequence[LedgerRow]:
    """A run's ledger, in the order of its batches."""
    found = db.rows(conn, "SELECT * FROM rowferry_batches WHERE run_id = %s ORDER BY batch", (id,))
    return list(map(_ledger_row, found))


def _ledger_row(row: Row) -> LedgerRow:
    totals = Totals(*(int(row[name]) for name in _SUM_NAMES))
    would = Would(int(row["would_insert"]), int(row["would_update"]), int(row["would_unchanged"]))
    return LedgerRow(int(row["batch"]), totals, row["rejects_key"], would)


def withhold(conn: Connection, id: str, rows: Sequence[LedgerRow]) -> None:
    """Writes the books of a run whose gate is shut, all batches in one transaction; a repeat changes nothing."""
    with db.transaction(conn):
        for row in rows:
            if open_batch(conn, id, row.batch, row.totals.records):
                close_batch(conn, id, row)
