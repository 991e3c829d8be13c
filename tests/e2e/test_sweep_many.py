"""More uploads than one execution of the sweep may start, by the deployed function and the machine's own definition.

What it starts is a machine that does nothing: it is about the starting. ROWFERRY_SWEEP_UPLOADS=5000 takes some minutes.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from local.emulator import ROOT
from rowferry.steps.sweep import AT_ONCE
from tests.support.stack_client import World

UPLOADS = int(os.environ.get("ROWFERRY_SWEEP_UPLOADS", "750"))
PAGES = 7
ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture
def machines(world: World) -> Iterator[tuple[str, str]]:
    """A sweep of the repository's definition, and what it starts."""
    nothing = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    started = world.states.create_state_machine(name="nothing", definition=json.dumps(nothing), roleArn=ROLE)
    assert world.stack.emulator
    cloud = boto3.client("cloudformation", **_options(world))
    found = cloud.describe_stack_resource(StackName="rowferry", LogicalResourceId="SweepFunction")
    function = boto3.client("lambda", **_options(world)).get_function(
        FunctionName=found["StackResourceDetail"]["PhysicalResourceId"]
    )
    definition = (ROOT / "statemachine/sweep.asl.json").read_text()
    for name, value in {
        "SweepFunction": function["Configuration"]["FunctionArn"],
        "Migrate": started["stateMachineArn"],
    }.items():
        definition = definition.replace(f"${{{name}}}", value)
    sweep = world.states.create_state_machine(name="sweep-of-many", definition=definition, roleArn=ROLE)
    yield sweep["stateMachineArn"], started["stateMachineArn"]
    for machine in (sweep, started):
        world.states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])


def _options(world: World) -> dict[str, Any]:
    assert world.stack.emulator
    return world.stack.emulator.client_options()


def executions(world: World, machine: str) -> list[dict[str, Any]]:
    pages = world.states.get_paginator("list_executions").paginate(stateMachineArn=machine)
    return [dict(found) for page in pages for found in page["executions"]]


def test_each_of_many_uploads_is_started_once_by_executions_that_go_on_for_each_other(
    world: World, machines: tuple[str, str]
) -> None:
    sweep, nothing = machines
    with world.unannounced():
        with ThreadPoolExecutor(8) as pool:
            keys = [f"raw/departments-{n:05}.csv" for n in range(UPLOADS)]
            list(pool.map(lambda key: world.upload(key, "1,A\n"), keys))
        world.states.start_execution(stateMachineArn=sweep, input='{"older_than_minutes": 0}')
        deadline = time.monotonic() + 60 + UPLOADS / 5
        expected = -(-UPLOADS // (PAGES * AT_ONCE))
        while (ended := Counter(run["status"] for run in executions(world, sweep))) != {"SUCCEEDED": expected}:
            assert time.monotonic() < deadline, ended
            assert not set(ended) - {"SUCCEEDED", "RUNNING"}, ended
            time.sleep(1)
    started = Counter[str]()
    for execution in executions(world, nothing):
        given = world.states.describe_execution(executionArn=execution["executionArn"])["input"]
        started[json.loads(given)["detail"]["object"]["key"]] += 1
    assert started == Counter(keys)
