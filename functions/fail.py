"""FailFunction: writes into the ledger that a run failed and why, so that it can be started again at once."""

from typing import Any

from pydantic import BaseModel

from rowferry import db, ledger
from runtime import Answer, handler, logger, settings


class Failure(BaseModel):
    """The state machine's data where it went wrong: an error that was caught, or a step's own answer `failed`."""

    execution: str
    state: dict[str, Any]

    @property
    def reason(self) -> str:
        if caught := self.state.get("error"):
            return f"{caught.get('Error')}: {caught.get('Cause')}"[:2_000]
        answer = (self.state.get("step") or {}).get("answer") or self.state
        return str(answer.get("reason"))[:2_000]


@handler(Failure)
def handle(event: Failure) -> Answer:
    with db.session(settings()) as conn:
        ledger.fail(conn, event.execution, event.reason)
    logger.error("the run failed", extra={"reason": event.reason})
    return {"outcome": "failed", "reason": event.reason}
