"""BackupFunction: tables to Avro in S3, as they are at one moment; then retention."""

from pydantic import BaseModel, ConfigDict, Field

from rowferry import db, vault
from rowferry.retention import Retention
from runtime import Answer, bucket, ends, handler, logger, settings


class Wanted(BaseModel):
    """No table named: all. A backup stays while it is one of the newest `keep` or younger than `keep_days`."""

    model_config = ConfigDict(extra="forbid")

    tables: tuple[str, ...] = ()
    keep: int = Field(7, ge=1)
    keep_days: float = Field(30, ge=0)


@handler(Wanted)
def handle(event: Wanted) -> Answer:
    now = settings()
    with db.session(now) as conn:
        id = vault.begin_backup(conn, event.tables)
    retention = Retention(event.keep, event.keep_days)
    job = vault.carry_out_backup(now, bucket(now.bucket), id, ends(), retention)
    logger.info("backed up", extra={"backup": id, "result": job.result})
    return {"outcome": "done", "id": id, **job.result}
