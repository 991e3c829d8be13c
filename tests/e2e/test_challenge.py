"""The user's own files, through the deployed template."""

import csv
import io
import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack_client import World, counts

FILES = Path(__file__).parents[3] / "shared/data/challenge"

if not FILES.exists():
    pytest.skip("the challenge's files (shared/data/challenge) are not on this machine", allow_module_level=True)


def given(name: str) -> list[list[str]]:
    with (FILES / f"{name}.csv").open(newline="") as fp:
        return list(csv.reader(fp))


def expected_employees() -> list[tuple[Any, ...]]:
    return [
        (int(i), name, datetime.fromisoformat(at).replace(tzinfo=None), int(department), int(job))
        for i, name, at, department, job in (row for row in given("hired_employees") if all(row))
    ]


def check_all_arrived(world: World, report: dict[str, Any]) -> None:
    for table in ("departments", "jobs"):
        assert world.rows(f"SELECT id, name FROM {table} ORDER BY id") == [(int(i), n) for i, n in given(table)]
    assert world.rows("SELECT * FROM hired_employees ORDER BY id") == expected_employees()
    rows = given("hired_employees")
    bad = [(line, row) for line, row in enumerate(rows, 1) if not all(row)]
    assert counts(report) == (len(rows), len(rows) - len(bad), 0, 0, len(bad))
    names = ["id", "name", "datetime", "department_id", "job_id"]
    assert [
        ([reject[name] for name in names], reject["_line"], reject["_codes"], reject["_message"])
        for reject in world.rejects(report)
    ] == [
        (
            row,
            str(line),
            "missing",
            f"line {line}: " + "; ".join(f"{n} is empty" for n, v in zip(names, row, strict=True) if not v),
        )
        for line, row in bad
    ]
    assert report["moved_to"] == "processed/hired_employees.csv"
    for name in ("departments", "jobs", "hired_employees"):
        assert world.read(f"processed/{name}.csv") == (FILES / f"{name}.csv").read_bytes()
    assert world.keys("raw/") == []


def test_all_three_uploaded_at_once_the_child_first(world: World) -> None:
    versions = [
        world.upload(f"raw/{name}.csv", FILES / f"{name}.csv") for name in ("hired_employees", "departments", "jobs")
    ]
    reports = [world.report(version) for version in versions]
    assert [report["status"] for report in reports] == ["done"] * 3
    check_all_arrived(world, reports[0])


def test_the_parents_come_45_seconds_after_the_child(world: World) -> None:
    version = world.upload("raw/hired_employees.csv", FILES / "hired_employees.csv")
    time.sleep(45)
    assert world.rows("SELECT COUNT(*) FROM hired_employees") == [(0,)]
    for name in ("departments", "jobs"):
        world.migrate(f"raw/{name}.csv", FILES / f"{name}.csv")
    check_all_arrived(world, world.report(version))


@pytest.fixture
def loaded(world: World) -> World:
    for name in ("departments", "jobs"):
        world.migrate(f"raw/{name}.csv", FILES / f"{name}.csv")
    world.migrate("raw/hired_employees.csv", FILES / "hired_employees.csv")
    return world


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_hires_per_quarter_agree_with_a_count_made_from_the_files(loaded: World, method: str) -> None:
    departments, jobs = dict(given("departments")), dict(given("jobs"))
    quarters: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for _, _, at, department, job in (row for row in given("hired_employees") if all(row)):
        if at[:4] == "2021":
            quarters[departments[department], jobs[job]][(int(at[5:7]) - 1) // 3] += 1
    answer = loaded.api.request(method, "/employees_hired_per_quarter")
    assert answer.status_code == 200
    found = [(row["department"], row["job"], [row[f"q{q}"] for q in range(1, 5)]) for row in answer.json()]
    alphabetical = sorted(quarters.items(), key=lambda item: [name.casefold() for name in item[0]])
    assert found == [(*names, counted) for names, counted in alphabetical]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_departments_above_the_mean_agree_with_a_count_made_from_the_files(loaded: World, method: str) -> None:
    hired = Counter(int(row[3]) for row in given("hired_employees") if all(row) and row[2][:4] == "2021")
    departments = {int(i): name for i, name in given("departments")}
    mean = sum(hired.values()) / len(departments)
    expected = [
        (i, departments[i], n) for i, n in sorted(hired.items(), key=lambda item: (-item[1], item[0])) if n > mean
    ]
    answer = loaded.api.request(method, "/departments_above_mean_hires?year=2021")
    assert [(row["id"], row["department"], row["hired"]) for row in answer.json()] == expected
    assert 0 < len(expected) < len(departments)


def test_the_reject_file_with_its_blanks_filled_brings_the_rest_and_nothing_twice(loaded: World) -> None:
    version = loaded.rows("SELECT version_id FROM rowferry_runs WHERE table_name = 'hired_employees'")[0][0]
    report = loaded.report(version)
    rejects = loaded.rejects(report)
    text = io.StringIO()
    writer = csv.DictWriter(text, rejects[0].keys())
    writer.writeheader()
    filling = {"name": "Somebody", "datetime": "2021-06-01T12:00:00Z", "department_id": "1", "job_id": "1"}
    for row in rejects:
        writer.writerow({column: value or filling.get(column, "") for column, value in row.items()})
    again = loaded.migrate("raw/hired_employees-corrected.csv", text.getvalue())
    assert counts(again) == (len(rejects), len(rejects), 0, 0, 0)
    assert loaded.rows("SELECT COUNT(*), COUNT(DISTINCT id) FROM hired_employees") == [(1999, 1999)]


def test_the_same_file_again_is_a_new_run_that_changes_nothing(loaded: World) -> None:
    valid = len(expected_employees())
    again = loaded.migrate("raw/hired_employees.csv", FILES / "hired_employees.csv")
    assert counts(again) == (1999, 0, 0, valid, 1999 - valid)
    text = (FILES / "hired_employees.csv").read_text()
    changed = loaded.migrate("raw/hired_employees.csv", text.replace("Harold Vogt", "Harald Vogt", 1))
    assert counts(changed) == (1999, 0, 1, valid - 1, 1999 - valid)
    assert loaded.rows("SELECT COUNT(*) FROM rowferry_runs WHERE table_name = 'hired_employees'") == [(3,)]


def test_the_same_event_delivered_twice_is_one_run(world: World) -> None:
    body = FILES / "departments.csv"
    version = world.upload("raw/departments.csv", body)
    etag = world.s3.list_object_versions(Bucket=world.bucket, Prefix="raw/departments.csv")["Versions"][0]["ETag"]
    during = world.start(world.event("raw/departments.csv", etag.strip('"')))
    world.report(version)
    after = world.start(world.event("raw/departments.csv", etag.strip('"')))
    outcomes = sorted(end["output"].get("outcome", "done") for end in (during, after))
    assert (during["status"], after["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert outcomes in (["duplicate", "duplicate"], ["done", "duplicate"])  # the second start may have come first
    assert world.rows("SELECT COUNT(*) FROM rowferry_runs") == [(1,)]
    assert world.rows("SELECT SUM(inserted) FROM rowferry_batches") == [(12,)]
