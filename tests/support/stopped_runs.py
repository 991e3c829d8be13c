"""Runs that stopped under way, runs beside them, and what the sweep finds."""

import datetime as dt
from dataclasses import dataclass

from rowferry import ledger
from rowferry.steps import sweep
from rowferry.steps.plan import Uploaded
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline

LATER = dt.timedelta(hours=1)


def to_turn(pipeline: Pipeline, uploaded: Uploaded) -> str:
    id = pipeline.plan(uploaded).run
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    return id


@dataclass
class Stopped:
    """A run of two batches, keys 1 to 1,500, that stopped after its turn or after its first batch."""

    pipeline: Pipeline
    conn: Connection
    batches_loaded: int = 1

    def __post_init__(self) -> None:
        body = "".join(f"{i},First\n" for i in range(1, 1_501))
        self.uploaded = self.pipeline.upload("raw/departments-first.csv", body)
        self.run = self.pipeline.plan(self.uploaded, "arn:first", batch_chunks=1).run
        self.pipeline.validate(self.run)
        assert self.pipeline.reconcile(self.run) == "load"
        assert self.pipeline.turn(self.run)
        for batch in self.pipeline.batches(self.run)[: self.batches_loaded]:
            self.pipeline.load_batch(self.run, batch)

    def fail(self) -> None:
        ledger.fail(self.conn, "arn:first", "DatabaseUnavailable: for an hour", lasting=False)

    def fall_silent(self, minutes: int) -> None:
        lapsed = f"UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"
        mysql.run(self.conn, f"UPDATE rowferry_runs SET lease_until = {lapsed} WHERE id = %s", (self.run,))

    def start_again(self, execution: str = "arn:again") -> str:
        """Up to its turn; answers the turn's outcome."""
        assert self.pipeline.plan(self.uploaded, execution).run == self.run
        return self.pipeline.take_turn(self.run)


def other(pipeline: Pipeline, body: str = "1,Other\n1500,Other\n", key: str = "raw/departments-other.csv") -> str:
    return to_turn(pipeline, pipeline.upload(key, body))


def loaded(pipeline: Pipeline, id: str) -> str:
    pipeline.load(id)
    return str(pipeline.summarise(id)["status"])


def found(pipeline: Pipeline, conn: Connection, after: dt.timedelta = LATER) -> list[str]:
    swept = sweep.sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) + after)
    assert swept.after is None
    return [version.key for version in swept.versions]
