"""ReconcileFunction: references, keys that occur twice, and the gate, over the whole file."""

import datetime as dt
from dataclasses import asdict

from rowferry import ledger
from rowferry.steps.reconcile import reconcile
from runtime import Answer, RunEvent, bucket, handler, logger, settings


@handler(RunEvent)
def handle(event: RunEvent) -> Answer:
    now = settings()
    with ledger.session(now) as conn:
        run = ledger.held(conn, event.run, event.execution)
        reconciled = reconcile(conn, bucket(now.bucket), run, dt.datetime.now(dt.UTC))
    logger.info("reconciled", extra=asdict(reconciled))
    return asdict(reconciled)
