"""Backup and restore on the deployed template: the functions, and the schedule that calls one of them."""

import io
import json
from typing import Any

import boto3
import polars

from tests.support.stack_client import World


def invoke(world: World, name: str, event: dict[str, Any]) -> dict[str, Any]:
    assert world.stack.emulator
    client = boto3.client("lambda", **world.stack.emulator.client_options())
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()
    told = json.loads(answer["Payload"].read())
    assert isinstance(told, dict)
    client.close()
    return told


def test_tables_are_backed_up_and_restored_by_the_functions(world: World) -> None:
    env = world.stack.environment()
    backup, restore = env["ROWFERRY_BACKUP_FUNCTION"], env["ROWFERRY_RESTORE_FUNCTION"]
    world.migrate("raw/departments.csv", "1,Legal\n2,Überseehandel\n")
    world.migrate("raw/jobs.csv", "1,Cook\n")
    world.migrate("raw/hired_employees.csv", "1,Ada,2021-11-07T02:48:42Z,2,1\n")
    done = invoke(world, backup, {})
    assert done["outcome"] == "done", done
    place = f"backups/hired_employees/{done['id']}"
    assert set(world.keys(f"{place}/")) == {f"{place}/data.avro", f"{place}/manifest.json"}
    (record,) = polars.read_avro(io.BytesIO(world.read(f"{place}/data.avro"))).to_dicts()
    assert (record["name"], record["department_id"]) == ("Ada", 2)
    before = world.rows("SELECT * FROM hired_employees")
    world.execute(
        "DELETE FROM hired_employees", "DELETE FROM departments WHERE id = 2", "INSERT INTO jobs VALUES (2, 'x')"
    )
    orphaned = invoke(world, restore, {"tables": ["hired_employees"]})
    assert orphaned["reason"].startswith("WouldOrphan: rows of hired_employees"), orphaned
    everything = {"tables": ["departments", "jobs", "hired_employees"]}
    rehearsed = invoke(world, restore, everything | {"dry_run": True})
    assert world.rows("SELECT COUNT(*) FROM hired_employees") == [(0,)]
    restored = invoke(world, restore, everything)
    assert restored["restored"] == rehearsed["restored"]
    assert world.rows("SELECT * FROM hired_employees") == before
    assert world.rows("SELECT COUNT(*) FROM jobs") == [(1,)]


def test_the_schedule_asks_for_all_tables_and_hands_over_what_stays(world: World) -> None:
    assert world.stack.emulator
    client = boto3.client("scheduler", **world.stack.emulator.client_options())
    found = [client.get_schedule(Name=schedule["Name"]) for schedule in client.list_schedules()["Schedules"]]
    name = world.stack.environment()["ROWFERRY_BACKUP_FUNCTION"]
    (schedule,) = [schedule for schedule in found if schedule["Target"]["Arn"].endswith(f":{name}")]
    assert schedule["ScheduleExpression"] == "cron(30 3 * * ? *)"
    asked = json.loads(schedule["Target"]["Input"])
    assert asked == {"keep": 7, "keep_days": 30}
    done = invoke(world, name, asked)
    assert [backup["table"] for backup in done["backups"]] == ["departments", "jobs", "hired_employees"]
    client.close()
