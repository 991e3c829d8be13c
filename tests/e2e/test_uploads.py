"""What only the deployed parts show: names as events carry them, checks, refusals, and the executions' outputs."""

import json

import pytest

from tests.support.stack_client import World, counts


@pytest.mark.parametrize("name", ["departments/with space+plus 100% Zürich.csv", "departments-%2F.csv"])
def test_an_odd_name_goes_all_the_way(world: World, name: str) -> None:
    report = world.migrate(f"raw/{name}", "1,A\n2,\n")
    assert counts(report) == (2, 1, 0, 0, 1)
    assert world.read(f"processed/{name}") == b"1,A\n2,\n"
    assert world.rejects(report)[0]["_message"] == "line 2: name is empty"


def test_a_check_reports_and_writes_no_row(world: World) -> None:
    report = world.migrate("check/departments.csv", "1,A\n2,\n")
    assert (report["status"], report["would_insert"], report["withheld"], report["rejected"]) == ("checked", 1, 1, 1)
    assert world.rows("SELECT * FROM departments") == []
    assert "check/departments.csv" in world.keys("check/")


def test_a_refused_file_is_an_execution_that_succeeds_and_says_why(world: World) -> None:
    report = world.migrate("raw/departments.csv", "id,title\n1,A\n")
    assert report["status"] == "refused"
    reason = json.loads(world.read(report["moved_to"].replace("departments.csv", "reason.json")))
    assert (reason["code"], reason["upload_again"]) == ("header", "file")
    end = world.end_of(report["execution_arn"])
    assert (end["status"], end["output"]) == ("SUCCEEDED", report)


def test_an_event_that_makes_no_sense_fails_its_execution_at_once(world: World) -> None:
    end = world.start({"detail": {"object": {"key": "raw/departments.csv"}}})
    assert end["status"] == "FAILED"
    assert world.rows("SELECT * FROM rowferry_runs") == []
