"""The faults: each hurts an arena while files are on their way, and says how often it did."""

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

import pymysql

from tests.chaos.chaos_stack import Arena
from tests.chaos.files import File
from tests.chaos.proxies import HttpFault, Trap, answer

STEPS = {  # a function at work shows itself by an S3 request of its own
    "Plan": lambda line: line.startswith("PUT") and "/batches-" in line,
    "Validate": lambda line: line.startswith("PUT") and "/valid/" in line,
    "Reconcile": lambda line: line.startswith("GET") and "/valid/" in line and ".json" in line,
    "Load": lambda line: line.startswith("GET") and ".tsv" in line,
    "Summarise": lambda line: line.startswith("PUT") and ("/report.json" in line or "/processed/" in line),
}


@dataclass
class Round:
    """What a fault may hurt, and what it must say of what it did."""

    arena: Arena
    dice: random.Random
    files: list[File]
    events: list[dict[str, object]] = field(default_factory=list)
    counts: list[Callable[[], int]] = field(default_factory=list)

    def soon(self) -> float:
        return self.dice.uniform(0, 3)


Fault = Callable[[Round], int]
"""Does it, in a thread of its own; answers how many faults it knows to have happened. Traps count when they spring."""


# --- the database ----------------------------------------------------------------------------------------------------


def database_killed(round: Round) -> int:
    time.sleep(round.soon())
    round.arena.kill_database(signal.SIGKILL, round.dice.uniform(0, 2))
    return 1


def database_restarted(round: Round) -> int:
    time.sleep(round.soon())
    round.arena.kill_database(signal.SIGTERM, round.dice.uniform(0, 1))
    return 1


def database_killed_by_a_packet(round: Round) -> int:
    """Right after some statement went to the server: a COMMIT as likely as another."""

    def act(_: int) -> bool:
        threading.Thread(target=round.arena.kill_database, args=(signal.SIGKILL, 0.2)).start()
        return True

    return _trap(round, act, round.dice.randint(20, 150))


def connection_cut_before_a_statement(round: Round) -> int:
    return sum(_trap(round, lambda _: False, round.dice.randint(1, 150)) for _ in range(2))


def answer_of_a_statement_lost(round: Round) -> int:
    """The server does it, and nobody hears of that: was it committed?"""

    def act(_: int) -> bool:
        threading.Timer(0.02, round.arena.database.cut_all).start()
        return True

    return _trap(round, act, round.dice.randint(10, 150))


def connections_cut(round: Round) -> int:
    time.sleep(round.soon())
    return int(round.arena.database.cut_all() > 0)


def connections_refused(round: Round) -> int:
    time.sleep(round.soon())
    round.arena.database.refusing = True
    round.arena.database.cut_all()
    time.sleep(round.dice.uniform(0.5, 3))
    round.arena.database.refusing = False
    return 1


def database_silent(round: Round) -> int:
    time.sleep(round.soon())
    round.arena.database.stalled = True
    time.sleep(round.dice.uniform(0.5, 3))
    round.arena.database.stalled = False
    return 1


def rows_locked(round: Round) -> int:
    """Somebody else's transaction holds every row and gap of a table."""
    time.sleep(round.soon())
    return _in_another_session(round, ["SELECT COUNT(*) FROM (SELECT id FROM {} FOR UPDATE) locked"], (1, 4))


def table_locked(round: Round) -> int:
    time.sleep(round.soon())
    return _in_another_session(round, ["LOCK TABLES {} WRITE"], (1, 3))


def deadlock(round: Round) -> int:
    """Another session takes rows against the order of their keys."""
    done = 0
    for _ in range(6):
        time.sleep(round.soon() / 3)
        statements = [f"SELECT id FROM {{}} WHERE id = {i} FOR UPDATE" for i in range(20, 0, -4)]
        done = _in_another_session(round, statements, (0, 0.1))
    return done


def dead_transaction(round: Round) -> int:
    """A function that died on a machine that is silent: the server thinks that it is still there."""
    sql = "INSERT IGNORE INTO {} SELECT id + 100000, {} FROM {} LIMIT 500"
    columns = {"hired_employees": "name, datetime, department_id, job_id"}
    table = round.dice.choice([file.table for file in round.files])
    own = sql.format(table, columns.get(table, "name"), table)
    return _in_another_session(round, [own], (3, 6), f"SELECT id FROM {table} WHERE id < 10000 FOR UPDATE")


def connections_used_up(round: Round) -> int:
    """The application's user may have thirty."""
    time.sleep(round.soon())
    with ExitStack() as held:
        count = 0
        with suppress(pymysql.MySQLError):
            for _ in range(60):
                held.enter_context(closing(round.arena.mysql.connect()))
                count += 1
        time.sleep(round.dice.uniform(1, 3))
    return int(count > 0)


def right_taken_away(round: Round) -> int:
    """A failure that lasts: the run fails, and ends well when it is started again with the right back."""
    time.sleep(round.soon())
    round.arena.take_rights()
    time.sleep(round.dice.uniform(1, 3))
    with suppress(pymysql.MySQLError):  # they come back at the round's end at the latest
        round.arena.give_rights()
    return 1


# --- the API ---------------------------------------------------------------------------------------------------------


def api_killed(round: Round) -> int:
    time.sleep(round.soon())
    round.arena.kill_api(round.dice.uniform(0, 2))
    return 1


def api_answers_errors(round: Round) -> int:
    for status in round.dice.sample([500, 502, 503, 504], 2):
        _api(round, HttpFault("status", times=2, answer=answer(status, b"<html>it broke</html>", b"text/html")))
    return 0


def api_throttles(round: Round) -> int:
    _api(round, HttpFault("status", times=3, answer=answer(429, b"slow down", more=b"Retry-After: 1\r\n")))
    return 0


def api_answers_garbage(round: Round) -> int:
    bodies = [
        b"",
        b"\0\xff garbage",
        b'{"read": 1000, "rejects": []}\n',
        b'{"read": 1, "rejects": []}\n1\t1\tOne row of many\n',
        b"[]",
        b'{"read": -1}\n',
    ]
    for body in round.dice.sample(bodies, 3):
        _api(round, HttpFault("status", answer=answer(200, body)))
    return 0


def api_answers_half(round: Round) -> int:
    _api(round, HttpFault("half", times=3))
    return 0


def api_is_slow(round: Round) -> int:
    _api(round, HttpFault("slow", times=4, seconds=round.dice.uniform(0.5, 3)))
    return 0


def api_drops_requests(round: Round) -> int:
    _api(round, HttpFault("drop", times=2))
    _api(round, HttpFault("lost", times=2))
    return 0


def api_refuses_the_token(round: Round) -> int:
    """A failure that lasts."""
    _api(round, HttpFault("status", times=1, answer=answer(403, b"{}", b"application/json")))
    return 0


# --- S3 --------------------------------------------------------------------------------------------------------------


def storage_refuses_writes(round: Round) -> int:
    slow_down = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
    _storage(round, HttpFault("status", _writes, 6, answer(503, slow_down, b"application/xml")))
    return 0


def storage_fails(round: Round) -> int:
    broken = b"<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"
    _storage(round, HttpFault("status", times=8, answer=answer(500, broken, b"application/xml")))
    return 0


def storage_drops_requests(round: Round) -> int:
    _storage(round, HttpFault("drop", times=5))
    return 0


def writes_done_and_unanswered(round: Round) -> int:
    _storage(round, HttpFault("lost", _writes, 5))
    return 0


def storage_answers_half(round: Round) -> int:
    _storage(round, HttpFault("half", lambda line: line.startswith("GET"), 5))
    return 0


# --- functions -------------------------------------------------------------------------------------------------------


def function_killed(round: Round) -> int:
    """In each of two steps, before or after what it asks of S3."""
    for step in round.dice.sample(sorted(STEPS), 2):
        how = round.dice.choice(["trap", "trap_after"])
        _storage(round, HttpFault(how, STEPS[step], act=round.arena.kill_client))
    return 0


def function_killed_in_its_transaction(round: Round) -> int:
    def act(port: int) -> bool:
        round.arena.kill_client(port)
        return round.dice.random() < 0.5

    return sum(_trap(round, act, round.dice.randint(1, 150)) for _ in range(2))


def function_frozen(round: Round) -> int:
    def act(port: int) -> bool:
        round.arena.freeze_client(port, round.dice.uniform(1, 4))
        return True

    return _trap(round, act, round.dice.randint(1, 120))


# --- events and uploads ----------------------------------------------------------------------------------------------


def events_twice(round: Round) -> int:
    """Each a few times, at once and in any order."""
    time.sleep(round.soon() / 3)
    again = [event for event in round.events for _ in range(round.dice.randint(1, 3))]
    round.dice.shuffle(again)
    started = 0
    for event in again:
        with suppress(Exception):  # the emulator may be going down
            world = round.arena.world
            world.states.start_execution(stateMachineArn=world.machine, input=json.dumps(event))
            started += 1
    return int(started > 0)


def deleted_while_it_is_read(round: Round) -> int:
    """By its name: the version stays, and the run goes on."""
    file = round.dice.choice(round.files)
    time.sleep(round.soon() / 2)
    with suppress(Exception):
        round.arena.world.s3.delete_object(Bucket=round.arena.world.bucket, Key=f"raw/{file.key}")
        return 1
    return 0


def emulator_restarted(round: Round) -> int:
    time.sleep(round.soon() + 1)
    round.arena.restart_emulator()
    return 1


def sweeps(round: Round) -> int:
    for _ in range(2):
        time.sleep(round.soon() / 2)
        round.arena.start_sweep()
    return 1


FAULTS: Sequence[Fault] = (
    database_killed,
    database_restarted,
    database_killed_by_a_packet,
    connection_cut_before_a_statement,
    answer_of_a_statement_lost,
    connections_cut,
    connections_refused,
    database_silent,
    rows_locked,
    table_locked,
    deadlock,
    dead_transaction,
    connections_used_up,
    right_taken_away,
    api_killed,
    api_answers_errors,
    api_throttles,
    api_answers_garbage,
    api_answers_half,
    api_is_slow,
    api_drops_requests,
    api_refuses_the_token,
    storage_refuses_writes,
    storage_fails,
    storage_drops_requests,
    writes_done_and_unanswered,
    storage_answers_half,
    function_killed,
    function_killed_in_its_transaction,
    function_frozen,
    events_twice,
    deleted_while_it_is_read,
    emulator_restarted,
    sweeps,
)


# --- how they are done -----------------------------------------------------------------------------------------------


def _writes(line: str) -> bool:
    return line.startswith(("PUT", "POST", "DELETE"))


def _trap(round: Round, act: Callable[[int], bool], skip: int) -> int:
    trap = Trap(act, skip)
    round.arena.database.traps.append(trap)
    round.counts.append(lambda: trap.fired)
    return 0


def _api(round: Round, fault: HttpFault) -> None:
    round.arena.validator.faults.append(fault)
    round.counts.append(lambda: fault.fired)


def _storage(round: Round, fault: HttpFault) -> None:
    round.arena.storage.faults.append(fault)
    round.counts.append(lambda: fault.fired)


def _in_another_session(
    round: Round, statements: Sequence[str], seconds: tuple[float, float], also: str | None = None
) -> int:
    """Statements on a table of the round's, then silence, then a rollback."""
    table = round.dice.choice([file.table for file in round.files])
    try:
        with round.arena.session("root") as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 3, lock_wait_timeout = 3")
            cursor.execute("BEGIN")
            for statement in (*statements, *([also] if also else [])):
                cursor.execute(statement.format(table))
            time.sleep(round.dice.uniform(*seconds))
    except pymysql.MySQLError:
        return 1  # a deadlock or a timeout hit this session in place of ours, or another fault took the server away
    return 1
