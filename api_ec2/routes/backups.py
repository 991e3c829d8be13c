"""Routes that start, show and list backups and restores."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response, status
from pydantic import BaseModel, Field

from api_ec2.bounds_on_lambda import AFTER_THE_ANSWER, SECONDS, NotOnLambda, in_words
from api_ec2.deps import BucketDep, Problem, Session, SettingsDep
from api_ec2.limits import Limits
from rowferry.backup import export, service
from rowferry.backup.export import Manifest
from rowferry.backup.restore import Moment, Order
from rowferry.declare import information_schema
from rowferry.declare.catalog import TABLES, table_named
from rowferry.errors import Busy, RowferryError
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Job
from rowferry.storage.mysql import Connection

log = logging.getLogger("uvicorn.error")

router = APIRouter(tags=["backups"])

AT_ONCE = 2
"""Backups and restores that one process works on at the same time; further requests get 409."""

SPARE_SECONDS = 10
"""Time that is left for the answer on Lambda."""

_free = threading.BoundedSemaphore(AT_ONCE)

ID = f"^{jobs.ID.pattern}$"
Tables = Annotated[str, Path(max_length=1_000, description="A table, several with commas between them, or `all`")]
Wait = Annotated[bool, Query(description="false: answers 202 at once, with a job to follow at `/jobs/{id}`")]


class JobState(BaseModel):
    """A running or ended backup or restore. A backup has the same id as its job."""

    id: str
    kind: str
    tables: list[str]
    status: str = Field(description="running, done or failed")
    reason: str | None = Field(description="why it failed")
    result: dict[str, Any] | None
    started_at: dt.datetime
    finished_at: dt.datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobState":
        return cls.model_validate({**vars(job), "tables": list(job.tables)})


class Backups(BaseModel):
    """A table's complete backups, the newest first; `damaged`: the ids of those whose manifest can't be read."""

    table: str
    backups: list[Manifest]
    damaged: list[str]


class Newest(BaseModel):
    """A table's newest complete backup, None if its manifest can't be read, and the number of complete backups."""

    table: str
    complete: int
    newest: Manifest | None


ORDERED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobState, "description": "The job has begun; the header Location has the path of its state"},
    404: {"model": Problem, "description": "The table or the backup does not exist"},
    409: {"model": Problem, "description": "Refused: a run, another restore, other columns, or rows would be orphaned"},
    422: {"model": Problem, "description": "A parameter that is missing, unknown or has a wrong value"},
    501: {
        "model": Problem,
        "description": "On Lambda: work after the answer, or work that takes longer than a call may",
    },
}
ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "The table or job does not exist"}}


@router.post("/backup/{table}", responses=ORDERED)
def back_up(
    request: Request,
    response: Response,
    conn: Session,
    settings: SettingsDep,
    bucket: BucketDep,
    table: Tables,
    wait: Wait = True,
) -> JobState:
    """Backs up tables in one consistent snapshot."""
    _assert_fits(request, conn, _named(table))
    begin = partial(service.begin_backup, conn, _named(table))
    carry_out = partial(service.carry_out_backup, settings, bucket)
    return _ordered(request, response, wait, begin, carry_out, lambda id: jobs.read(conn, id))


@router.post("/restore/{table}", responses=ORDERED)
def restore(
    request: Request,
    response: Response,
    conn: Session,
    settings: SettingsDep,
    bucket: BucketDep,
    table: Tables,
    id: Annotated[str | None, Query(pattern=ID, description="id of a backup; default: the newest")] = None,
    before: Annotated[Moment | None, Query(description="newest backup until this time with a zone")] = None,
    into: Annotated[str | None, Query(pattern="^[A-Za-z0-9_]{1,64}$", description="table to restore into")] = None,
    dry_run: Annotated[bool, Query(description="true: says what the restore would change, and writes nothing")] = False,
    wait: Wait = True,
) -> JobState:
    """Restores tables from a backup in one transaction, which writes only the rows that differ."""
    _assert_fits(request, conn, _named(table))
    order = Order(_named(table), id, before, into, dry_run)

    def carry_out(id: str, ends: float | None) -> Job:
        return service.carry_out_restore(settings, bucket, id, order, ends)

    begin = partial(service.begin_restore, conn, order)
    return _ordered(request, response, wait, begin, carry_out, lambda id: jobs.read(conn, id))


@router.get("/jobs/{id}", responses=ABSENT)
def job(conn: Session, id: Annotated[str, Path(pattern=ID)]) -> JobState:
    """One backup or restore of any process."""
    return JobState.of(jobs.read(conn, id))


@router.get("/backups")
def tables(bucket: BucketDep) -> list[Newest]:
    """All tables with their newest backup."""
    found = ((table, export.complete(bucket, table)) for table in TABLES)
    return [
        Newest(table=table, complete=len(ids), newest=next(iter(export.readable(bucket, table, ids[-1:])[0]), None))
        for table, ids in found
    ]


@router.get("/backups/{table}", responses=ABSENT)
def backups(
    bucket: BucketDep, table: str, limit: Annotated[int, Query(ge=1, le=100, description="at most so many")] = 20
) -> Backups:
    """A table's complete backups."""
    ids = export.complete(bucket, table_named(table).name)[-limit:]
    found, damaged = export.readable(bucket, table, reversed(ids))
    return Backups(table=table, backups=found, damaged=damaged)


# --- carrying out ----------------------------------------------------------------------------------------------------


def _named(tables: str) -> tuple[str, ...]:
    return tuple(TABLES) if tables == "all" else tuple(table_named(name).name for name in tables.split(","))


def _assert_fits(request: Request, conn: Connection, names: Sequence[str]) -> None:
    """Raises: NotOnLambda before any work begins, for tables that are too large for one call of a function."""
    if "aws.context" not in request.scope:
        return
    limits: Limits = request.app.state.limits
    rows = information_schema.about_rows(conn, names)
    if rows > limits.rows_on_lambda:
        most = f"a call of {SECONDS} seconds can process {limits.rows_on_lambda} at most"
        raise NotOnLambda(in_words(f"{', '.join(names)}: about {rows} rows, and {most}"))


def _ordered(
    request: Request,
    response: Response,
    wait: bool,
    begin: Callable[[], str],
    carry_out: Callable[[str, float | None], Job],
    read: Callable[[str], Job],
) -> JobState:
    context = request.scope.get("aws.context")  # Mangum's: the app is on Lambda
    if context is not None and not wait:
        raise NotOnLambda(in_words(AFTER_THE_ANSWER))
    if not _free.acquire(blocking=False):
        raise Busy(f"this process already works on {AT_ONCE} backups or restores; try again when one has ended")
    try:
        id = begin()
        if not wait:
            thread = threading.Thread(target=_in_background, args=(carry_out, id), daemon=True)
            thread.start()
    except BaseException:
        _free.release()
        raise
    if not wait:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/jobs/{id}"
        return JobState.of(read(id))
    try:
        return JobState.of(carry_out(id, _ends(context)))
    finally:
        _free.release()


def _ends(context: Any) -> float | None:
    """Deadline by time.monotonic; None on an instance."""
    if context is None:
        return None
    return time.monotonic() + float(context.get_remaining_time_in_millis()) / 1000 - SPARE_SECONDS


def _in_background(carry_out: Callable[[str, float | None], Job], id: str) -> None:
    """The result is in the job's row."""
    try:
        carry_out(id, None)
    except RowferryError as error:
        log.warning("job %s failed: %s: %s", id, type(error).__name__, error)
    finally:
        _free.release()
