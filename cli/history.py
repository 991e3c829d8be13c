"""What commands ask of a stack, and what a run looks like to them."""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from cli.output import FAILED, LOADED, REFUSED, WITH_REJECTS

COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "withheld")


class Run(BaseModel):
    """A run as the API shows it, or as its report and its execution do. Counts: of what is done so far."""

    model_config = ConfigDict(extra="allow")

    run: str
    key: str
    status: str
    table: str = ""
    stage: str = ""
    code: str | None = None
    reason: str | None = None
    batches: int | None = None
    batches_done: int = 0
    records: int | None = None
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    withheld: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float = 0
    execution_arn: str | None = None
    attempts: list[dict[str, Any]] = []
    rejected_by_code: dict[str, int] = {}
    rejects_key: str | None = None
    duplicates_key: str | None = None
    moved_to: str | None = None
    would_be: str | None = None

    @property
    def is_over(self) -> bool:
        return self.status != "running"

    @property
    def exit_code(self) -> int:
        ended = self.would_be or self.status
        if ended in ("refused", "gated", "superseded"):
            return REFUSED
        if ended not in ("done", "checked"):
            return FAILED
        return WITH_REJECTS if self.rejected else LOADED

    @property
    def why(self) -> str | None:
        """The code and the reason, as far as the run has them."""
        return ": ".join(filter(None, (self.code, self.reason))) or None

    @property
    def account(self) -> str:
        """The balance in one line."""
        parts = [f"{getattr(self, name):,} {name}" for name in COUNTS[1:] if getattr(self, name) or name == "inserted"]
        return f"{self.read:,} read = {' + '.join(parts)}"


class History(Protocol):
    """Runs, backups and metrics of one stack.

    Every method raises CommandError, with words, for what can't be answered or done.
    """

    def runs(self, limit: int) -> Sequence[Run]:
        """The newest first."""
        ...

    def run(self, id: str) -> Run | None: ...

    def retry(self, run: Run) -> str:
        """Starts a failed run again; answers in words what was done."""
        ...

    def abandon(self, id: str, reason: str) -> Run: ...

    def back_up(self, tables: Sequence[str]) -> dict[str, Any]: ...

    def restore(self, tables: Sequence[str], order: dict[str, Any]) -> dict[str, Any]: ...

    def backups(self, table: str | None) -> Sequence[dict[str, Any]]: ...

    def metric(self, name: str, year: int) -> Sequence[dict[str, Any]]: ...
