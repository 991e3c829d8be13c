"""LoadFunction: one batch into MySQL, exactly once."""

from dataclasses import asdict

from rowferry import ledger
from rowferry.steps.load import load_batch
from runtime import Answer, BatchEvent, bucket, handler, logger, settings


@handler(BatchEvent)
def handle(event: BatchEvent) -> Answer:
    now = settings()
    with ledger.session(now) as conn:
        totals = load_batch(conn, bucket(now.bucket), ledger.held(conn, event.run, event.execution), event.batch)
    logger.info("loaded", extra={"batch": event.batch.batch, **asdict(totals)})
    return {"outcome": "loaded", "batch": event.batch.batch, **asdict(totals)}
