"""`make invoke`: each function of the built template with its event from events/, in a container and without one."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.deploy import BUILD
from local.emulator import ROOT
from tests.support.container_engine import engine
from tests.support.stack_client import World

TOLD = {
    "docker": "by `sam local invoke {}`, in a container",
    "rie": "WITHOUT DOCKER: {} as built, under the runtime interface emulator",
}


class Invoke:
    """Calls functions by make, in one of both ways."""

    def __init__(self, world: World, way: str, env: dict[str, str]) -> None:
        self.way = way
        self.called = set[str]()
        self._env = os.environ | env | {"ROWFERRY_STATE": str(world.stack.folder)}

    def __call__(self, function: str, *arguments: str) -> Any:
        done = self.make(function, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        self.called.add(function)
        return json.loads(done.stdout)

    def make(self, function: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["make", "--silent", "invoke", f"FN={function}", f"WITH={self.way}", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._env, capture_output=True, text=True, check=False)
        if not done.returncode:
            assert TOLD[self.way].format(function) in done.stderr
        return done


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with engine(tmp_path_factory.mktemp("engine")) as env:
        yield env


@pytest.fixture(params=TOLD)
def invoke(world: World, request: pytest.FixtureRequest) -> Invoke:
    env = request.getfixturevalue("docker") if request.param == "docker" else {}
    return Invoke(world, request.param, env)


def test_every_function_does_its_part_of_a_files_way(invoke: Invoke, world: World) -> None:
    planned = invoke("PlanFunction")
    assert (planned["outcome"], planned["records"], planned["batches"]) == ("planned", 12, 1)
    validated = invoke("ValidateFunction")
    assert validated == {"outcome": "validated", "batch": 0, "read": 12, "valid": 12, "rejected": 0}
    assert invoke("ReconcileFunction") == {"outcome": "load", "reason": None, "seconds": 0, "code": None}
    assert invoke("TurnFunction")["outcome"] == "go"
    assert invoke("LoadFunction")["inserted"] == 12
    report = invoke("SummariseFunction")["report"]
    assert (report["run"], report["status"], report["inserted"]) == (planned["run"], "done", 12)
    assert world.rows("SELECT COUNT(*) FROM departments") == [(12,)]
    assert invoke("FailFunction")["outcome"] == "failed"
    assert invoke("SweepFunction")["events"] == []
    backed_up = {backup["table"]: backup["rows"] for backup in invoke("BackupFunction")["backups"]}
    assert backed_up == {"departments": 12, "jobs": 0, "hired_employees": 0}
    rehearsed = invoke("RestoreFunction")
    assert (rehearsed["outcome"], rehearsed["dry_run"]) == ("done", True)
    assert [table["unchanged"] for table in rehearsed["restored"]] == [12, 0, 0]
    assert invoke("BootstrapFunction") == {"outcome": "done", "reason": ""}
    assert invoke("CredentialsFunction") == {"outcome": "done", "reason": ""}
    assert json.loads(invoke("ApiFunction")["body"]) == {"status": "alive"}

    template = yaml.safe_load((BUILD / "build/template.yaml").read_text())
    resources = template["Resources"].items()
    assert invoke.called == {name for name, found in resources if found["Type"] == "AWS::Serverless::Function"}


def test_a_step_may_be_repeated_and_a_failed_run_taken_up_again(world: World, tmp_path: Path) -> None:
    invoke = Invoke(world, "rie", {})
    run = invoke("PlanFunction")["run"]
    assert invoke("PlanFunction")["run"] == run
    invoke("FailFunction")
    assert world.rows("SELECT status FROM rowferry_runs") == [("failed",)]
    assert invoke("PlanFunction")["run"] == run
    assert world.rows("SELECT status FROM rowferry_runs") == [("running",)]
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"run": "0" * 32}))
    assert invoke("TurnFunction", f"EVENT={own}")["reason"] == f"NotFound: there is no run {'0' * 32}"


def test_what_can_not_be_called_is_said(world: World) -> None:
    invoke = Invoke(world, "rie", {})
    assert invoke("PlanFunction", "EVENT=events/plan.json")["outcome"] == "ignored", "its bucket is not this stack's"
    first = invoke.make("LoadFunction")
    assert first.returncode
    assert "begin by: make invoke FN=PlanFunction" in first.stderr
    wrong = invoke.make("LoadFuncton")
    assert wrong.returncode
    assert "FN is one of ApiFunction, BackupFunction, BootstrapFunction, CredentialsFunction" in wrong.stderr
    nowhere = invoke.make("TurnFunction", "EVENT=nowhere.json")
    assert nowhere.returncode
    assert "nowhere.json is no event" in nowhere.stderr
