"""SweepFunction: which uploads nobody is at work on, as events to start executions with."""

import datetime as dt

from pydantic import BaseModel, Field

from rowferry import ledger
from rowferry.steps.executions import event as event_of
from rowferry.steps.sweep import sweep
from runtime import Answer, bucket, handler, logger, settings


class Begun(BaseModel):
    """`after`: where the answer before this one ended. Younger uploads without a run may still have their event.

    `page`: how many answers this execution of the sweep has had.
    """

    older_than_minutes: float = Field(10, ge=0)
    after: tuple[str, str] | None = None
    page: int = 0


@handler(Begun)
def handle(event: Begun) -> Answer:
    now = settings()
    uploaded_before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=event.older_than_minutes)
    with ledger.session(now) as conn:
        swept = sweep(conn, bucket(now.bucket), uploaded_before, event.after or ("", ""))
    logger.info("swept", extra={"to_start": len(swept.versions), "more": swept.after is not None})
    return {
        "outcome": "more" if swept.after else "all",
        "after": swept.after,
        "page": event.page + 1,
        "older_than_minutes": event.older_than_minutes,
        "events": [event_of(now.bucket, v.key, v.etag, v.id, "rowferry.sweep") for v in swept.versions],
    }
