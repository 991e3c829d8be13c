"""The command line as people and programs use it: on the local stack, and on one whose API is out of reach."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack_client import World

ROWFERRY = Path(sys.executable).with_name("rowferry")

Call = Callable[..., subprocess.CompletedProcess[str]]


def environment(world: World) -> dict[str, str]:
    return {**os.environ, "ROWFERRY_STATE": str(world.stack.folder), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def calls(env: dict[str, str], more: Sequence[str] = ()) -> Call:
    def call(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(ROWFERRY), *map(str, arguments), *more]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


@pytest.fixture
def here(world: World) -> Call:
    return calls(environment(world))


@pytest.fixture
def deployed(world: World, tmp_path: Path) -> Call:
    """The same stack as one on AWS: found by its outputs, its private API out of reach."""
    env = {**environment(world), **world.stack.environment(), "ROWFERRY_STATE": str(tmp_path / "none")}
    return calls(env, ["--stack", "rowferry"])


@pytest.fixture(params=["here", "deployed"])
def rowferry(request: pytest.FixtureRequest) -> Call:
    found: Call = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def departments(tmp_path: Path) -> Path:
    path = tmp_path / "departments.csv"
    path.write_text("id,name\n1,Sales\n2,\n3,Legal\n", encoding="utf-8")
    return path


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_load_tells_the_account_and_the_rejects_can_be_mended_and_loaded(
    rowferry: Call, departments: Path, tmp_path: Path, world: World
) -> None:
    told = rowferry("load", departments, code=3).stdout
    assert "3 read = 2 inserted + 1 rejected" in told
    assert "line 3: name is empty" in told
    assert "\x1b" not in told, "no colour and no animation off a terminal"
    rejects = rowferry("rejects", "last", "--csv").stdout
    mended = tmp_path / "mended.csv"
    mended.write_text(rejects.replace("2,,", "2,Payroll,"), encoding="utf-8")
    rowferry("load", "--table", "departments", mended)
    assert world.rows("SELECT id, name FROM departments ORDER BY id") == [(1, "Sales"), (2, "Payroll"), (3, "Legal")]


def test_with_json_stdout_is_one_object_a_line(rowferry: Call, departments: Path) -> None:
    (loaded,) = objects(rowferry("load", departments, "--json", code=3))
    assert (loaded["status"], loaded["read"], loaded["inserted"], loaded["rejected"]) == ("done", 3, 2, 1)
    (listed,) = objects(rowferry("runs", "--limit", "1", "--json"))
    (shown,) = objects(rowferry("show", loaded["run"], "--json", code=3))
    assert listed["run"] == shown["run"] == loaded["run"]
    (reject,) = objects(rowferry("rejects", loaded["run"][:8], "--json"))
    assert (reject["line"], reject["codes"]) == (3, ["missing"])
    assert objects(rowferry("rejects", "last", "--by-code", "--json")) == [{"code": "missing", "rows": 1}]


def test_many_files_are_loaded_at_once_and_no_wait_leaves_them(here: Call, tmp_path: Path, world: World) -> None:
    paths = [tmp_path / f"departments-{number}.csv" for number in range(5)]
    for number, path in enumerate(paths, 1):
        path.write_text(f"{number},Name\n", encoding="utf-8")
    left = objects(here("load", "--no-wait", "--json", *paths))
    assert {one["status"] for one in left} == {"uploaded"}
    here("show", "--follow", *(one["run"] for one in left))
    assert world.rows("SELECT COUNT(*) FROM departments") == [(5,)]


def test_a_refused_file_ends_with_4_and_a_dry_run_writes_nothing(
    rowferry: Call, departments: Path, tmp_path: Path, world: World
) -> None:
    bad = tmp_path / "jobs.csv"
    bad.write_text("id,title\n1,Cook\n", encoding="utf-8")
    assert "header" in rowferry("load", bad, code=4).stdout
    assert "nothing was written" in rowferry("load", "--dry-run", departments, code=3).stdout
    assert world.rows("SELECT COUNT(*) FROM departments") == [(0,)]


def test_a_backup_is_restored_after_a_dry_run(rowferry: Call, departments: Path, world: World) -> None:
    rowferry("load", departments, code=3)
    assert "departments: 2 rows" in rowferry("backup", "departments").stdout
    world.execute("UPDATE departments SET name = 'Spoilt'")
    id = objects(rowferry("backups", "departments", "--json"))[0]["id"]
    assert "2 updated" in rowferry("restore", "departments", "--dry-run", "--id", id).stdout
    assert "--yes" in rowferry("restore", "departments", code=2).stderr
    assert world.rows("SELECT COUNT(*) FROM departments WHERE name = 'Spoilt'") == [(2,)]
    rowferry("restore", "departments", "--yes")
    assert world.rows("SELECT COUNT(*) FROM departments WHERE name = 'Spoilt'") == [(0,)]


def test_metrics_are_shown_by_the_api_and_explained_where_it_is_out_of_reach(here: Call, deployed: Call) -> None:
    assert here("hires", "--year", "2021", "--json").stdout == ""
    assert "Session Manager" in deployed("hires", code=1).stderr


@pytest.mark.parametrize("follows", ["load", "show"])
def test_interrupted_the_command_ends_and_the_run_goes_on(
    follows: str, here: Call, tmp_path: Path, world: World
) -> None:
    hires = tmp_path / "hired_employees.csv"
    hires.write_text("1,Ada,2021-01-01T00:00:00Z,1,1\n", encoding="utf-8")  # waits for its parents
    if follows == "load":
        command = [str(ROWFERRY), "load", str(hires)]
    else:
        (uploaded,) = objects(here("load", "--no-wait", "--json", hires))
        command = [str(ROWFERRY), "show", uploaded["run"], "--follow"]
    with subprocess.Popen(
        command, env=environment(world), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdout.readline()  # the run has begun
        child.send_signal(signal.SIGINT)
        told = child.communicate(timeout=60)
    assert (child.returncode, "the runs go on" in told[1]) == (130, True), told
    for table in ("departments", "jobs"):
        parent = tmp_path / f"{table}.csv"
        parent.write_text("1,Name\n", encoding="utf-8")
        here("load", parent)
    ended = world.wait_for("SELECT status FROM rowferry_runs WHERE table_name = 'hired_employees' AND status = 'done'")
    assert ended == [("done",)]


def test_a_reader_that_leaves_a_pipe_breaks_nothing(departments: Path, world: World, here: Call) -> None:
    here("load", departments, code=3)
    piped = f"{ROWFERRY} runs --json | head -c 5"
    done = subprocess.run(["bash", "-c", piped], env=environment(world), capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
