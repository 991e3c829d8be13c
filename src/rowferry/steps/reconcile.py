"""The step Reconcile: what can only be judged over the whole file, before a row is written.

First references that MySQL does not have, then keys that occur twice among the rows that are left; last, the gate. Its
verdict is written once and then holds, however often the step runs.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rowferry import ledger
from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.split import Batch
from rowferry.declare import constraints
from rowferry.declare.catalog import table_named
from rowferry.declare.constraints import Constraints
from rowferry.errors import SchemaDiffers
from rowferry.ledger import Run, Verdict, Would
from rowferry.steps.compare import Fate, Key, fates, would_do
from rowferry.steps.file_scan import FileScan, scanned
from rowferry.steps.parents import worth_waiting
from rowferry.steps.violations import Violations, find_violations
from rowferry.steps.work_files import RunFiles, given_records, verdict_key
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from rowferry.validate.rejects import key_exists
from rowferry.validate.verdict import Reject, rejected


@dataclass(frozen=True)
class Reconciled:
    """`wait`: look again in so many seconds, for `reason`; else what the gate decided: `load`, or `withhold`, which
    writes no row. `code` and `reason` are the verdict's then.
    """

    outcome: str
    reason: str | None = None
    seconds: int = 0
    code: str | None = None


def reconcile(conn: Connection, bucket: Bucket, run: Run, now: dt.datetime) -> Reconciled:
    """Raises: ParentNeverCame, SchemaDiffers: the run fails and its file stays in raw/, to be started again."""
    ledger.renew(conn, run, "Reconcile")
    if run.verdict:
        return _outcome(run, run.verdict)
    with scanned(RunFiles(bucket, run.id, run.manifest), table_named(run.table)) as scan:
        return _decide(conn, bucket, run, scan, now)


def _outcome(run: Run, verdict: Verdict) -> Reconciled:
    outcome = "load" if verdict.gate == "open" and run.kind == "load" else "withhold"
    return Reconciled(outcome, verdict.reason, code=verdict.code)


def _decide(conn: Connection, bucket: Bucket, run: Run, scan: FileScan, now: dt.datetime) -> Reconciled:
    def tick() -> None:
        ledger.renew(conn, run, "Reconcile")

    found = constraints.read(conn, scan.table)
    if found.unfit:
        raise SchemaDiffers(f"{'; '.join(found.unfit)}; start the run again when that is put right")
    if found.unique and (ahead := ledger.ahead_in_table(conn, run)):
        words = f"{ahead} is loaded first, as {run.table} has a unique index besides its key"
        return _wait(conn, run, "Wait for table", words, now)
    missing = scan.find_missing_parents(conn, tick)
    parents = sorted({reference.parent for reference in missing})
    if parents and (reason := worth_waiting(conn, bucket, run, parents, now)):
        return _wait(conn, run, "Wait for parents", reason, now)
    if parents:  # what was under way at the first look may have ended since: nothing is now, so this look holds
        scan.find_missing_parents(conn, tick)
    ledger.note(conn, run, None)
    return _outcome(run, ledger.keep_verdict(conn, run.id, _verdict(conn, run, scan, found, tick)))


def _wait(conn: Connection, run: Run, stage: str, reason: str, now: dt.datetime) -> Reconciled:
    ledger.renew(conn, run, stage)
    ledger.note(conn, run, reason)
    return Reconciled("wait", reason, ledger.patience(run, now))


def _verdict(conn: Connection, run: Run, scan: FileScan, found: Constraints, tick: Callable[[], None]) -> Verdict:
    prefix, policy = scan.files.verdicts_prefix(), run.options.on_conflict
    counts: dict[int, int] = {}
    scan.find_faults(policy == "update", tick, keys_too=not found.any)
    violations = None
    if found.any:
        rows = (row for batch in scan.batches for row in scan.lines(batch))
        violations = find_violations(conn, scan.table, found, rows, scan.orphan_lines(), policy, tick)
    for batch in scan.batches:
        tick()
        if rejects := list(_rejects(scan, run.dialect or Dialect(), batch, violations)):
            scan.files.write_rejects(verdict_key(prefix, batch.batch), rejects)
            counts[batch.batch] = len(rejects)
    rejected = sum(stats.rejected for stats in scan.stats) + sum(counts.values())
    gate, reason = _gate(run, rejected)
    code = None if gate == "open" else gate
    lows = [stats.low for stats in scan.stats if stats.low is not None]
    highs = [stats.high for stats in scan.stats if stats.high is not None]
    verdict = Verdict(
        gate, code, reason, rejected, prefix, counts, low_key=min(lows, default=None), high_key=max(highs, default=None)
    )
    return _checked(conn, run, scan, verdict) if run.kind == "check" and gate == "open" else verdict


def _gate(run: Run, rejected: int) -> tuple[ledger.Gate, str | None]:
    read = run.records or 0
    if rejected == read:
        return "no_valid_row", f"none of the {read} records is valid"
    percent = 100 * rejected / read
    if percent > run.options.max_rejected_percent:
        allowed = f"{run.options.max_rejected_percent:g} % are allowed"
        words = f"{rejected} of {read} records ({percent:.4g} %) are rejected and {allowed}; nothing was loaded"
        return "too_many_rejects", words
    return "open", None


# --- rejects ---------------------------------------------------------------------------------------------------------


def _rejects(scan: FileScan, dialect: Dialect, batch: Batch, violations: Violations | None) -> Iterator[Reject]:
    """The batch's rows that are rejected here, with their fields as given, in the order of their lines."""
    lost = dict(violations.between(*scan.lines_of(batch))) if violations else {}
    lost |= scan.faults(batch)
    for line, fields in given_records(scan.files, dialect, batch, scan.table) if lost else ():
        if line in lost:
            yield rejected(line, lost[line], fields)


# --- a check ---------------------------------------------------------------------------------------------------------


def _checked(conn: Connection, run: Run, scan: FileScan, verdict: Verdict) -> Verdict:
    """The verdict with what loading would do to each batch's rows, and the rejects that only loading would find."""
    would, counts = dict[int, Would](), dict(verdict.batches)
    for batch in scan.batches:
        ledger.renew(conn, run, "Reconcile")
        place = verdict_key(verdict.prefix, batch.batch)
        rejects = list(scan.files.rejects(place)) if batch.batch in counts else []
        out = {reject.line for reject in rejects}
        tally, existing = Counter[Fate](), dict[int, Key]()
        for line, key, fate in fates(conn, scan.table, scan.lines(batch)):
            if line not in out:
                tally[fate] += 1
                if fate == "differs" and run.options.on_conflict == "reject":
                    existing[line] = key
        would[batch.batch] = would_do(tally, run.options.on_conflict)
        if existing:
            given = given_records(scan.files, run.dialect or Dialect(), batch, scan.table)
            rejects += (rejected(n, [key_exists(scan.table, existing[n])], f) for n, f in given if n in existing)
            scan.files.write_rejects(place, sorted(rejects, key=lambda reject: reject.line))
            counts[batch.batch] = len(rejects)
    return replace(verdict, batches=counts, would=would)
