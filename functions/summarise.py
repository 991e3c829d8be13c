"""SummariseFunction: checks the books, writes rejects and report, moves the file."""

from rowferry import ledger
from rowferry.ledger import Totals
from rowferry.steps.summarise import Report, summarise
from runtime import Answer, RunEvent, bucket, count, handler, logger, settings


@handler(RunEvent)
def handle(event: RunEvent) -> Answer:
    now = settings()
    with ledger.session(now) as conn:
        report = summarise(conn, bucket(now.bucket), ledger.held(conn, event.run, event.execution), counted)
    logger.info("summarised", extra={"report": report})
    return {"outcome": "summarised", "report": report}


def counted(report: Report) -> None:
    """Puts a run's totals into the metrics: once, however often the step is repeated."""
    count(
        Totals(report["read"], *(report[name] for name in ("inserted", "updated", "unchanged", "rejected", "withheld")))
    )
