"""PlanFunction: an S3 event in, the claimed and planned run out."""

from dataclasses import asdict

from pydantic import BaseModel

from rowferry import ledger
from rowferry.steps.plan import Uploaded, plan
from runtime import Answer, Detail, bucket, handler, logger, settings


class Started(BaseModel):
    """An "Object Created" event with the execution that it started."""

    detail: Detail
    execution: str


@handler(Started)
def handle(event: Started) -> Answer:
    now = settings()
    found = event.detail.object
    uploaded = Uploaded(found.key, found.etag, found.version, event.detail.bucket.name)
    with ledger.session(now) as conn:
        planned = plan(conn, bucket(now.bucket), uploaded, event.execution, now.options)
    logger.info("planned", extra=asdict(planned))
    return asdict(planned)
