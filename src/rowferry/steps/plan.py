"""The step Plan: which version of which object this run is, the run's own copy of it, and its batches."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rowferry import ledger
from rowferry.config import Options
from rowferry.csvfile.split import split
from rowferry.csvfile.splitter import Limits
from rowferry.declare import constraints, ddl
from rowferry.declare.catalog import TABLES, table_named, table_of_path, tables_of_path
from rowferry.errors import Conflict, Refused, SchemaDiffers
from rowferry.ledger import Claim, Run
from rowferry.steps.input_copy import FILE_RECORDS, check_size, take_copy
from rowferry.steps.work_files import RunFiles
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version

PLACES = ("raw/", "check/")
"""Where files are uploaded to."""


@dataclass(frozen=True)
class Uploaded:
    """What an event says of an object; its version and bucket where it says that."""

    key: str
    etag: str
    version: str | None = None
    bucket: str | None = None


@dataclass(frozen=True)
class Planned:
    """Plan's outcome.

    `manifest` and `results` are S3 keys for the Maps: the batches to read, and where to leave what the children answer.
    `planned`: there are batches. `empty`: no record in the file. `refused`: it can never load; `code` and `reason` are
    the verdict's. `duplicate`: another execution has this version, or it is done. `gone`: no such version is there, nor
    has a run had it. `ignored`: a folder's marker, a hidden or temporary file, or a key that is not below raw/ or
    check/.
    """

    outcome: str
    run: str = ""
    records: int = 0
    batches: int = 0
    manifest: str = ""
    results: str = ""
    code: str | None = None
    reason: str | None = None


def plan(conn: Connection, bucket: Bucket, uploaded: Uploaded, execution: str, options: Options) -> Planned:
    """Claims the run and plans it, or says why there is nothing to do. May run twice, at the same time too.

    Raises: StorageUnavailable, DatabaseUnavailable; SchemaDiffers where the table would not hold what its class takes.
    """
    run = _claimed(conn, bucket, uploaded, execution, options)
    if isinstance(run, Planned):
        return run
    if run.records is None and run.verdict is None:
        try:
            _plan(conn, bucket, run)
        except Refused as refusal:
            ledger.refuse(conn, run.id, refusal.code, str(refusal))
        run = ledger.read(conn, run.id)
    if run.verdict and run.verdict.gate == "refused":
        return Planned("refused", run.id, code=run.verdict.code, reason=run.verdict.reason)
    files = RunFiles(bucket, run.id, run.manifest)
    outcome = "planned" if run.batches else "empty"
    return Planned(outcome, run.id, run.records or 0, run.batches or 0, files.manifest, f"{files.prefix}map")


def is_upload(key: str) -> bool:
    """A file where files are uploaded to: no folder's marker, and nothing hidden, temporary or half copied."""
    parts = key.split("/")[1:]
    return (
        key.startswith(PLACES)
        and not key.endswith(("/", *_TEMPORARY))
        and not any(part.startswith(("_", ".")) for part in parts)
    )


_TEMPORARY = ("_$folder$", "~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp")
"""Endings of what programs write before a file is complete, and of Hadoop's markers of folders."""


def _no_table(run: Run) -> str:
    if len(found := tables_of_path(run.path)) > 1:
        names = " and ".join(table.name for table in found)
        return f"{run.key} fits the tables {names} equally well; give it a name or a folder that only one of them fits"
    words = f"{run.key} names no table; a file is called TABLE.csv, TABLE-anything.csv or TABLE/anything.csv, or"
    likely = ""
    if run.path.rpartition("/")[2].casefold().startswith(("rejects", "duplicates")):
        name = run.path.rpartition("/")[2]
        likely = f": rejects of jobs, for one, are uploaded as raw/jobs-{name}"
    return f"{words} .csv.gz, with one of the tables {', '.join(TABLES)}{likely}"


def _plan(conn: Connection, bucket: Bucket, run: Run) -> None:
    if not run.table:
        raise Refused("unknown_table", _no_table(run))
    if newer := ledger.newer_done(conn, run):
        raise Refused("superseded", ledger.superseded_by(run.key, newer))
    table = table_named(run.table)
    if misfits := [*ddl.misfits(conn, table), *constraints.read(conn, table).unfit]:
        raise SchemaDiffers(f"{'; '.join(misfits)}; start the run again when that is put right")
    files = RunFiles(bucket, run.id)
    wanted = take_copy(bucket, run, table, files, lambda: ledger.renew(conn, run, "Plan"))
    with bucket.read(files.input) as fp:
        limits = Limits(chunk_records=run.options.chunk_records)
        layout = split(fp, table, run.options.batch_chunks, limits, wanted)
    check_size("records", layout.records, FILE_RECORDS)
    manifest = files.write_manifest(layout.batches)
    ledger.keep_plan(conn, run.id, layout.dialect, layout.records, len(layout.batches), manifest)


# --- the claim -------------------------------------------------------------------------------------------------------


def _claimed(conn: Connection, bucket: Bucket, uploaded: Uploaded, execution: str, options: Options) -> Run | Planned:
    if (mine := ledger.of_execution(conn, execution)) and mine.status in ("running", "failed"):
        ledger.claim(conn, _claim(bucket, _version_of(mine), mine.table, execution, options))
        return ledger.read(conn, mine.id)
    if uploaded.bucket not in (None, bucket.name):
        return Planned("ignored", reason=f"{uploaded.bucket} is not this stack's bucket")
    if not is_upload(uploaded.key):
        return Planned("ignored", reason=f"{uploaded.key} is no file to load below {' or '.join(PLACES)}")
    listed = bucket.versions_of(uploaded.key)
    told_apart = in_order(listed, ledger.stamps(conn, bucket.name, uploaded.key))  # asked after the listing: see there
    candidates = [version for version in told_apart if _is_meant(version, uploaded)]
    for version in candidates:
        table = table_of_path(uploaded.key.partition("/")[2])
        wanted = _claim(bucket, version, table.name if table else "", execution, options)
        if ledger.claim(conn, wanted):
            return ledger.read(conn, wanted.id)
    if candidates:
        return Planned("duplicate", ledger.run_id(bucket.name, uploaded.key, candidates[0].id))
    if id := ledger.of_object(conn, bucket.name, uploaded.key, uploaded.etag, uploaded.version):
        run = ledger.read(conn, id)  # its version is gone, and the run has its own copy, or else says so in words
        if ledger.claim(conn, _claim(bucket, _version_of(run), run.table, execution, options)):
            return ledger.read(conn, id)
        return Planned("duplicate", id)
    return Planned("gone", reason=f"{uploaded.key} is no longer in the bucket, and no run has had it")


def in_order(listed: Sequence[Version], stamps: Mapping[str, dt.datetime]) -> list[Version]:
    """One object's versions, as S3 orders them, oldest first, with `modified` such that a newer one's is later.

    S3 counts whole seconds, and versions that are finished are listed no more: so a version's stamp can't be its place
    in the list. It is the first free millisecond behind the version before it, where `stamps`, those of all versions
    that have had a run, are not free. A version that was listed when another got its stamp finds the same one again.
    A version that S3 puts before one that has a stamp, as it does with an upload in parts that began earlier and was
    completed later, gets a stamp before that.
    `stamps` are to be read after the listing: or a version that was claimed and finished between would be in neither.
    """
    taken = set(stamps.values())
    found = list[Version]()
    for place, version in enumerate(listed):
        stamp = stamps.get(version.id)
        if stamp is None:
            before = found[-1].modified if found else None
            behind = next((stamps[later.id] for later in listed[place + 1 :] if later.id in stamps), None)
            stamp = _free_stamp(version.modified, before, behind, taken)
        found.append(replace(version, modified=stamp))
    return found


def _free_stamp(
    modified: dt.datetime, before: dt.datetime | None, behind: dt.datetime | None, taken: set[dt.datetime]
) -> dt.datetime:
    stamp = max(modified, before + _TICK) if before else modified
    while stamp in taken:
        stamp += _TICK
    if behind is None or stamp < behind:
        return stamp
    stamp = before or behind - dt.timedelta(seconds=1)
    while stamp in taken or stamp == before:
        if behind - stamp < 2 * dt.timedelta.resolution:
            raise Conflict("too many versions of one object have the same time; upload the file again")
        stamp += (behind - stamp) / 2
    return stamp


_TICK = dt.timedelta(milliseconds=1)


def _is_meant(version: Version, uploaded: Uploaded) -> bool:
    return version.id == uploaded.version if uploaded.version else version.etag == uploaded.etag.strip('"')


def _claim(bucket: Bucket, version: Version, table: str, execution: str, options: Options) -> Claim:
    return Claim(
        id=ledger.run_id(bucket.name, version.key, version.id),
        bucket=bucket.name,
        key=version.key,
        version=version.id,
        etag=version.etag,
        uploaded_at=version.modified,
        table=table,
        kind="check" if version.key.startswith("check/") else "load",
        execution=execution,
        options=options,
    )


def _version_of(run: Run) -> Version:
    return Version(run.key, run.version, run.etag, 0, run.uploaded_at)
