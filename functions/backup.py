"""BackupFunction: tables to Avro in S3, as they are at one moment; then retention."""

from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel, ConfigDict, Field

from rowferry import ledger
from rowferry.backup import service
from rowferry.backup.retention import Retention
from runtime import Answer, bucket, ends, handler, logger, metrics, settings


class Wanted(BaseModel):
    """No table named: all. A backup stays while it is one of the newest `keep` or younger than `keep_days`."""

    model_config = ConfigDict(extra="forbid")

    tables: tuple[str, ...] = ()
    keep: int = Field(7, ge=1)
    keep_days: float = Field(30, ge=0, le=36_500)


@handler(Wanted)
def handle(event: Wanted) -> Answer:
    now = settings()
    with ledger.session(now) as conn:
        id = service.begin_backup(conn, event.tables)
    retention = Retention(event.keep, event.keep_days)
    job = service.carry_out_backup(now, bucket(now.bucket), id, ends(), retention)
    if not event.tables:  # of all, as the schedule asks; the alarm BackupOverdue misses it
        metrics.add_metric("BackupsCompleted", MetricUnit.Count, 1)
    logger.info("backed up", extra={"backup": id, "result": job.result})
    if "not_removed" in job.result:
        logger.error("old backups could not be removed", extra={"reason": job.result["not_removed"]})
    return {"outcome": "done", "id": id, **job.result}
