"""The API's process killed while it restores or backs up: nothing half done, nothing in the way of the next try."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.api import Api
from rowferry.backup import retention
from rowferry.backup.retention import Retention
from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket
from tests.support.stack_client import PATIENCE, World

ROWS = 40_000
WAYS = 6


@pytest.fixture
def filled(world: World) -> World:
    """More departments than a restore or a backup takes at once."""
    tens = "(SELECT 0 d" + "".join(f" UNION SELECT {digit}" for digit in range(1, 10)) + ")"
    number = "a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d"
    source = f"SELECT {number} + 1 AS n FROM {tens} a, {tens} b, {tens} c, {tens} e, {tens} f"
    world.execute(f"INSERT INTO departments SELECT n, SHA2(n, 512) FROM ({source}) s WHERE n <= {ROWS}")
    return world


def state(world: World) -> Any:
    digest = "CAST(CONV(LEFT(SHA2(CONCAT(id, name), 256), 15), 16, 10) AS UNSIGNED)"
    return world.rows(f"SELECT COUNT(*), BIT_XOR({digest}) FROM departments")


def post(client: httpx.Client, path: str) -> dict[str, Any]:
    answer = client.post(path, timeout=PATIENCE)
    assert answer.is_success, answer.text
    told = answer.json()
    assert isinstance(told, dict)
    return told


@contextmanager
def victim(world: World, folder: Path) -> Iterator[tuple[httpx.Client, Callable[[], None]]]:
    """A second API on the same database and bucket, and what kills it."""
    folder.mkdir()
    api = Api.start(folder, world.stack.api_environment())
    try:
        with httpx.Client(base_url=api.url, headers=world.api.headers) as client:
            yield client, lambda: os.killpg(api.process.pid, signal.SIGKILL)
    finally:
        api.stop()


def ended(world: World, id: str) -> str:
    """Waits until a job is known to have ended: far less than its lease."""
    deadline = time.monotonic() + 90
    while (status := world.api.get(f"/jobs/{id}").raise_for_status().json()["status"]) == "running":
        assert time.monotonic() < deadline, "a killed job's lease is waited for"
        time.sleep(0.1)
    return str(status)


def test_killed_at_any_moment_a_restore_is_whole_or_not_at_all_and_the_next_one_works(
    filled: World, tmp_path: Path
) -> None:
    world, whole = filled, state(filled)
    id = post(world.api, "/backup/departments")["id"]

    def change() -> Any:
        world.execute("UPDATE departments SET name = 'x' WHERE id % 2", "DELETE FROM departments WHERE id % 7 = 0")
        return state(world)

    change()
    begun = time.monotonic()
    post(world.api, f"/restore/departments?id={id}")
    seconds = time.monotonic() - begun
    outcomes = []
    for way in range(WAYS):
        before = change()
        with victim(world, tmp_path / str(way)) as (client, kill):
            job = post(client, f"/restore/departments?id={id}&wait=false")["id"]
            time.sleep(seconds * way / WAYS)
            kill()
        outcomes.append(ended(world, job))
        assert state(world) == (whole if outcomes[-1] == "done" else before)
        post(world.api, f"/restore/departments?id={id}")
        assert state(world) == whole
    assert "failed" in outcomes


def test_killed_at_any_moment_a_backup_is_complete_or_none_and_what_is_left_is_swept(
    filled: World, tmp_path: Path
) -> None:
    world, outcomes = filled, []
    begun = time.monotonic()
    good = post(world.api, "/backup/departments")
    seconds = time.monotonic() - begun
    for way in range(WAYS):
        with victim(world, tmp_path / str(way)) as (client, kill):
            id = post(client, "/backup/departments?wait=false")["id"]
            time.sleep(seconds * way / WAYS)
            kill()
        outcomes.append((id, ended(world, id)))
    last = post(world.api, "/backup/departments")
    complete = {found["id"] for found in world.api.get("/backups/departments?limit=100").json()["backups"]}
    assert complete >= {good["id"], last["id"], *(id for id, status in outcomes if status == "done")}
    assert "failed" in {status for _, status in outcomes}
    bucket, later = Bucket(world.bucket, world.s3), dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    assert world.stack.mysql
    with closing(mysql.connect(Settings.from_env(world.stack.mysql.environment()))) as conn:
        retention.sweep(conn, bucket, "departments", Retention(keep=100), later)
    assert {key.split("/")[2] for key in world.keys("backups/departments/")} == complete
    assert list(bucket.unfinished_uploads("backups/departments/")) == []
