"""The history of runs: each run with what its batches add up to so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rowferry.errors import NotFound
from rowferry.ledger.attempts import Attempt, of_run
from rowferry.ledger.batch_rows import SUM_NAMES
from rowferry.ledger.model import Run, Totals
from rowferry.ledger.runs import NAMES, run_of
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row


@dataclass(frozen=True)
class Progress:
    """A run with what its ledger says so far. `batches_done`: those that are in the books.

    `attempts`: what each of its executions came to, where one run was asked for.
    """

    claim: int
    run: Run
    totals: Totals
    batches_done: int
    attempts: Sequence[Attempt] = ()


def newest(conn: Connection, limit: int, before: int | None = None) -> Sequence[Progress]:
    """The newest runs first; `before`: only those with an older claim."""
    where = "SELECT * FROM rowferry_runs WHERE claim < %s ORDER BY claim DESC LIMIT %s"
    found = mysql.rows(conn, PROGRESS.format(where), (before or 2**63 - 1, limit))
    return list(map(progress_of, found))


def progress(conn: Connection, id: str) -> Progress:
    """Raises: NotFound."""
    row = mysql.row(conn, PROGRESS.format("SELECT * FROM rowferry_runs WHERE id = %s"), (id,))
    if row is None:
        raise NotFound(f"there is no run {id}")
    return replace(progress_of(row), attempts=of_run(conn, id))


def progress_of(row: Row) -> Progress:
    totals = Totals(*(int(row[f"sum_{name}"]) for name in SUM_NAMES))
    return Progress(int(row["claim"]), run_of(row), totals, int(row["done"]))


PROGRESS = (
    f"SELECT r.claim, {', '.join(f'ANY_VALUE(r.{name}) AS {name}' for name in NAMES)}, COUNT(b.batch) AS done, "
    + ", ".join(f"COALESCE(SUM(b.{name}), 0) AS sum_{name}" for name in SUM_NAMES)
    + " FROM ({}) r LEFT JOIN rowferry_batches b ON b.run_id = r.id GROUP BY r.id, r.claim ORDER BY r.claim DESC"
)
