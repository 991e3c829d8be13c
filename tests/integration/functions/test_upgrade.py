"""A database of the release of 2026-11-26 (commit 0160ce8) is upgraded, and the run that it was at work on is finished.

`database_of_0160ce8.json` holds what that release left after the first of three batches of a file was loaded: every
table with its definition and its rows, the run's work files, and three jobs: one done, one failed, one at work.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowferry import ledger
from rowferry.config import Settings
from rowferry.ledger import jobs, migrations
from rowferry.ledger.migrations import WrongSchema
from rowferry.setup import tables
from rowferry.steps.plan import Uploaded
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline

RECORDED = json.loads(Path(__file__).with_name("database_of_0160ce8.json").read_text())
BATCHES = 3
FIRST_BATCH = [(i, f"Department {i}") for i in range(1, 11) if i % 7 and i != 3]
VALID = [(i, "Department 3 again" if i == 3 else f"Department {i}") for i in range(1, 26) if i % 7]


@pytest.fixture
def older(pipeline: Pipeline, administrator: Settings) -> Iterator[Pipeline]:
    """The same bucket, with a database of its own as that release left it."""
    settings = replace(
        administrator,
        db_name="upgraded",
        api_url=pipeline.settings.api_url,
        api_token=pipeline.settings.api_token,
    )
    with mysql.session(administrator) as conn:
        mysql.run(conn, "CREATE DATABASE upgraded CHARACTER SET utf8mb4")
        try:
            yield Pipeline(settings, pipeline.bucket)
        finally:
            mysql.run(conn, "DROP DATABASE upgraded")


@pytest.fixture
def conn(older: Pipeline) -> Iterator[Connection]:
    with mysql.session(older.settings) as conn:
        yield conn


@pytest.fixture
def uploaded(older: Pipeline, conn: Connection) -> Uploaded:
    """The upload whose run is half done, with all that the run has left."""
    uploaded = older.upload("raw/departments.csv", RECORDED["body"])
    run = ledger.run_id(older.bucket.name, uploaded.key, str(uploaded.version))
    left = json.loads(json.dumps(RECORDED).replace("RUN", run).replace("VERSION", str(uploaded.version)))
    for definition in left["tables"].values():
        mysql.run(conn, definition)
    for table, rows in left["rows"].items():
        for row in rows:
            insert(conn, table, row)
    for key, body in left["objects"].items():
        older.bucket.write(key, base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode())
    (version,) = older.bucket.versions_of(uploaded.key)
    mysql.run(conn, "UPDATE rowferry_runs SET etag = %s, uploaded_at = %s", (version.etag, version.modified))
    return uploaded


def insert(conn: Connection, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f"`{name}`" for name in row)
    mysql.run(conn, f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


def test_what_was_recorded_is_a_run_after_its_first_batch(older: Pipeline, uploaded: Uploaded) -> None:
    assert older.table("departments") == FIRST_BATCH
    assert {row["status"] for row in RECORDED["rows"]["rowferry_jobs"]} == {"done", "failed", "running"}


def test_the_execution_that_the_older_release_began_finishes_the_run_after_the_upgrade(
    older: Pipeline, uploaded: Uploaded, conn: Connection
) -> None:
    tables.create(conn)
    mysql.run(conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE")
    run = ledger.run_id(older.bucket.name, uploaded.key, str(uploaded.version))
    assert older.turn(run)
    older.load(run)
    check_whole(older, older.summarise(run))


def test_a_new_execution_finishes_the_run_after_the_upgrade(
    older: Pipeline, uploaded: Uploaded, conn: Connection
) -> None:
    """The old one has fallen silent, and its lease has run out."""
    tables.create(conn)
    mysql.run(conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE")
    report = older.run(uploaded, "arn:new")
    check_whole(older, report)
    attempts = ledger.progress(conn, report["run"]).attempts
    assert [(one.execution, one.status) for one in attempts] == [("arn:old", "failed"), ("arn:new", "done")]


def check_whole(older: Pipeline, report: dict[str, Any]) -> None:
    """Each record is accounted for once: the first batch was not loaded again, and the others were."""
    counts = {name: report[name] for name in ("status", "read", "inserted", "updated", "unchanged", "rejected")}
    inserted = len(VALID)
    assert counts == {
        "status": "done",
        "read": 26,
        "inserted": inserted,
        "updated": 0,
        "unchanged": 0,
        "rejected": 26 - inserted,
    }
    assert report["batches"] == BATCHES
    assert older.table("departments") == VALID
    assert [row["id"] for row in older.rejects(report)] == ["7", "14", "21"]
    assert [row["_line"] for row in older.rejects(report, "duplicates")] == ["3"]
    assert "processed/departments.csv" in older.places()


def test_its_jobs_are_kept_and_the_one_at_work_has_failed(
    uploaded: Uploaded, older: Pipeline, conn: Connection
) -> None:
    recorded = {row["id"]: row for row in RECORDED["rows"]["rowferry_jobs"]}
    tables.create(conn)
    mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE")
    for id, row in recorded.items():
        job = jobs.read(conn, id)
        assert (job.kind, job.tables) == (row["kind"], tuple(row["table_names"].split(",")))
        assert job.status == ("failed" if row["status"] == "running" else row["status"])
    assert jobs.running(conn) == {}


def test_an_upgrade_twice_is_as_once(older: Pipeline, uploaded: Uploaded, conn: Connection) -> None:
    tables.create(conn)
    once = {table: mysql.rows(conn, f"SELECT * FROM {table}") for table in migrations.TABLES}
    tables.create(conn)
    assert {table: mysql.rows(conn, f"SELECT * FROM {table}") for table in migrations.TABLES} == once


def test_before_the_upgrade_code_that_needs_newer_tables_says_so(
    older: Pipeline, uploaded: Uploaded, conn: Connection
) -> None:
    """True only where a step was added since; the steps of that release are the first ones of this one."""
    recorded = [row["words"] for row in RECORDED["rows"]["rowferry_schema"]]
    assert [step.words for step in migrations.STEPS[: len(recorded)]] == recorded
    if len(migrations.STEPS) > len(recorded):
        with pytest.raises(WrongSchema, match=f"has version {len(recorded)} .* needs version {len(migrations.STEPS)}"):
            migrations.check(conn)
    else:
        migrations.check(conn)
