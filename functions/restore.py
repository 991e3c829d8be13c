"""RestoreFunction: tables become what a backup holds, all at once or not at all."""

from pydantic import BaseModel, ConfigDict, StrictBool

from rowferry import ledger
from rowferry.backup import service
from rowferry.backup.restore import Moment, Order
from runtime import Answer, bucket, ends, handler, logger, settings


class Wanted(BaseModel):
    """By the backup's id, by a moment, or the newest. What is misspelt must not become a restore of something else."""

    model_config = ConfigDict(extra="forbid")

    tables: tuple[str, ...]
    id: str | None = None
    before: Moment | None = None
    into: str | None = None
    dry_run: StrictBool = False


@handler(Wanted)
def handle(event: Wanted) -> Answer:
    now = settings()
    order = Order(event.tables, event.id, event.before, event.into, event.dry_run)
    with ledger.session(now) as conn:
        id = service.begin_restore(conn, order)
    job = service.carry_out_restore(now, bucket(now.bucket), id, order, ends())
    logger.info("restored", extra={"job": id, "dry_run": order.dry_run, "result": job.result})
    return {"outcome": "done", "job": id, "dry_run": order.dry_run, **job.result}
