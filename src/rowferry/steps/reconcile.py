"""The step Reconcile: what can only be judged over the whole file, before a row is written.

First references that MySQL does not have, then keys that occur twice among the rows that are left; last, the gate. Its
verdict is written once and then holds, however often the step runs.
"""

import datetime as dt
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rowferry import ledger
from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.split import Batch
from rowferry.declare import constraints
from rowferry.declare.catalog import TABLES, table_named
from rowferry.declare.constraints import Constraints
from rowferry.declare.table import Table
from rowferry.errors import SchemaDiffers
from rowferry.ledger import Run, Verdict, Would
from rowferry.steps.compare import Fate, fates, would_do
from rowferry.steps.parents import worth_waiting
from rowferry.steps.violations import Violations, find_violations
from rowferry.steps.work_files import RunFiles, Stats, given_records, verdict_key
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from rowferry.validate.reading import Fault
from rowferry.validate.rejects import duplicate_in_file, key_exists, no_parent
from rowferry.validate.verdict import Reject, rejected

_KEYS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Reconciled:
    """`wait`: look again in so many seconds, for `reason`; else what the gate decided: `load`, or `withhold`, which
    writes no row.
    """

    outcome: str
    reason: str | None = None
    seconds: int = 0


def reconcile(conn: Connection, bucket: Bucket, run: Run, now: dt.datetime) -> Reconciled:
    """Raises: ParentNeverCame, SchemaDiffers: the run fails and its file stays in raw/, to be started again."""
    ledger.renew(conn, run, "Reconcile")
    verdict = run.verdict
    if verdict is None:
        look = _Look(RunFiles(bucket, run.id, run.manifest), table_named(run.table))
        found = constraints.read(conn, look.table)
        if found.unfit:
            raise SchemaDiffers(f"{'; '.join(found.unfit)}; start the run again when that is put right")
        if found.unique and (ahead := ledger.ahead_in_table(conn, run)):
            words = f"{ahead} is loaded first, as {run.table} has a unique index besides its key"
            ledger.renew(conn, run, "Wait for table")
            ledger.note(conn, run, words)
            return Reconciled("wait", words, ledger.patience(run, now))
        missing = look.missing_parents(conn)
        parents = sorted({str(column.parent) for column in look.table.references if column.name in missing})
        if parents and (reason := worth_waiting(conn, bucket, run, parents, now)):
            ledger.renew(conn, run, "Wait for parents")
            ledger.note(conn, run, reason)
            return Reconciled("wait", reason, ledger.patience(run, now))
        if parents:  # what was under way at the first look may have ended since: nothing is now, so this look holds
            missing = look.missing_parents(conn)
        ledger.note(conn, run, None)
        verdict = ledger.keep_verdict(conn, run.id, _verdict(conn, run, look, missing, found))
    return Reconciled("load" if verdict.gate == "open" and run.kind == "load" else "withhold", verdict.reason)


def _verdict(conn: Connection, run: Run, look: "_Look", missing: "Missing", found: Constraints) -> Verdict:
    prefix = look.files.verdicts_prefix()
    counts: dict[int, int] = {}
    losers: Losers | Violations
    if found.any:
        rows = (row for batch in look.batches for row in look.lines(batch))
        losers = find_violations(
            conn,
            look.table,
            found,
            rows,
            missing,
            run.options.on_conflict,
            lambda: ledger.renew(conn, run, "Reconcile"),
        )
    else:
        losers = look.losers(missing, run.options.on_conflict == "update")
    for batch in look.batches:
        ledger.renew(conn, run, "Reconcile")
        if rejects := list(_rejects(look, run.dialect or Dialect(), batch, missing, losers)):
            look.files.write_rejects(verdict_key(prefix, batch.batch), rejects)
            counts[batch.batch] = len(rejects)
    rejected = sum(stats.rejected for stats in look.stats) + sum(counts.values())
    gate, reason = _gate(run, rejected)
    lows = [stats.low for stats in look.stats if stats.low is not None]
    highs = [stats.high for stats in look.stats if stats.high is not None]
    verdict = Verdict(
        gate, reason, rejected, prefix, counts, low_key=min(lows, default=None), high_key=max(highs, default=None)
    )
    return _checked(conn, run, look, verdict) if run.kind == "check" and gate == "open" else verdict


def _gate(run: Run, rejected: int) -> tuple[ledger.Gate, str | None]:
    read = run.records or 0
    if rejected == read:
        return "no_valid_row", f"no_valid_row: none of the {read} records is valid"
    percent = 100 * rejected / read
    if percent > run.options.max_rejected_percent:
        allowed = f"{run.options.max_rejected_percent:g} % are allowed"
        words = f"{rejected} of {read} records ({percent:.4g} %) are rejected and {allowed}; nothing was loaded"
        return "too_many_rejects", f"too_many_rejects: {words}"
    return "open", None


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loser:
    """A row whose key stands in the file again, in the row that wins."""

    line: int
    key: int
    winner: int
    table: Table

    @property
    def faults(self) -> Sequence[Fault]:
        return [duplicate_in_file(self.table, self.key, self.winner)]


@dataclass(frozen=True)
class Losers:
    """All of a file, in the order of their lines."""

    all: Sequence[Loser]

    def between(self, low: int, high: int | None) -> Mapping[int, Sequence[Fault]]:
        """What is wrong with the rows of these lines, without the last; None: to the end."""
        begin, end = (
            len(self.all) if line is None else bisect_left(self.all, line, key=lambda loser: loser.line)
            for line in (low, high)
        )
        return {loser.line: loser.faults for loser in self.all[begin:end]}


Missing = Mapping[str, frozenset[int]]
"""By the reference's column: the values that the parent table does not have."""


class _Look:
    """All batches of a run, as Validate left them."""

    def __init__(self, files: RunFiles, table: Table) -> None:
        self.files = files
        self.table = table
        self.batches = list(files.batches())
        self.stats: list[Stats] = []
        self._values: dict[str, set[int]] = {column.name: set() for column in table.references}
        for batch in self.batches:
            stats = files.stats(batch.batch, table)
            for name, values in stats.references.items():
                self._values[name].update(values)
            self.stats.append(replace(stats, references={}))  # those of all batches at once may be too many

    def missing_parents(self, conn: Connection) -> Missing:
        found = {}
        for column in self.table.references:
            parent = TABLES[str(column.parent)]
            if lacking := _lacking(conn, parent, sorted(self._values[column.name])):
                found[column.name] = lacking
        return found

    def orphans(self, batch: Batch, missing: Missing) -> Iterator[tuple[int, dict[str, int]]]:
        """Line, and the columns whose parent is missing with their values."""
        if not missing or not self.stats[batch.batch].valid:
            return
        references = self.files.stats(batch.batch, self.table).references
        affected = [name for name in missing if not missing[name].isdisjoint(references[name])]
        if not affected:
            return
        places = [(name, self._integer_columns.index(name)) for name in affected]
        for line, values in self._rows(batch):
            lost = {name: values[place] for name, place in places if values[place] in missing[name]}
            if lost:
                yield line, lost

    @property
    def _integer_columns(self) -> list[str]:
        return [self.table.key, *(column.name for column in self.table.references)]

    def _rows(self, batch: Batch) -> Iterator[tuple[int, list[int]]]:
        """Of each valid row: its line, its key and its references."""
        places = [self.table.names.index(name) + 1 for name in self._integer_columns]
        for row in self.lines(batch):
            fields = row.split(b"\t")
            yield int(fields[0]), [int(fields[place]) for place in places]

    def lines(self, batch: Batch) -> Iterator[bytes]:
        """The batch's valid rows in normal form."""
        stats = self.stats[batch.batch]
        if stats.valid:
            with self.files.bucket.read(self.files.rows_key(batch.batch, stats.attempt)) as fp:
                yield from fp

    def losers(self, missing: Missing, last_wins: bool) -> "Losers":
        """Rows that lose their key to another row of the file, by line. Rows without parents do not count."""
        found: list[Loser] = []
        repeated = self._repeated_keys()
        for begin in range(0, len(repeated), _KEYS_AT_ONCE):
            found += self._losers_among(frozenset(repeated[begin : begin + _KEYS_AT_ONCE]), missing, last_wins)
        return Losers(sorted(found, key=lambda loser: loser.line))

    def _losers_among(self, keys: frozenset[int], missing: Missing, last_wins: bool) -> Iterator[Loser]:
        lines: dict[int, list[int]] = {}
        if not keys:
            return
        lowest, highest = min(keys), max(keys)
        for batch, stats in zip(self.batches, self.stats, strict=True):
            if stats.low is None or stats.high is None or stats.high < lowest or stats.low > highest:
                continue
            orphaned = {line for line, _ in self.orphans(batch, missing)}
            for line, values in self._rows(batch):
                if values[0] in keys and line not in orphaned:
                    lines.setdefault(values[0], []).append(line)
        for key, competing in lines.items():
            winner = max(competing) if last_wins else min(competing)
            yield from (Loser(line, key, winner, self.table) for line in competing if line != winner)

    def _repeated_keys(self) -> list[int]:
        """Keys that stand in the file more than once, sorted. Looks only where batches' ranges overlap."""
        ranges = sorted(
            (stats.low, stats.high, batch.batch)
            for batch, stats in zip(self.batches, self.stats, strict=True)
            if stats.low is not None and stats.high is not None
        )
        found = set[int]()
        cluster, reach = list[int](), -1
        for low, high, batch in ranges:
            if low > reach:
                found |= self._repeated_among(cluster)
                cluster = []
            cluster.append(batch)
            reach = max(reach, high)
        return sorted(found | self._repeated_among(cluster))

    def _repeated_among(self, cluster: Sequence[int]) -> set[int]:
        if len(cluster) < 2 and not any(self.stats[batch].repeats for batch in cluster):
            return set()
        found = set[int]()
        for keys in self._keys_by_range(cluster):
            keys.sort()
            found.update(before for before, after in pairwise(keys) if before == after)
        return found

    def _keys_by_range(self, cluster: Sequence[int]) -> Iterator[list[int]]:
        """The cluster's keys, all of one range of keys after the other, so that about a million are in memory."""
        whole = {batch: self.files.keys(batch, self.stats[batch].attempt) for batch in cluster}
        total = sum(map(len, whole.values()))
        parts = max(1, total // 1_000_000)
        lows = [self.stats[batch].low or 0 for batch in cluster]
        highs = [self.stats[batch].high or 0 for batch in cluster]
        step = (max(highs) - min(lows)) // parts + 1
        for low in range(min(lows), max(highs) + 1, step):
            yield [key for keys in whole.values() for key in _between(keys, low, low + step)]


def _between(keys: Sequence[int], low: int, high: int) -> Sequence[int]:
    return keys[bisect_left(keys, low) : bisect_left(keys, high)]


def _lacking(conn: Connection, parent: Table, values: Sequence[int]) -> frozenset[int]:
    sql = f"SELECT `{parent.key}` AS k FROM `{parent.name}` WHERE `{parent.key}` IN ({{}})"
    return frozenset(values).difference(row["k"] for row in mysql.rows_in(conn, sql, values))


# --- rejects ---------------------------------------------------------------------------------------------------------


def _rejects(
    look: _Look, dialect: Dialect, batch: Batch, missing: Missing, losers: Losers | Violations
) -> Iterator[Reject]:
    """The batch's rows that are rejected here, with their fields as given, in the order of their lines."""
    orphans = look.orphans(batch, missing)
    lost: dict[int, Sequence[Fault]] = {line: no_parent(look.table, values) for line, values in orphans}
    low, high = batch.chunks[0].line, _last_line(look, batch)
    lost = {**losers.between(low, high), **lost}
    for line, fields in given_records(look.files, dialect, batch, look.table) if lost else ():
        if line in lost:
            yield rejected(line, lost[line], fields)


def _last_line(look: _Look, batch: Batch) -> int | None:
    following = batch.batch + 1
    return look.batches[following].chunks[0].line if following < len(look.batches) else None


# --- a check ---------------------------------------------------------------------------------------------------------


def _checked(conn: Connection, run: Run, look: "_Look", verdict: Verdict) -> Verdict:
    """The verdict with what loading would do to each batch's rows, and the rejects that only loading would find."""
    would, counts = dict[int, Would](), dict(verdict.batches)
    for batch in look.batches:
        ledger.renew(conn, run, "Reconcile")
        place = verdict_key(verdict.prefix, batch.batch)
        rejects = list(look.files.rejects(place)) if batch.batch in counts else []
        out = {reject.line for reject in rejects}
        tally, existing = Counter[Fate](), dict[int, int]()
        for line, key, fate in fates(conn, look.table, look.lines(batch)):
            if line not in out:
                tally[fate] += 1
                if fate == "differs" and run.options.on_conflict == "reject":
                    existing[line] = key
        would[batch.batch] = would_do(tally, run.options.on_conflict)
        if existing:
            given = given_records(look.files, run.dialect or Dialect(), batch, look.table)
            rejects += (rejected(n, [key_exists(look.table, existing[n])], f) for n, f in given if n in existing)
            look.files.write_rejects(place, sorted(rejects, key=lambda reject: reject.line))
            counts[batch.batch] = len(rejects)
    return replace(verdict, batches=counts, would=would)
