"""What every function stands on: its settings, its logs (with the X-Ray trace's id), metrics, and how it fails.

A failure that passes leaves as an exception, which Step Functions tries again; one that lasts leaves as the answer
`{"outcome": "failed"}`, which the state machine sends on by a Choice: emulators don't tell our exceptions' names.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rowferry import ledger
from rowferry.config import Settings
from rowferry.csvfile.split import Batch
from rowferry.errors import DatabaseUnavailable, Never, RowferryError, StartAgain
from rowferry.ledger import Totals
from rowferry.storage.s3 import Bucket

Answer = dict[str, Any]
Handler = Callable[..., Answer]
Event = TypeVar("Event", bound=BaseModel)

_ends: ContextVar[float] = ContextVar("ends")

PATIENCE = 30

logger = Logger(stream=sys.stderr)  # as logs are; on MiniStack a call that writes nothing there waits 50 ms more
metrics = Metrics()


class RunEvent(BaseModel):
    """Names a run; whatever else the state machine passes along is not read.

    `execution`: whose step this is, of a Map's child its parent's. An execution that was left behind must not touch the
    run of its successor. None: started by a release whose events did not name it.
    """

    model_config = ConfigDict(extra="ignore")

    run: str
    execution: str | None = None


class BatchEvent(RunEvent):
    """A line of the manifest, and the run that it belongs to."""

    batch: Batch


class Object(BaseModel):
    """`detail.object` of an event. The key is as it is in S3: EventBridge does not encode it."""

    key: str
    etag: str
    version: str | None = Field(None, alias="version-id")


class BucketName(BaseModel):
    name: str


class Detail(BaseModel):
    bucket: BucketName
    object: Object


SPARE_SECONDS = 30
"""What a function needs to stop cleanly: an upload to be given up, a transaction to be rolled back."""


def ends() -> float:
    """By time.monotonic, until when this call may go on with what takes long."""
    return _ends.get()


def settings() -> Settings:
    """They wait for a connection where all are taken: cheaper than an exception, a backoff and another call."""
    return replace(Settings.from_env(os.environ), patience=PATIENCE)


@lru_cache
def bucket(name: str) -> Bucket:
    """Kept between calls: making a client costs more than a batch's work with it."""
    return Bucket(name)


def handler(model: type[Event]) -> Callable[[Callable[[Event], Answer]], Handler]:
    """Makes a Lambda handler of a function from a parsed event to an answer."""

    def decorate(act: Callable[[Event], Answer]) -> Handler:
        @wraps(act)
        def handle(event: Mapping[str, Any], context: LambdaContext) -> Answer:
            _ends.set(time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS)
            try:
                return _answer(model, act, event)
            finally:
                if metrics.metric_set:  # an empty set would be warned about on every call
                    metrics.flush_metrics()

        return cast(Handler, logger.inject_lambda_context(handle, clear_state=True))

    return decorate


def _answer(model: type[Event], act: Callable[[Event], Answer], event: Mapping[str, Any]) -> Answer:
    try:
        parsed = model.model_validate(event)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        return _failed(f"the event makes no sense: {'; '.join(problems)}")
    logger.append_keys(run=getattr(parsed, "run", None))
    try:
        return act(parsed)
    except RowferryError as error:
        reason, start_again = f"{type(error).__name__}: {error}", isinstance(error, StartAgain)
        lasting = isinstance(error, Never)
        if isinstance(parsed, BatchEvent):
            _note(parsed, reason, lasting and not start_again)
        if lasting:
            return _failed(reason, start_again)
        if isinstance(error, DatabaseUnavailable):  # of whichever kind: the state machine knows it by this name
            raise DatabaseUnavailable(str(error)) from error
        raise


def _note(event: BatchEvent, reason: str, lasting: bool) -> None:
    """Leaves word in the run's row: of a Map whose child failed Step Functions says that it failed, and not why."""
    with suppress(RowferryError), ledger.session(settings()) as conn:
        run = ledger.held(conn, event.run, event.execution)
        ledger.note(conn, run, f"batch {event.batch.batch}: {reason}"[:2_000], lasting)


def _failed(reason: str, start_again: bool = False) -> Answer:
    logger.error("failed for good", extra={"reason": reason})
    metrics.add_metric("FailedForGood", MetricUnit.Count, 1)
    return {"outcome": "failed", "reason": reason, "start_again": start_again}


def count(totals: Totals) -> None:
    """Puts a finished run's totals into the metrics."""
    for name in ("inserted", "updated", "unchanged", "rejected", "withheld"):
        metrics.add_metric(f"Rows{name.capitalize()}", MetricUnit.Count, getattr(totals, name))
