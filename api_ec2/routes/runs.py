"""Runs, as the ledger knows them."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from api_ec2.deps import Session
from rowferry import ledger
from rowferry.ledger import Progress

router = APIRouter(tags=["runs"])


class RunState(BaseModel):
    """A run, finished or under way: its counts are those of the batches that are in the books so far."""

    run: str
    claim: int
    table: str
    key: str
    version: str
    kind: str
    status: str
    stage: str
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
    """The newest runs first; `next` is the `before` of the page that follows, None on the last one."""

    runs: list[RunState]
    next: int | None


class RunDetail(RunState):
    """A run with its report, once it is finished."""

    report: dict[str, Any] | None


@router.get("/runs")
def runs(
    conn: Session,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
) -> Runs:
    """The history of runs."""
    found = [RunState.of(progress) for progress in ledger.newest(conn, limit, before)]
    return Runs(runs=found, next=found[-1].claim if len(found) == limit else None)


@router.get("/runs/{run}", responses={404: {"description": "There is no such run"}})
def run(conn: Session, run: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> RunDetail:
    """One run, with its report once it is finished."""
    progress = ledger.progress(conn, run)
    report = dict(progress.run.report) if progress.run.report else None
    return RunDetail(**RunState.of(progress).model_dump(), report=report)
