"""The pages about runs: the list, one run, its rejects, its downloads."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from api_ec2.console.pages import HEADERS, CheckedForm, go, page
from api_ec2.deps import BucketDep, Session, SettingsDep
from api_ec2.routes import runs as api
from rowferry import ledger
from rowferry.declare.catalog import TABLES
from rowferry.errors import NotFound, RowferryError
from rowferry.ledger import Progress, search
from rowferry.ledger.search import Filter
from rowferry.reports import reject_pages, words
from rowferry.reports.reject_pages import Shown
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

router = APIRouter(include_in_schema=False)

PAGE = 25
STATUSES = ("running", "done", "checked", "refused", "gated", "superseded", "failed", "abandoned")
RunId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
DOWNLOADS = {
    "rejects.csv": "rejects_key",
    "duplicates.csv": "duplicates_key",
}
BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Line:
    """A run in a list."""

    progress: Progress
    mended: str | None
    fault: str | None
    seconds: float


@router.get("/console")
def runs(
    request: Request,
    conn: Session,
    table: Annotated[str, Query(max_length=64)] = "",
    status: Annotated[str, Query(max_length=16)] = "",
    day: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """All runs, the newest first."""
    wanted = Filter(table, status, _day(day), before)
    found = search.found(conn, wanted, PAGE + 1)
    shown, more = found[:PAGE], len(found) > PAGE
    mended = search.mended(conn, shown)
    kept = {name: value for name, value in (("table", table), ("status", status), ("day", day)) if value}
    return page(
        request,
        "runs.html",
        lines=[_line(one, mended.get(one.run.id)) for one in shown],
        older=f"/console?{urlencode(kept | {'before': shown[-1].claim})}" if more else None,
        first=before is None,
        wanted={"table": table, "status": status, "day": day},
        tables=list(TABLES),
        statuses=STATUSES,
        days=search.by_day(conn, dt.datetime.now(dt.UTC).date()),
    )


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:  # 30 February
        return None


def _line(progress: Progress, mended: str | None) -> Line:
    return Line(progress, mended, words.whose_fault(progress.run), _seconds(progress))


def _seconds(progress: Progress) -> float:
    until = progress.run.finished_at or dt.datetime.now(dt.UTC)
    return (until - progress.run.started_at).total_seconds()


@router.get("/console/runs/{run}")
def run(request: Request, conn: Session, bucket: BucketDep, run: RunId, arriving: bool = False) -> Response:
    """One run. `arriving`: its file was just uploaded, and its execution may not have begun."""
    try:
        progress = ledger.progress(conn, run)
    except NotFound:
        if not arriving:
            raise
        return page(request, "arriving.html")
    report = progress.run.report or {}
    samples, unread = _samples(bucket, progress)
    batches = ledger.batches(conn, run)
    waits = words.waits_for(progress.run)
    codes = report.get("rejected_by_code", {})
    return page(
        request,
        "run.html",
        run=progress.run,
        progress=progress,
        totals=progress.totals,
        report=report,
        sentence=words.sentence(progress.run, progress.totals, progress.batches_done),
        fault=words.whose_fault(progress.run),
        mended=search.mended(conn, [progress]).get(run),
        seconds=_seconds(progress),
        stages=_stages(conn, progress),
        batches=sorted(batches, key=lambda row: (-row.totals.rejected, row.batch)),
        squares=_squares(progress, batches),
        codes=sorted(codes.items(), key=lambda item: -item[1]),
        samples=samples,
        unread=unread,
        waits=waits,
        waits_run=search.of_key(conn, progress.run.bucket, waits) if waits else None,
        others=_others(conn, progress),
        execution=_execution_link(progress.run.execution),
        downloads=[name for name, field in DOWNLOADS.items() if report.get(field)],
        retry=progress.run.status == "failed",
        abandon=progress.run.status in ("running", "failed"),
    )


def _samples(bucket: Bucket, progress: Progress) -> tuple[Mapping[str, Sequence[Shown]], str | None]:
    """Some rejects by code, and why they can't be read."""
    found = dict[str, Sequence[Shown]]()
    report = progress.run.report or {}
    try:
        for field in DOWNLOADS.values():
            if key := report.get(field):
                found |= reject_pages.samples(bucket, key, progress.run.table)
    except NotFound:
        return found, "The reject file is no longer in the bucket."
    except RowferryError:
        return found, "S3 did not answer, so no samples are shown."
    return found, None


def _stages(conn: Connection, progress: Progress) -> Sequence[tuple[str, float]]:
    """What a run spent its time on, in seconds, as far as the ledger knows."""
    run = progress.run
    until = run.finished_at or dt.datetime.now(dt.UTC)
    times = search.batch_times(conn, run.id)
    if times is None or run.kind == "check" or not progress.totals.records:
        return [(f"until {run.stage}" if not run.finished_at else "the whole run", _seconds(progress))]
    last = min(times.last, until)
    first = min(times.first, last)
    return [
        ("plan, validate, reconcile, first batch", max(0.0, (first - run.started_at).total_seconds())),
        ("load the other batches", (last - first).total_seconds()),
        ("summarise" if run.finished_at else "since the last batch", max(0.0, (until - last).total_seconds())),
    ]


def _squares(progress: Progress, batches: Sequence[ledger.LedgerRow]) -> Sequence[tuple[int, str]]:
    """A square for each batch: those with rejects first, then those without, then those that are not loaded yet."""
    there = {row.batch: "warn" if row.totals.rejected else "ok" for row in batches}
    missing = "bad" if progress.run.status == "failed" else "idle"
    numbers = [*there, *(number for number in range(progress.run.batches or 0) if number not in there)]
    found = [(number, there.get(number, missing)) for number in numbers]
    return sorted(found, key=lambda square: (("bad", "warn", "ok", "idle").index(square[1]), square[0]))


def _others(conn: Connection, progress: Progress) -> Mapping[str, float] | None:
    """Medians of the table's last ten runs before this one."""
    found = search.last_loaded(conn, progress.run.table, progress.claim)
    if not found:
        return None
    seconds, rejected = sorted(map(_seconds, found)), sorted(map(_rejected_share, found))
    middle = len(found) // 2
    return {
        "count": len(found),
        "seconds": seconds[middle],
        "rejected": rejected[middle],
        "records": sorted(one.totals.records for one in found)[middle],
        "mine": _rejected_share(progress),
    }


def _rejected_share(progress: Progress) -> float:
    return 100 * progress.totals.rejected / progress.totals.records if progress.totals.records else 0.0


def _execution_link(arn: str) -> str | None:
    """The execution in the console of AWS."""
    parts = arn.split(":")
    if parts[:3] != ["arn", "aws", "states"] or len(parts) < 8:
        return None
    return f"https://{parts[3]}.console.aws.amazon.com/states/home?region={parts[3]}#/v2/executions/details/{arn}"


@router.get("/console/runs/{run}/rejects")
def rejects(
    request: Request,
    conn: Session,
    bucket: BucketDep,
    run: RunId,
    kind: Annotated[str, Query(pattern="^(rejects|duplicates)$")] = "rejects",
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    """All rejects of a run, page by page."""
    found = ledger.read(conn, run)
    key = (found.report or {}).get(f"{kind}_key")
    if not key:
        raise NotFound("this run has no such reject file")
    shown = reject_pages.read_page(bucket, key, found.table, start)
    older = f"?kind={kind}&start={shown.next}" if shown.next else None
    return page(request, "rejects.html", run=found, kind=kind, shown=shown.rejects, next=older, first=start == 0)


@router.get("/console/runs/{run}/files/{name}")
def download(conn: Session, bucket: BucketDep, run: RunId, name: str) -> Response:
    """A file of a run, as it is in the bucket; the report from the ledger."""
    found = ledger.read(conn, run)
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{run[:8]}-{name}"'}
    if name == "report.json" and found.report:
        return Response(_json(found.report), media_type="application/json", headers=headers)
    key = (found.report or {}).get(DOWNLOADS.get(name, ""))
    if not key:
        raise NotFound(f"this run has no {name}")
    fp = bucket.read(key)

    def blocks() -> Iterator[bytes]:
        with fp:
            while block := fp.read(BLOCK):
                yield block

    return StreamingResponse(blocks(), media_type="text/csv; charset=utf-8", headers=headers)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


@router.post("/console/runs/{run}/retry")
def retry(conn: Session, settings: SettingsDep, form: CheckedForm, run: RunId) -> Response:
    api.retry(conn, settings, run)
    return go(f"/console/runs/{run}")


@router.post("/console/runs/{run}/abandon")
def abandon(conn: Session, form: CheckedForm, run: RunId) -> Response:
    ledger.abandon(conn, run, str(form.get("reason", ""))[:500])
    return go(f"/console/runs/{run}")
