"""The step Summarise: the books must balance; the rejects in one file; the report; the upload moved to where it ends.

Every part may run twice: it finds what is done and goes on.
"""

import csv
import datetime as dt
import heapq
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rowferry import ledger
from rowferry.csvfile.records import CHUNK_BYTES
from rowferry.csvfile.split import Batch
from rowferry.declare.catalog import table_named
from rowferry.declare.definition import TableDefinition
from rowferry.declare.types import Text
from rowferry.errors import BooksDoNotBalance, NotFound
from rowferry.ledger import LedgerRow, Run, Totals, Would
from rowferry.steps.seen import format_of, what_was_seen
from rowferry.steps.work_files import REJECT_COLUMNS, RunFiles, verdict_key
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version
from rowferry.validate.verdict import Reject

DUPLICATE = "duplicate_in_file"
TO_VIEW = "-to-view"
RUN_MARK = "rowferry-run"
KEY_BYTES = 1_024  # of an S3 key

Report = dict[str, Any]
_BLOCK_CHARACTERS = 1024 * 1024
_WITHOUT_ITS_TEXT = (
    "; with what is wrong with it the record is longer than a record may be, so its fields are left out here: they are"
    " on this line of the uploaded file"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def summarise(conn: Connection, bucket: Bucket, run: Run, ended: Callable[[Report], None] = lambda _: None) -> Report:
    """Ends a run; answers its report, which `runs/<run>/report.json` and the run's row hold too.

    `ended` is called with the report by the one attempt that ended the run, and by no repeat.

    Raises: BooksDoNotBalance: the run fails, its file stays where it is, its rows stay in the table.
    """
    files = RunFiles(bucket, run.id, run.manifest)
    if run.report is None:
        ledger.renew(conn, run, "Summarise")
        report = _end(conn, files, run)
        if ledger.finish(conn, run.id, report["status"], report["reason"], report):
            ended(report)
    else:
        report = dict(run.report)
    bucket.tag(files.bucket.keys(files.prefix), "rowferry", "finished")
    return report


def _end(conn: Connection, files: RunFiles, run: Run) -> Report:
    rejects, totals = _Rejects(), Totals()
    rows: Sequence[LedgerRow] = ()
    if run.records is not None:
        batches = list(files.batches())
        rows = _books(conn, files, run, batches)
        totals = sum((row.totals for row in rows), Totals())
        rejects = _merge_rejects(files, run, partial(_all, conn, files, run, batches, rows), totals)
    status, place = _outcome(run)
    moved_to = place if place == run.key else move(files.bucket, run, files.input, place)
    report = _report(run, status, moved_to, totals, rejects) | _would(run, rows) | what_was_seen(files, run, rows)
    if place.startswith("errors/"):
        files.bucket.write(f"{place.rpartition('/')[0]}/reason.json", _as_json(_reason(run, report)))
    files.bucket.write(files.report, _as_json(report))
    return report


def _would(run: Run, rows: Sequence[LedgerRow]) -> Report:
    """What a check says beyond the report of a real run."""
    if run.kind != "check":
        return {}
    would = {
        f"would_{name}": sum(getattr(row.would, name) for row in rows) for name in ("insert", "update", "unchanged")
    }
    return {"would_be": _ending(run)[0], **would}


# --- the books -------------------------------------------------------------------------------------------------------


def _books(conn: Connection, files: RunFiles, run: Run, batches: Sequence[Batch]) -> Sequence[LedgerRow]:
    """The ledger's rows, after they were found to add up to what Plan counted."""
    if run.verdict and (run.verdict.gate != "open" or run.kind == "check"):
        ledger.withhold(conn, run.id, [_withheld(files, run, batch) for batch in batches])
    rows = ledger.batches(conn, run.id)
    if [(row.batch, row.totals.records) for row in rows] != [(batch.batch, batch.records) for batch in batches]:
        raise BooksDoNotBalance(f"run {run.id}: the ledger's batches are not those of the plan")
    for row in rows:
        if not row.totals.balances:
            raise BooksDoNotBalance(f"run {run.id}: batch {row.batch} does not add up: {row.totals}")
    if sum(row.totals.records for row in rows) != run.records:
        raise BooksDoNotBalance(f"run {run.id}: the ledger has not the {run.records} records that Plan counted")
    return rows


def _withheld(files: RunFiles, run: Run, batch: Batch) -> LedgerRow:
    late = run.verdict.batches.get(batch.batch, 0) if run.verdict else 0
    rejected = files.stats(batch.batch, table_named(run.table)).rejected + late
    totals = Totals(batch.records, rejected=rejected, withheld=batch.records - rejected)
    would = run.verdict.would.get(batch.batch, Would()) if run.verdict else Would()
    return LedgerRow(batch.batch, totals, None, would)


# --- rejects ---------------------------------------------------------------------------------------------------------


@dataclass
class _Rejects:
    """What was merged: how many records, by code too, and where they were written."""

    count: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    """By the file's name."""


def _merge_rejects(files: RunFiles, run: Run, found: Callable[[], Iterator[Reject]], totals: Totals) -> _Rejects:
    """Writes rejects.csv, and duplicates.csv for rows that lost their key to another line, by line.

    Beside each, where a spreadsheet would take one of its cells for a formula, a copy to look at.
    """
    merged, names, table = _Rejects(), set[str](), table_named(run.table)
    for reject in found():
        merged.count += 1
        merged.by_code.update(set(reject.codes))
        names.update(_names(table, reject))
    if merged.count != totals.rejected:
        words = f"{merged.count} rejects were kept where the ledger has {totals.rejected}"
        raise BooksDoNotBalance(f"run {run.id}: {words}")
    for name in sorted(names):
        kind = name.removesuffix(TO_VIEW)
        mine = (reject for reject in found() if _kind(reject) == kind)
        merged.keys[name] = f"{_errors_folder(run)}/{_file_name(run, name)}"
        files.bucket.write_stream(merged.keys[name], reject_csv(table, mine, name != kind))
    return merged


def _file_name(run: Run, name: str) -> str:
    """Rejects are called so that they can be uploaded as they are; the other files are not to be uploaded."""
    return f"{run.table}-rejects.csv" if name == "rejects" else f"{name}.csv"


def _kind(reject: Reject) -> str:
    return "duplicates" if DUPLICATE in reject.codes else "rejects"


def _names(table: TableDefinition, reject: Reject) -> Iterator[str]:
    """The files that it belongs to."""
    yield _kind(reject)
    if _cells(table, reject, to_view=True) != _cells(table, reject):
        yield _kind(reject) + TO_VIEW


def _all(
    conn: Connection, files: RunFiles, run: Run, batches: Sequence[Batch], rows: Sequence[LedgerRow]
) -> Iterator[Reject]:
    """By line. Renews the run's lease, as millions of rejects take longer than a lease.

    Raises: RunAbandoned, TakenOver.
    """
    table = table_named(run.table)
    for batch, row in zip(batches, rows, strict=True):
        if not row.totals.rejected:
            continue
        ledger.renew(conn, run, "Summarise")
        stats = files.stats(batch.batch, table)
        keys = [files.rejects_key(batch.batch, stats.attempt)] if stats.rejected else []
        if run.verdict and batch.batch in run.verdict.batches:
            keys.append(verdict_key(run.verdict.prefix, batch.batch))
        if row.rejects_key:
            keys.append(row.rejects_key)
        yield from heapq.merge(*(files.rejects(key) for key in keys), key=lambda reject: reject.line)


def reject_csv(table: TableDefinition, rejects: Iterator[Reject], to_view: bool = False) -> Iterator[bytes]:
    """Rejects as CSV to correct and upload, in blocks: the table's own columns as given, then what is wrong.

    `to_view`: not to be uploaded, but safe in a spreadsheet: an apostrophe before what it would take for a formula.
    """
    text = io.StringIO()
    text.write("\ufeff")  # or spreadsheets take the file for another encoding
    writer = csv.writer(text)  # its CRLF also makes it quote a lone CR
    writer.writerow((*table.names, *REJECT_COLUMNS))
    for reject in rejects:
        begin = text.tell()
        writer.writerow(_cells(table, reject, to_view))
        if _is_too_long(text, begin):
            text.seek(begin)
            text.truncate()
            left = replace(reject, fields=None, raw=None, message=reject.message + _WITHOUT_ITS_TEXT)
            writer.writerow(_cells(table, left))
        if text.tell() > _BLOCK_CHARACTERS:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _is_too_long(text: io.StringIO, begin: int) -> bool:
    """Whether what was written from there on would be refused as a record when it is uploaded."""
    most_bytes = 4 * (text.tell() - begin)
    return most_bytes > CHUNK_BYTES and len(text.getvalue()[begin:].encode()) > CHUNK_BYTES


def _cells(table: TableDefinition, reject: Reject, to_view: bool = False) -> Sequence[str]:
    """A reject's line in its file."""
    fields = reject.fields or ("",) * len(table.names)
    rest = (str(reject.line), ";".join(dict.fromkeys(reject.codes)), reject.message, reject.raw or "")
    if not to_view:
        return [*fields, *rest]
    texts = [isinstance(column.kind, Text) for column in table.columns] + [True] * len(rest)
    return [f"'{cell}" if is_formula(cell, text) else cell for cell, text in zip((*fields, *rest), texts, strict=True)]


def is_formula(cell: str, text: bool = True) -> bool:
    """Whether a spreadsheet may take it for one (OWASP, CSV injection). `text`: the column is one of text; in one of
    numbers a minus belongs to its number.
    """
    return cell.startswith(_FORMULA) and (text or not _NEGATIVE.fullmatch(cell))


_NEGATIVE = re.compile(r"-[0-9]+([.,][0-9]+)?")


# --- where the upload ends -------------------------------------------------------------------------------------------


def _outcome(run: Run) -> tuple[str, str]:
    """The run's status, and the key where its upload ends; a check's stays where it is."""
    return ("checked", run.key) if run.kind == "check" else _ending(run)


def _ending(run: Run) -> tuple[str, str]:
    gate = run.verdict.gate if run.verdict else "open"
    if gate == "open":
        return "done", _within_s3(f"processed/{run.path}", f"processed/{run.table}/{run.id}", run)
    place = _within_s3(f"{_errors_folder(run)}/{run.path.rpartition('/')[2]}", f"{_errors_folder(run)}/upload", run)
    if gate == "refused":
        superseded = run.verdict is not None and run.verdict.code == "superseded"
        return "superseded" if superseded else "refused", place
    return "gated", place


def _errors_folder(run: Run) -> str:
    folder = f"errors/{run.path.removesuffix('.gz').removesuffix('.csv')}/{run.id}"
    short = f"errors/{run.table or 'unknown'}/{run.id}"
    longest = max(f"{run.table}-rejects.csv", f"duplicates{TO_VIEW}.csv", key=len)
    return folder if len(f"{folder}/{longest}".encode()) <= KEY_BYTES else short


def _within_s3(key: str, short: str, run: Run) -> str:
    """The key, or where S3 would not take so long a one, a short one with the upload's ending."""
    ending = ".csv.gz" if run.key.endswith(".gz") else ".csv"
    return key if len(key.encode()) <= KEY_BYTES else short + ending


def move(bucket: Bucket, run: Run, own_copy: str, to: str) -> str | None:
    """Copies the run's version to `to`, marked with the run, then deletes it; a newer upload under its key stays.

    Where the version was deleted by somebody else meanwhile, the run's own copy takes its place: inflated, so without
    the ending `.gz`. Answers the key of the copy, whichever attempt made it; None where the version was deleted before
    the run had a copy of its own, as Plan makes none of what it refuses by its name or size.
    """
    source = next((version for version in bucket.versions_of(run.key) if version.id == run.version), None)
    place = _marked_copy(bucket, run, to)
    if place is None and source:
        place = to
        try:
            bucket.copy(source, place, {**(bucket.metadata(source.key, source.id) or {}), RUN_MARK: run.id})
        except NotFound:  # deleted since it was listed, perhaps by another attempt, which has copied it
            return move(bucket, run, own_copy, to)
    elif place is None and (own := bucket.versions_of(own_copy)):
        place = to.removesuffix(".gz")
        bucket.copy(own[-1], place, {RUN_MARK: run.id})
    if source:
        bucket.delete(source)
    return place


def _marked_copy(bucket: Bucket, run: Run, to: str) -> str | None:
    """Where an earlier attempt has left the run's version."""
    places: list[Version] = [*bucket.versions_of(to), *bucket.versions_of(to.removesuffix(".gz"))]
    uploaded = run.uploaded_at.replace(microsecond=0)  # by S3's one clock, which counts seconds
    for place in places:
        if place.modified >= uploaded and (bucket.metadata(place.key, place.id) or {}).get(RUN_MARK) == run.id:
            return place.key
    return None


# --- the report ------------------------------------------------------------------------------------------------------


def _report(run: Run, status: str, moved_to: str | None, totals: Totals, rejects: _Rejects) -> Report:
    now = dt.datetime.now(dt.UTC)
    dialect = run.dialect
    return {
        "run": run.id,
        "table": run.table,
        "key": run.key,
        "version": run.version,
        "status": status,
        "code": run.verdict.code if run.verdict else None,
        "reason": run.verdict.reason if run.verdict else None,
        "read": totals.records,
        "inserted": totals.inserted,
        "updated": totals.updated,
        "unchanged": totals.unchanged,
        "rejected": totals.rejected,
        "withheld": totals.withheld,
        "rejected_by_code": dict(sorted(rejects.by_code.items())),
        "rejects_key": rejects.keys.get("rejects"),
        "duplicates_key": rejects.keys.get("duplicates"),
        "view_keys": [key for name, key in rejects.keys.items() if name.endswith(TO_VIEW)],
        "moved_to": moved_to,
        "delimiter": dialect.delimiter if dialect else None,
        "header": bool(dialect.columns) if dialect else None,
        "format": format_of(run),
        "on_conflict": run.options.on_conflict,
        "batches": run.batches or 0,
        "started_at": run.started_at.isoformat(timespec="milliseconds"),
        "finished_at": now.isoformat(timespec="milliseconds"),
        "seconds": round((now - run.started_at).total_seconds(), 3),
        "execution_arn": run.execution,
    }


def _reason(run: Run, report: Report) -> Report:
    """Why the whole file is in errors/, and what to upload again."""
    nothing_withheld = report["read"] > 0 and report["withheld"] == 0
    again = "nothing" if report["status"] == "superseded" else "rejects" if nothing_withheld else "file"
    return {
        "run": run.id,
        "key": run.key,
        "version": run.version,
        "code": report["code"],
        "message": report["reason"],
        "upload_again": again,
    }


def _as_json(value: Report) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
