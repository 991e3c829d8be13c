"""TurnFunction: may this run load now, or does a run with overlapping keys go first?"""

from dataclasses import asdict

from rowferry import ledger
from runtime import Answer, RunEvent, handler, logger, settings


@handler(RunEvent)
def handle(event: RunEvent) -> Answer:
    with ledger.session(settings()) as conn:
        run = ledger.held(conn, event.run, event.execution)
        ledger.renew(conn, run, "Turn")
        turn = ledger.take_turn(conn, run)
        ledger.note(conn, run, f"waits for {turn.ahead}" if turn.ahead else None)
    logger.info("turn", extra=asdict(turn))
    return asdict(turn)
