"""Runs, as they are in the ledger."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from api_ec2.deps import Problem, Session, SettingsDep
from rowferry import ledger
from rowferry.ledger import Progress
from rowferry.steps import executions
from rowferry.steps.executions import NotStarted
from rowferry.storage.mysql import Connection

router = APIRouter(tags=["runs"])


class RunState(BaseModel):
    """A finished or running run. Its counts are those of the batches that are in the ledger so far.

    `code` and `reason`: why nothing was loaded, as a stable word and as a sentence. A run that failed, waits or was
    abandoned has a reason and no code.
    """

    run: str
    claim: int
    table: str
    key: str
    version: str
    kind: str
    status: str
    stage: str
    code: str | None
    reason: str | None
    batches: int | None
    batches_done: int
    records: int | None
    read: int
    inserted: int
    updated: int
    unchanged: int
    rejected: int
    withheld: int
    started_at: dt.datetime
    finished_at: dt.datetime | None
    seconds: float
    execution_arn: str

    @classmethod
    def of(cls, progress: Progress) -> "RunState":
        run, totals = progress.run, progress.totals
        until = run.finished_at or dt.datetime.now(dt.UTC)
        return cls(
            run=run.id,
            claim=progress.claim,
            table=run.table,
            key=run.key,
            version=run.version,
            kind=run.kind,
            status=run.status,
            stage=run.stage,
            code=run.code,
            reason=run.reason,
            batches=run.batches,
            batches_done=progress.batches_done,
            records=run.records,
            read=totals.records,
            inserted=totals.inserted,
            updated=totals.updated,
            unchanged=totals.unchanged,
            rejected=totals.rejected,
            withheld=totals.withheld,
            started_at=run.started_at,
            finished_at=run.finished_at,
            seconds=round((until - run.started_at).total_seconds(), 3),
            execution_arn=run.execution,
        )


class Runs(BaseModel):
    """The newest runs first. `next` is the value of `before` for the next page; None on the last page."""

    runs: list[RunState]
    next: int | None


class AttemptState(BaseModel):
    """One execution of a run. `status`: running, or the run's status when the attempt ended."""

    execution_arn: str
    status: str
    reason: str | None
    started_at: dt.datetime
    ended_at: dt.datetime | None


class RunDetail(RunState):
    """A run with the result of each of its executions, and with its report when the run is finished."""

    attempts: list[AttemptState]
    report: dict[str, Any] | None


class Restarted(BaseModel):
    """`execution_arn`: the execution that was started; None if the sweep will start one."""

    run: str
    execution_arn: str | None
    detail: str


ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "The run does not exist"}}
CHANGED: dict[int | str, dict[str, Any]] = {
    **ABSENT,
    409: {"model": Problem, "description": "The run has ended, or an execution is at work on it"},
}
RunId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.get("/runs")
def runs(
    conn: Session,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the previous page")] = None,
) -> Runs:
    """The history of runs."""
    found = [RunState.of(progress) for progress in ledger.newest(conn, limit, before)]
    return Runs(runs=found, next=found[-1].claim if len(found) == limit else None)


@router.get("/runs/{run}", responses=ABSENT)
def run(conn: Session, run: RunId) -> RunDetail:
    """One run, with its attempts, and with its report when the run is finished."""
    return _detail(conn, run)


def _detail(conn: Connection, run: str) -> RunDetail:
    progress = ledger.progress(conn, run)
    report = dict(progress.run.report) if progress.run.report else None
    attempts = [
        AttemptState(
            execution_arn=attempt.execution,
            status=attempt.status,
            reason=attempt.reason,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
        )
        for attempt in progress.attempts
    ]
    return RunDetail(**RunState.of(progress).model_dump(), attempts=attempts, report=report)


@router.post("/runs/{run}/abandon", responses=CHANGED)
def abandon(
    conn: Session,
    run: RunId,
    reason: Annotated[str, Query(max_length=500, description="why the run is abandoned; the history shows it")] = "",
) -> RunDetail:
    """Abandons a run: other files may load its keys, and nothing starts the run again.

    Rows that the run has loaded stay in the table; the answer says how many. The upload stays in raw/.
    """
    ledger.abandon(conn, run, reason)
    return _detail(conn, run)


@router.post("/runs/{run}/retry", status_code=202, responses=CHANGED)
def retry(conn: Session, settings: SettingsDep, run: RunId) -> Restarted:
    """Starts a failed run again; the run continues where it stopped.

    If this API can't reach Step Functions, as on Lambda, the next sweep starts the run.
    """
    ledger.retry(conn, run)
    found = ledger.read(conn, run)
    if not settings.migrate_arn:
        return Restarted(run=run, execution_arn=None, detail=f"{_BY_SWEEP}: this API can't reach Step Functions")
    try:
        given = executions.event(found.bucket, found.key, found.etag, found.version, "rowferry.api")
        started = executions.start(settings.migrate_arn, given)
    except NotStarted as error:
        return Restarted(run=run, execution_arn=None, detail=f"{_BY_SWEEP}: {error}")
    return Restarted(run=run, execution_arn=started, detail="an execution was started")


_BY_SWEEP = "the next sweep starts the run, within the hour; docs/running.md says how to start the sweep at once"
