"""ValidateFunction: one batch through the validator API."""

from rowferry import ledger
from rowferry.steps.validate import validate_batch
from rowferry.steps.work_files import RunFiles
from rowferry.validate.client import judge_at
from runtime import Answer, BatchEvent, bucket, handler, logger, settings


@handler(BatchEvent)
def handle(event: BatchEvent) -> Answer:
    now = settings()
    with ledger.session(now) as conn:
        run = ledger.held(conn, event.run, event.execution)
        ledger.renew(conn, run, "Validate")
    validator = judge_at(now.api_url, now.api_token)
    stats = validate_batch(RunFiles(bucket(now.bucket), run.id), validator, run, event.batch)
    counts = {"batch": event.batch.batch, "read": stats.read, "valid": stats.valid, "rejected": stats.rejected}
    logger.info("validated", extra=counts)
    return {"outcome": "validated", **counts}
