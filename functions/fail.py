"""FailFunction: writes into the ledger that a run failed and why, so that it can be started again at once."""

from typing import Any

from pydantic import BaseModel

from rowferry import ledger
from rowferry.errors import DatabaseUnavailable, Never
from runtime import Answer, handler, logger, settings


class Failure(BaseModel):
    """The state machine's data where it went wrong: an error that was caught, or a step's own answer `failed`."""

    execution: str
    state: dict[str, Any]

    @property
    def reason(self) -> str:
        if caught := self.state.get("error"):
            return f"{caught.get('Error')}: {caught.get('Cause')}"[:2_000]
        return str(self._answer.get("reason"))[:2_000]

    @property
    def lasting(self) -> bool:
        return "error" not in self.state and not self._answer.get("start_again")

    @property
    def _answer(self) -> dict[str, Any]:
        return (self.state.get("step") or {}).get("answer") or self.state


@handler(Failure)
def handle(event: Failure) -> Answer:
    record(event)
    logger.error("the run failed", extra={"reason": event.reason, "lasting": event.lasting})
    return {"outcome": "failed", "reason": event.reason}


def record(event: Failure) -> None:
    """Raises: DatabaseUnavailable, whatever stands in the way, so that the state machine tries again for an hour.

    A run that stays `running` with no execution at work on it keeps other files waiting until its lease runs out.
    """
    try:
        with ledger.session(settings()) as conn:
            ledger.fail(conn, event.execution, event.reason, event.lasting)
    except Never as error:
        words = f"the run failed ({event.reason}), and that could not be recorded"
        raise DatabaseUnavailable(f"{words}: {type(error).__name__}: {error}") from error
