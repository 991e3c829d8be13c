"""What the emulated AWS must do as AWS does, for our Retry lists to mean the same."""

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.emulator import Emulator
from local.processes import wait_until
from tests.support import machines

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    emulator = Emulator.start(Path(tmp_path_factory.mktemp("emulator")))
    yield emulator.client_options()
    emulator.stop()


def throttled_function(options: dict[str, Any]) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handle(event, context):\n    return event\n")
    with closing(boto3.client("lambda", **options)) as client:
        made = client.create_function(
            FunctionName="throttled",
            Runtime=f"python3.{sys.version_info.minor}",
            Role=ROLE,
            Handler="app.handle",
            Code={"ZipFile": code.getvalue()},
        )
        client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    return str(made["FunctionArn"])


def test_a_throttled_call_is_retried_as_long_as_one_without_a_database(
    options: dict[str, Any],
) -> None:
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": throttled_function(options), "Payload": {}},
        "End": True,
    }
    with closing(boto3.client("stepfunctions", **options)) as states:
        definition = json.dumps({"StartAt": "Call", "States": {"Call": call}})
        machine = states.create_state_machine(name="calls", definition=definition, roleArn=ROLE)["stateMachineArn"]
        arn = states.start_execution(stateMachineArn=machine)["executionArn"]
        assert wait_until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", 30)
        error = states.describe_execution(executionArn=arn)["error"]

    for machine in machines.NAMES:
        for name, state in machines.calls(machines.definition(machine)).items():
            tries = next(retry for retry in state["Retry"] if {error, "States.ALL"} & set(retry["ErrorEquals"]))
            assert error in tries["ErrorEquals"] and "DatabaseUnavailable" in tries["ErrorEquals"], name
