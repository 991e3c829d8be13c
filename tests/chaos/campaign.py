"""Rounds of uploads and faults, and after each the question: is everything as it must be?"""

import csv
import io
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.chaos.chaos_stack import Arena
from tests.chaos.faults import FAULTS, Fault, Round
from tests.chaos.files import File, Tables, Writer, differences, load

ENDED = ("done", "refused", "gated", "superseded", "checked")
MACHINE = Path(__file__).parents[2] / "statemachine" / "migrate.asl.json"
RESTARTS = 8


def patience(failures: int = 8, chain: int = 3) -> float:
    """Seconds until a round has to be over: what the state machine's own intervals add up to.

    Each step may fail so many times in a row before the faults are over. A file may wait for its parents' file, and a
    later version for that file, each for a tenth of its age longer than it must.
    """
    schedule = json.loads(re.sub(r"\$\{\w+\}", "1", MACHINE.read_text()))["States"]["Plan"]["Retry"][0]
    rate, longest = schedule["BackoffRate"], min(60, schedule.get("MaxDelaySeconds", 60))  # the emulator's own bound
    waits = [min(schedule["IntervalSeconds"] * rate**count, longest) for count in range(failures)]
    return float(sum(waits) * chain * 1.1)


WHOLE = ("inserted", "updated", "unchanged")


@dataclass
class Figures:
    """What a campaign did and found."""

    faults: Counter[str] = field(default_factory=Counter)
    files: int = 0
    rows: int = 0
    accounted: int = 0
    restarts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        outcomes = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        return [
            f"faults injected   {self.faults.total()} of {len(self.faults)} kinds: {kinds}",
            f"files             {self.files}: {outcomes}; runs started again: {self.restarts}",
            f"rows offered      {self.rows}",
            f"rows accounted    {self.accounted}",
            f"differences found {len(self.differences)}",
            *self.differences,
        ]


class Campaign:
    """All rounds work on the same tables; `seed` gives the same files and the same order of faults."""

    def __init__(self, arena: Arena, seed: int, say: Callable[[str], None] = print) -> None:
        self.arena = arena
        self.dice = random.Random(seed)
        self.figures = Figures()
        self._say = say
        self._writer = Writer(self.dice)
        self._tables: Tables = {"departments": {}, "jobs": {}, "hired_employees": {}}
        self._rounds = 0

    def begin(self) -> None:
        """The first departments and jobs, undisturbed."""
        self._take_through(list(self._writer.first()), ())

    def rounds(self, faults: int, each: int = 3) -> Figures:
        """Goes on until so many faults have happened; every kind comes before one comes again."""
        waiting = list[Fault]()
        while self.figures.faults.total() < faults:
            if len(waiting) < each:
                again = list(FAULTS)
                self.dice.shuffle(again)
                waiting += again
            chosen, waiting = waiting[:each], waiting[each:]
            self.round(chosen)
        return self.figures

    def round(self, faults: Sequence[Fault]) -> None:
        self._rounds += 1
        begun = time.monotonic()
        found = len(self.figures.differences)
        self._take_through(self._files(), faults)
        names = ", ".join(fault.__name__ for fault in faults)
        wrong = self.figures.differences[found:]
        seconds = time.monotonic() - begun
        self._say(f"{self._rounds:4} {seconds:5.1f} s  {names}{'; '.join(['', *wrong])}")

    def _files(self) -> list[File]:
        new = 1_000 + self._rounds
        files = [self._writer.parents("departments", new), self._writer.parents("jobs", new)]
        files += [self._writer.children(self.dice.randint(200, 2_500), new) for _ in range(2)]
        return [*files, self._writer.changed(files[-1])]

    # --- a round

    def _take_through(self, files: list[File], faults: Sequence[Fault]) -> None:
        by_hand = bool(faults) and self.dice.random() < 0.4
        round = Round(self.arena, random.Random(self.dice.random()), files)
        if by_hand:
            with self.arena.world.unannounced():
                self._upload(round)
            hurting = self._hurt(round, faults)
            self._announce(round)
        else:
            hurting = self._hurt(round, faults)
            self._upload(round)
        self._settle(round, hurting)
        self._audit(files)
        self.figures.files += len(files)

    def _upload(self, round: Round) -> None:
        world = self.arena.world
        for file in round.files:
            file.version = _insist(lambda file=file: world.upload(f"raw/{file.key}", file.body()))  # type: ignore[misc]
            etag = next(v.etag for v in self.arena.bucket.versions_of(f"raw/{file.key}") if v.id == file.version)
            event: dict[str, Any] = world.event(f"raw/{file.key}", etag)
            event["detail"]["object"]["version-id"] = file.version
            round.events.append(event)

    def _announce(self, round: Round) -> None:
        """By hand: in any order, some twice, some never."""
        events = [event for event in round.events for _ in range(self.dice.choice([0, 1, 1, 2]))]
        self.dice.shuffle(events)
        for event in events:
            with suppress(Exception):  # the emulator may be down: a lost event
                world = self.arena.world
                world.states.start_execution(stateMachineArn=world.machine, input=json.dumps(event))

    def _hurt(self, round: Round, faults: Sequence[Fault]) -> "list[_Hurt]":
        hurting = [_Hurt(fault, replace(round, dice=random.Random(self.dice.random()), counts=[])) for fault in faults]
        for hurt in hurting:
            hurt.start()
        return hurting

    def _settle(self, round: Round, hurting: "Sequence[_Hurt]") -> None:
        """Until each version has ended: first by itself, then started again."""
        allowed, dead = patience(), list[str]()
        deadline = time.monotonic() + allowed
        for thread in hurting:
            thread.join(allowed)
        _insist(self.arena.give_rights)  # as where the server was away when a fault wanted to
        heal_at = time.monotonic() + 6
        sweep_at = heal_at + 6
        for restart in range(RESTARTS):
            while not self._idle() and time.monotonic() < deadline:
                if time.monotonic() > heal_at:
                    self.arena.heal()
                if time.monotonic() > sweep_at:  # files may wait for one whose event was lost, or that is dead
                    dead += _insist(self._end_leases_of_the_dead)
                    self.arena.start_sweep()
                    sweep_at = time.monotonic() + 15
                time.sleep(0.2)
            self.arena.heal()
            _insist(self.arena.give_rights)
            if time.monotonic() > deadline:
                self.figures.differences += [f"not over after {allowed:.0f} s:", *_insist(self._under_way)]
                break
            unfinished = self._unfinished(round.files)
            if not unfinished:
                break
            dead += _insist(self._end_leases_of_the_dead)
            self._start_again(round, unfinished, by_sweep=restart < RESTARTS // 2)
        if dead and "emulator_restarted" not in {hurt.name for hurt in hurting}:  # which ends executions by force
            self.figures.differences += [f"left `running` by executions that have ended: {', '.join(dead)}"]
        for hurt in hurting:
            self.figures.faults[hurt.name] += hurt.done()
            self.figures.differences += [f"the fault {hurt.name} itself failed: {hurt.error!r}"] if hurt.error else []

    def _start_again(self, round: Round, unfinished: Sequence[File], by_sweep: bool) -> None:
        """The sweep finds what it may, the rest is started by hand."""
        world = self.arena.world
        self.figures.restarts += len(unfinished)
        if by_sweep:
            world.sweep(older_than_minutes=0)
        lasting = {row[0] for row in world.rows("SELECT version_id FROM rowferry_runs WHERE lasting OR starts > 5")}
        versions = {file.version for file in unfinished}
        for event in round.events:
            version = event["detail"]["object"]["version-id"]  # type: ignore[index]
            if version in versions and (version in lasting or not by_sweep):
                world.states.start_execution(stateMachineArn=world.machine, input=json.dumps(event))

    def _end_leases_of_the_dead(self) -> list[str]:
        """As if ten minutes had gone by: runs that no execution is at work on can be taken over. Answers their keys."""
        world = self.arena.world
        is_theirs = "status = 'running' AND lease_until > '2000-01-01'"
        running = f"SELECT id, execution, object_key FROM rowferry_runs WHERE {is_theirs}"
        runs = world.rows(running)
        alive = set(self._executions())  # asked for after the runs: whose execution is not here has ended
        dead = [run for run in world.rows(running) if run in runs and run[1] not in alive]  # and did not end its run
        for id, *_ in dead:
            world.execute(f"UPDATE rowferry_runs SET lease_until = '2000-01-01' WHERE id = '{id}'")
        return [key.decode() for _, _, key in dead]

    def _executions(self) -> list[str]:
        """Those that go on."""
        world = self.arena.world
        return [
            found["executionArn"]
            for machine in (world.machine, world.sweep_machine)
            for found in world.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
        ]

    def _under_way(self) -> list[str]:
        """What has not ended, in words; ends the executions, so that the next round begins with none."""
        world, words = self.arena.world, list[str]()
        for arn in self._executions():
            events = world.states.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
            states = [
                event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event
            ]
            failed = [str(event["taskFailedEventDetails"]) for event in events if "taskFailedEventDetails" in event]
            words.append(f"  {arn} is at {states[:1]}; {len(failed)} tasks failed, the last one: {failed[:1]}")
            world.states.stop_execution(executionArn=arn)
        sql = "SELECT object_key, stage, execution, reason FROM rowferry_runs WHERE status = 'running'"
        return words + [f"  run of {row[0].decode()} by {row[2]} is at {row[1]}: {row[3]}" for row in world.rows(sql)]

    def _idle(self) -> bool:
        with suppress(Exception):
            return not self._executions()
        return False

    def _unfinished(self, files: Sequence[File]) -> list[File]:
        ended = {version for version, status, *_ in self._runs(files) if status in ENDED}
        return [file for file in files if file.version not in ended]

    def _runs(self, files: Sequence[File]) -> list[tuple[Any, ...]]:
        """In the order in which their rows came in: a parent's are there before its run has ended."""
        marks = ", ".join(["%s"] * len(files))
        loaded = "SELECT MAX(committed_at) FROM rowferry_batches b WHERE b.run_id = r.id"
        sql = f"""
            SELECT version_id, status, id, report, turn, reason FROM rowferry_runs r WHERE version_id IN ({marks})
            ORDER BY COALESCE(({loaded}), finished_at), claim"""
        return _insist(lambda: self.arena.world.rows(sql, *[file.version for file in files]))  # type: ignore[no-any-return]

    # --- the audit

    def _audit(self, files: Sequence[File]) -> None:
        by_version = {file.version: file for file in files}
        runs = self._runs(files)
        wrong = [f"{by_version[v].key} has two runs" for v, n in Counter(run[0] for run in runs).items() if n > 1]
        wrong += [f"{file.key}: no run" for file in files if file.version not in {run[0] for run in runs}]
        partly = any(run[1] == "superseded" and _loaded(json.loads(run[3])) for run in runs)
        for version, status, id, report, turn, reason in runs:
            file = by_version[version]
            self.figures.outcomes[status] += 1
            self.figures.rows += len(file.records)
            if status not in ENDED:
                wrong.append(f"{file.key} ended as {status}: {reason}")
                continue
            told = json.loads(report)
            wrong += [f"{file.key} still has its turn"] if turn else []
            wrong += [f"{file.key}: {words}" for words in self._books(file, id, status, told, partly)]
            wrong += [f"{file.key}: {words}" for words in self._places(file, id, status, told)]
        wrong += self.tables_differ()
        wrong += self._left_behind()
        self.figures.differences += wrong

    def _books(self, file: File, id: str, status: str, told: dict[str, Any], partly: bool) -> list[str]:
        wrong = []
        outcomes = sum(told[name] for name in (*WHOLE, "rejected", "withheld"))
        if status == "done":
            expected = load(self._tables, file)
            counts = {name: told[name] for name in WHOLE}
            right = {name: getattr(expected, name) for name in WHOLE}
            if (sum(counts.values()) != sum(right.values())) if partly else counts != right:
                wrong.append(f"{counts} in place of {right}")
            codes = self._codes(told)
            if codes != expected.codes:
                odd = [
                    line for line in codes.keys() | expected.codes.keys() if codes.get(line) != expected.codes.get(line)
                ]
                wrong.append(f"{len(odd)} rejects differ, as of lines {sorted(odd)[:3]}")
        elif status != "superseded":
            wrong.append(f"ended as {status}: {told['reason']}")
        elif not told["batches"]:  # superseded before it was read
            self.figures.accounted += len(file.records)
            return wrong
        if told["read"] != len(file.records) or outcomes != told["read"]:
            wrong.append(f"read {told['read']}, accounted {outcomes} of {len(file.records)} records")
        (row,) = self.arena.world.rows(
            "SELECT SUM(records), SUM(inserted + updated + unchanged + rejected + withheld)"
            " FROM rowferry_batches WHERE run_id = %s",
            id,
        )
        if {int(value or 0) for value in row} != {told["read"]}:
            wrong.append(f"the ledger has {row}, the report {told['read']}")
        self.figures.accounted += outcomes
        return wrong

    def _codes(self, told: dict[str, Any]) -> dict[int, str]:
        codes = dict[int, str]()
        for key in (told["rejects_key"], told["duplicates_key"]):
            if key:
                text = io.StringIO(self.arena.world.read(key).decode("utf-8-sig"), newline="")
                codes |= {int(row["_line"]): row["_codes"] for row in csv.DictReader(text)}
        return codes

    def _places(self, file: File, id: str, status: str, told: dict[str, Any]) -> list[str]:
        """The version is where the report says, with the run's mark and its own bytes, and nowhere else."""
        bucket = self.arena.bucket
        places = set[str]()
        folder = file.key.rpartition("/")[0]
        for version in (*bucket.versions(f"processed/{folder}"), *bucket.versions(f"errors/{folder}")):
            if (bucket.metadata(version.key, version.id) or {}).get("rowferry-run") == id:
                places.add(version.key)
                if self._bytes(version.key, version.id) != file.body():
                    return [f"{version.key} has not its bytes"]
        places |= {version.key for version in bucket.versions(f"raw/{file.key}") if version.id == file.version}
        return [] if places == {told["moved_to"]} else [f"{status}, is in {sorted(places)}"]

    def _bytes(self, key: str, version: str) -> bytes:
        found = self.arena.world.s3.get_object(Bucket=self.arena.world.bucket, Key=key, VersionId=version)
        return bytes(found["Body"].read())

    def tables_differ(self) -> list[str]:
        """In words, where the tables are not the oracle's."""
        wrong = []
        for table, expected in self._tables.items():
            found = {row[0]: tuple(map(str, row[1:])) for row in self.arena.world.rows(f"SELECT * FROM {table}")}
            wrong += differences(expected, found, table)
            self._tables[table] = found  # one difference is told once
        return wrong

    def _left_behind(self) -> list[str]:
        """Transactions and locks that nobody is at work with; the server takes a moment to notice the dead."""
        for _ in range(150):
            with self.arena.session("root") as cursor:
                cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_trx")
                (transactions,) = cursor.fetchone() or (0,)
                cursor.execute("SELECT COUNT(*) FROM performance_schema.data_locks")
                (locks,) = cursor.fetchone() or (0,)
            if not transactions and not locks:
                return []
            time.sleep(0.2)
        return [f"{transactions} transactions and {locks} locks are left"]


class _Hurt(threading.Thread):
    """A fault at work."""

    def __init__(self, fault: Fault, round: Round) -> None:
        super().__init__(name=fault.__name__)
        self._fault = fault
        self._round = round
        self._count = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._count = self._fault(self._round)
        except Exception as error:
            self.error = error

    def done(self) -> int:
        """How often it happened; traps are asked now."""
        return self._count + sum(count() for count in self._round.counts)


def _loaded(told: dict[str, Any]) -> int:
    return sum(int(told[name]) for name in WHOLE)


def _insist(act: Callable[[], Any]) -> Any:
    """For what the harness itself needs while parts are down."""
    for _ in range(100):
        with suppress(Exception):
            return act()
        time.sleep(0.3)
    return act()
