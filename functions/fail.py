"""FailFunction: writes into the ledger that a run failed and why, so that it can be started again at once."""

import datetime as dt
from typing import Any

from pydantic import BaseModel, ValidationError

from rowferry import ledger
from rowferry.config import Options
from rowferry.declare.catalog import table_of_path
from rowferry.errors import DatabaseUnavailable, Never
from rowferry.ledger import Claim
from rowferry.steps.plan import is_upload
from runtime import Answer, Detail, handler, logger, settings


class Failure(BaseModel):
    """The state machine's data where it went wrong: an error that was caught, or a step's own answer `failed`.

    `input`: what the execution was started with; anybody may start one with anything.
    """

    execution: str
    state: dict[str, Any]
    input: dict[str, Any] = {}

    @property
    def reason(self) -> str:
        if caught := self.state.get("error"):
            return f"{caught.get('Error')}: {caught.get('Cause')}"[:2_000]
        return str(self._answer.get("reason"))[:2_000]

    @property
    def upload(self) -> Detail | None:
        """What the execution was started for; None where its input is no event."""
        try:
            return Detail.model_validate(self.input.get("detail"))
        except ValidationError:
            return None

    @property
    def lasting(self) -> bool:
        return "error" not in self.state and not self._answer.get("start_again")

    @property
    def _answer(self) -> dict[str, Any]:
        return (self.state.get("step") or {}).get("answer") or self.state


@handler(Failure)
def handle(event: Failure) -> Answer:
    record(event)
    key = event.upload.object.key if event.upload else None
    logger.error("the run failed", extra={"reason": event.reason, "lasting": event.lasting, "key": key})
    return {"outcome": "failed", "reason": f"{key}: {event.reason}" if key else event.reason}


def record(event: Failure) -> None:
    """Raises: DatabaseUnavailable, whatever stands in the way, so that the state machine tries again for an hour.

    A run that stays `running` with no execution at work on it keeps other files waiting until its lease runs out.
    """
    try:
        with ledger.session(settings()) as conn:
            if not ledger.fail(conn, event.execution, event.reason, event.lasting) and (lost := unclaimed(event)):
                ledger.fail_unclaimed(conn, lost, event.reason, event.lasting)
    except Never as error:
        words = f"the run failed ({event.reason}), and that could not be recorded"
        raise DatabaseUnavailable(f"{words}: {type(error).__name__}: {error}") from error


def unclaimed(event: Failure) -> Claim | None:
    """The upload of an execution that has claimed no run; None where its event names no version, or is none of ours."""
    if not event.upload:
        return None
    found, bucket = event.upload.object, event.upload.bucket.name
    if found.version is None or bucket != settings().bucket or not is_upload(found.key):
        return None
    return Claim(
        id=ledger.run_id(bucket, found.key, found.version),
        bucket=bucket,
        key=found.key,
        version=found.version,
        etag=found.etag.strip('"'),
        uploaded_at=dt.datetime.now(dt.UTC),
        table=table.name if (table := table_of_path(found.key.partition("/")[2])) else "",
        kind="check" if found.key.startswith("check/") else "load",
        execution=event.execution,
        options=Options(),
    )
