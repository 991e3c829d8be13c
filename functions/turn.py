"""TurnFunction: may this run load now, or does a run with overlapping keys go first?"""

from rowferry import db, ledger
from runtime import Answer, RunEvent, handler, logger, settings


@handler(RunEvent)
def handle(event: RunEvent) -> Answer:
    with db.session(settings()) as conn:
        run = ledger.read(conn, event.run)
        ledger.renew(conn, run.id, "Turn")
        outcome = ledger.take_turn(conn, run)
    logger.info("turn", extra={"outcome": outcome})
    return {"outcome": outcome}
