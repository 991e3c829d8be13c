"""docs/running.md: its commands as they stand there, in the state that its sections are about."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.emulator import ROOT
from local.mysql import ADMIN
from tests.support.stack_client import World

PAGE = (ROOT / "docs/running.md").read_text()


def carry_out(world: World, heading: str, run: str = "", **more: str) -> None:
    """The first commands below a heading, with the environment that the page names; `more`: what they set.

    `run`: the one that the commands are about, where a reader would have set RUN.
    """
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0]
    for name, value in more.items():
        commands, found = re.subn(rf"^{name}=\S+", f"{name}={value}", commands, flags=re.MULTILINE)
        assert found == 1
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **world.stack.environment(), "RUN": run}
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def without_a_right(world: World) -> Iterator[None]:
    """The application's user without its temporary tables, which the careful way needs."""
    mysql = world.stack.mysql
    assert mysql
    right = f"CREATE TEMPORARY TABLES ON `{mysql.database}`.*"
    with closing(mysql.connect(ADMIN)) as conn, conn.cursor() as cursor:
        cursor.execute(f"REVOKE {right} FROM {mysql.user}@'%'")
        try:
            yield
        finally:
            cursor.execute(f"GRANT {right} TO {mysql.user}@'%'")


def test_a_run_that_failed_is_started_again(world: World) -> None:
    world.execute("INSERT INTO departments VALUES (1, 'Old')")
    with without_a_right(world):
        version = world.upload("raw/departments.csv", "1,Sales\n2,Legal\n")
        with pytest.raises(AssertionError, match="the run failed: batch 0: DatabaseError: MySQL error 1044"):
            world.report(version)
        assert world.sweep(older_than_minutes=0)["output"]["events"] == [], "for the sweep it is not"
        world.wait_until_idle()
    carry_out(world, "A run that failed")
    world.wait_until_idle()
    assert world.report(version)["status"] == "done"
    assert world.rows("SELECT * FROM departments ORDER BY id") == [(1, "Sales"), (2, "Legal")]


def test_a_run_that_is_given_up_ends_its_execution_and_is_started_no_more(world: World) -> None:
    version = world.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")
    ((run, execution),) = world.wait_for(
        "SELECT id, execution FROM rowferry_runs WHERE version_id = %s AND stage = 'Wait for parents'", version
    )
    carry_out(world, "A run to be given up", run)
    assert world.end_of(execution)["status"] == "FAILED"
    cause = world.states.describe_execution(executionArn=execution)["cause"]
    assert cause == (
        "raw/hired_employees.csv: RunAbandoned: the run of raw/hired_employees.csv was given up, and nothing more of it"
        " is done: abandoned: wrong file; nothing of it is in the table"
    )
    assert world.rows("SELECT status, turn FROM rowferry_runs") == [("abandoned", None)]
    assert world.sweep(older_than_minutes=0)["output"]["events"] == []


def test_a_file_whose_event_was_lost_is_started(world: World) -> None:
    assert world.stack.emulator
    options: dict[str, Any] = world.stack.emulator.client_options()
    events, cloud = boto3.client("events", **options), boto3.client("cloudformation", **options)
    found = cloud.describe_stack_resource(StackName="rowferry", LogicalResourceId="MigrateUploaded")
    rule = found["StackResourceDetail"]["PhysicalResourceId"].rpartition("/")[2]
    events.disable_rule(Name=rule)
    try:
        version = world.upload("raw/departments.csv", "1,Sales\n")
    finally:
        events.enable_rule(Name=rule)
    assert world.executions_of(version) == []
    carry_out(world, "A file that is stuck")
    assert world.report(version)["inserted"] == 1


def test_rows_that_are_gone_come_back_from_the_files(world: World, tmp_path: Path) -> None:
    for key, body in (
        ("departments", "1,Sales\n2,Legal\n"),
        ("departments-more", "2,Law\n3,Tax\n"),
        ("jobs", "1,Cook\n"),
    ):
        world.migrate(f"raw/{key}.csv", body)
    tables = ("departments", "jobs")
    before = [world.rows(f"SELECT * FROM {table} ORDER BY id") for table in tables]
    world.wait_until_idle()
    world.execute(*[f"DELETE FROM {table}" for table in (*tables, "rowferry_batches", "rowferry_runs")])
    (since,) = {
        str(world.s3.head_object(Bucket=world.bucket, Key="processed/departments.csv")["LastModified"])[:19].replace(
            " ", "T"
        )
    }
    carry_out(world, "After a disaster", SINCE=since)
    world.wait_until_idle()
    assert [world.rows(f"SELECT * FROM {table} ORDER BY id") for table in tables] == before
