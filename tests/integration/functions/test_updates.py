"""A run that one release began and another one finishes: while a stack is updated, and when the update is rolled back.

`half_done_runs.json` holds what the release of 2026-11-24 left after each step of one file: rows of the ledger and of
the table, and work files. The release before this one is taken from the repository's history.
"""

import base64
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rowferry import ledger
from rowferry.steps.plan import Uploaded
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline

RECORDED = json.loads(Path(__file__).with_name("half_done_runs.json").read_text())
STAGES = list(RECORDED["stages"])
BODY: str = RECORDED["body"]
VALID = [(i, "Department 3 again" if i == 3 else f"Department {i}") for i in range(1, 26) if i % 7]
COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "withheld")


def half_done(pipeline: Pipeline, conn: Connection, stage: str) -> str:
    """The database and the bucket as the older release left them; answers the run's id."""
    uploaded = pipeline.upload("raw/departments.csv", BODY)
    run = ledger.run_id(pipeline.bucket.name, uploaded.key, str(uploaded.version))
    text = json.dumps(RECORDED["stages"][stage]).replace("RUN", run).replace("VERSION", str(uploaded.version))
    left = json.loads(text)
    for table, rows in left["tables"].items():
        for row in rows:
            columns = ", ".join(f"`{name}`" for name in row)
            marks = ", ".join(["%s"] * len(row))
            mysql.run(conn, f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))
    for key, body in left["objects"].items():
        pipeline.bucket.write(key, base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode())
    mysql.run(conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE")
    return run


def check_whole(pipeline: Pipeline, report: dict[str, Any]) -> None:
    assert [report[name] for name in COUNTS] == [26, len(VALID), 0, 0, 4, 0]
    assert pipeline.table("departments") == VALID
    assert [row["id"] for row in pipeline.rejects(report)] == ["7", "14", "21"]
    assert [row["_line"] for row in pipeline.rejects(report, "duplicates")] == ["3"]
    assert "processed/departments.csv" in pipeline.places()


def finish(pipeline: Pipeline, run: str, done: int) -> None:
    """Carries out the steps that come after the first `done` ones of STAGES."""
    if done < 1:
        pipeline.validate(run)
    if done < 2:
        assert pipeline.reconcile(run) == "load"
    if done < 4:
        assert pipeline.turn(run)
        pipeline.load(run)
    check_whole(pipeline, pipeline.summarise(run))


@pytest.mark.parametrize("stage", STAGES)
def test_an_execution_that_an_older_release_began_goes_on_with_this_one(
    pipeline: Pipeline, conn: Connection, stage: str
) -> None:
    run, done = half_done(pipeline, conn, stage), STAGES.index(stage)
    finish(pipeline, run, done)


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_an_older_release_left_is_started_again_with_this_one(
    pipeline: Pipeline, conn: Connection, stage: str
) -> None:
    run = half_done(pipeline, conn, stage)
    ledger.fail(conn, "arn:old", "States.Timeout: ", lasting=False)
    (version,) = pipeline.bucket.versions_of("raw/departments.csv")
    mysql.run(conn, "UPDATE rowferry_runs SET etag = %s, uploaded_at = %s", (version.etag, version.modified))
    uploaded = Uploaded(version.key, version.etag, version.id)
    assert pipeline.plan(uploaded, "arn:new").run == run
    check_whole(pipeline, pipeline.run(uploaded, "arn:new"))


# --- back to the release before --------------------------------------------------------------------------------------

BEFORE = "e20b409"
"""A commit of the release before this one."""


@contextmanager
def release_before(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Answers what imports a module of that release, by its name within the package."""
    root = Path(__file__).parents[3]
    packed = subprocess.run(["git", "archive", BEFORE, "src"], cwd=root, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"this clone has no commit {BEFORE}, as where it is shallow")
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    mine = taken_out()
    sys.path.insert(0, str(folder / "src"))
    try:
        yield lambda name: importlib.import_module(f"rowferry.{name}")
    finally:
        sys.path.remove(str(folder / "src"))
        taken_out()
        sys.modules.update(mine)


def taken_out() -> dict[str, ModuleType]:
    """The package's modules, which the next import makes anew."""
    names = [name for name in sys.modules if name.partition(".")[0] == "rowferry"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.mark.parametrize("stage", STAGES)
def test_an_execution_that_this_release_planned_fails_in_words_after_a_rollback_and_is_finished_by_this_release(
    pipeline: Pipeline, tmp_path: Path, stage: str
) -> None:
    """The release before looks for the manifest at one place; here the run's row names it."""
    run, done = begun(pipeline, stage), STAGES.index(stage)
    with release_before(tmp_path) as older:
        assert str(tmp_path) in older("ledger").__file__
        bucket = older("s3").Bucket(pipeline.bucket.name, pipeline.bucket._client)
        with pytest.raises(older("errors").NotFound, match=r"there is no runs/.*/batches\.jsonl in the bucket"):
            list(older("files").RunFiles(bucket, run).batches())
    finish(pipeline, run, done)


def begun(pipeline: Pipeline, stage: str) -> str:
    done = STAGES.index(stage)
    uploaded = pipeline.upload("raw/departments.csv", BODY)
    run = pipeline.plan(uploaded, "arn:new", batch_chunks=1, chunk_records=10).run
    if done >= 1:
        pipeline.validate(run)
    if done >= 2:
        assert pipeline.reconcile(run) == "load"
    if done >= 3:
        assert pipeline.turn(run)
        for batch in pipeline.batches(run)[: None if stage == "loaded" else 1]:
            pipeline.load_batch(run, batch)
    return run
