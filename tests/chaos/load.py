"""make load: 2,000 small files at once, then one of 2,000,000 rows: all correct, connections bounded, memory flat."""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pymysql

from local.stack import running
from rowferry.setup.bootstrap import APP_CONNECTIONS
from tests.support.stack_client import World

Say = Callable[[str], None]


class Watch(threading.Thread):
    """Looks twice a second at how many connections the application has, and at its processes' memory."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        assert world.stack.mysql and world.stack.emulator and world.stack.api
        self._mysql = world.stack.mysql
        self._roots = [world.stack.emulator.process.pid, world.stack.api.process.pid]
        self._over = threading.Event()
        self.connections = 0
        self.deadlocks = 0
        self.worker_megabytes = 0.0
        """The largest single process that ran a function or the API."""

    def run(self) -> None:
        with closing(self._mysql.connect("root")) as conn, conn.cursor() as cursor:
            conn.autocommit(True)
            begun = self._deadlocks(cursor)
            while not self._over.wait(0.5):
                cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'rowferry'")
                (count,) = cursor.fetchone() or (0,)
                self.connections = max(self.connections, int(count))
                self.worker_megabytes = max(self.worker_megabytes, *self._memory())
            self.deadlocks = self._deadlocks(cursor) - begun

    def _deadlocks(self, cursor: pymysql.cursors.Cursor) -> int:
        cursor.execute("SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
        (count,) = cursor.fetchone() or (0,)
        return int(count)

    def _memory(self) -> Iterator[float]:
        yield 0.0
        for root in self._roots:
            with suppress(psutil.Error):
                for process in psutil.Process(root).children(recursive=True):
                    with suppress(psutil.Error):
                        yield process.memory_info().rss / 1024**2

    def stop(self) -> None:
        self._over.set()
        self.join(30)


@contextmanager
def watched(world: World) -> Iterator[Watch]:
    watch = Watch(world)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


_FAILED = "SELECT object_key, reason, execution, lasting FROM rowferry_runs WHERE status = 'failed'"


@dataclass
class Restarts:
    """Runs that failed although nothing was wrong with them, and that the sweep started again."""

    count: int = 0


def wait_until_ended(world: World, files: int, seconds: float) -> Restarts:
    """Waits until every file's run is done.

    The emulator runs 16 functions at once, and the state machine waits up to a minute between two tries of a throttled
    one. So a run can wait longer than its lease: another file then takes its place, and the run fails and asks to be
    started again, which the sweep does. That is not a fault, and is counted.

    Raises: AssertionError where a run failed for good, or not all ended in time; with the errors of the failed tasks.
    """
    deadline = time.monotonic() + seconds
    restarts = Restarts()
    ended = 0
    while ended < files:
        assert time.monotonic() < deadline, f"{ended} of {files} files ended in {seconds:.0f} s"
        time.sleep(0.5)
        failed = world.rows(_FAILED)
        assert not [row for row in failed if row[3]], _failures(world, failed)
        if failed:
            restarts.count += len(failed)
            world.sweep(older_than_minutes=0)
        found: dict[str, int] = dict(world.rows("SELECT status, COUNT(*) FROM rowferry_runs GROUP BY status"))
        ended = found.get("done", 0)
    world.wait_until_idle()
    return restarts


def _failures(world: World, failed: Sequence[tuple[Any, ...]]) -> str:
    """Each failed run's file and reason, with the errors of the tasks that failed in its execution."""
    words = list[str]()
    for key, reason, execution, _ in failed:
        events = world.states.get_execution_history(executionArn=execution, reverseOrder=True)["events"]
        details = ("taskFailedEventDetails", "executionFailedEventDetails", "lambdaFunctionFailedEventDetails")
        errors = [str(found) for event in events for name, found in event.items() if name in details]
        words.append("\n    ".join([f"{key!r}: {reason}", *errors[:5]]))
    return "\n".join(words)


def many_small(world: World, files: int, say: Say) -> None:
    """Departments, jobs and employees who refer to them, ten rows a file, uploaded eight at a time."""
    parents = files // 20
    bodies = {f"raw/departments/{n:05}.csv": _names(n) for n in range(parents)}
    bodies |= {f"raw/jobs/{n:05}.csv": _names(n) for n in range(parents)}
    for n in range(files - 2 * parents):
        bodies[f"raw/hired_employees/{n:05}.csv"] = _employees(n, parents)
    begun = time.monotonic()
    with watched(world) as watch:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: world.upload(*item), bodies.items()))
        uploaded = time.monotonic() - begun
        restarts = wait_until_ended(world, files, 3_600)
    seconds = time.monotonic() - begun
    for table, count in {"departments": parents, "jobs": parents, "hired_employees": files - 2 * parents}.items():
        found = world.rows(f"SELECT COUNT(*), COUNT(DISTINCT id) FROM {table}")
        assert found == [(10 * count, 10 * count)], f"{table}: {found}, in place of {10 * count}"
    sums = world.rows("SELECT SUM(records), SUM(inserted), SUM(rejected) FROM rowferry_batches")
    assert [int(value) for value in sums[0]] == [10 * files, 10 * files, 0], sums
    assert world.keys("raw/") == []
    say(f"{files} files of 10 rows: uploaded in {uploaded:.0f} s, all loaded in {seconds:.0f} s; {_needed(watch)}")
    say(f"runs that had waited too long for a function and were started again by the sweep: {restarts.count}")


def one_large(world: World, rows: int, say: Say) -> None:
    world.empty_tables()
    for table in ("departments", "jobs"):
        world.migrate(f"raw/{table}.csv", "".join(f"{i},Name {i}\n" for i in range(1, 101)))
    needs = {}
    for size in (rows // 10, rows):
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as fp:
            fp.writelines(f"{i},Somebody {i},2021-07-27T16:02:08Z,{i % 100 + 1},{i % 99 + 1}\n" for i in _ids(size))
            fp.flush()
            begun = time.monotonic()
            with watched(world) as watch:
                version = str(_put(world, Path(fp.name), f"raw/hired_employees-{size}.csv"))
                _wait_until_done(world, version, 1_800)
        report = world.report(version)
        assert (report["read"], report["inserted"], report["rejected"]) == (size, size, 0), report
        needs[size] = watch.worker_megabytes
        say(f"one file of {size} rows: {time.monotonic() - begun:.0f} s; {_needed(watch)}")
        found = world.rows("SELECT COUNT(*), MIN(id), MAX(id) FROM hired_employees WHERE id >= %s", _ids(size)[0])
        assert found == [(size, _ids(size)[0], _ids(size)[-1])], found
        world.execute("DELETE FROM hired_employees")
    say(f"ten times the rows needed {needs[rows] / needs[rows // 10]:.2f} times the memory")


def _wait_until_done(world: World, version: str, seconds: float) -> None:
    """Raises: AssertionError where the run failed or did not end in time."""
    deadline = time.monotonic() + seconds
    while not world.rows("SELECT 1 FROM rowferry_runs WHERE version_id = %s AND status = 'done'", version):
        failed = world.rows(f"{_FAILED} AND version_id = %s", version)
        assert not failed, _failures(world, failed)
        assert time.monotonic() < deadline, f"the large file's run did not end in {seconds:.0f} s"
        time.sleep(0.5)


def _put(world: World, path: Path, key: str) -> str:
    with path.open("rb") as fp:
        return str(world.s3.put_object(Bucket=world.bucket, Key=key, Body=fp)["VersionId"])


def _ids(size: int) -> range:
    return range(size + 1, 2 * size + 1)


def _names(n: int) -> str:
    return "".join(f"{i},Name {i}\n" for i in range(10 * n + 1, 10 * n + 11))


def _employees(n: int, parents: int) -> str:
    line = "{},Somebody,2021-07-27T16:02:08Z,{},{}\n"
    return "".join(
        line.format(i, i % (10 * parents) + 1, (i * 7) % (10 * parents) + 1) for i in range(10 * n + 1, 10 * n + 11)
    )


def _needed(watch: Watch) -> str:
    assert watch.connections <= APP_CONNECTIONS
    return (
        f"at most {watch.connections} connections of {APP_CONNECTIONS}, {watch.deadlocks} deadlocks,"
        f" no process above {watch.worker_megabytes:.0f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load", description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=2_000_000)
    asked = parser.parse_args()
    say = lambda line: print(line, flush=True)  # noqa: E731
    with (
        tempfile.TemporaryDirectory(prefix="rowferry-load-") as folder,
        running(Path(folder), say) as stack,
        closing(World(stack)) as world,
    ):
        many_small(world, asked.files, say)
        one_large(world, asked.rows, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
