"""The state machines under a second interpreter, moto's, which calls errors by their own names."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from moto import mock_aws

from rowferry.config import Settings
from rowferry.steps.sweep import AT_ONCE
from rowferry.storage.s3 import Bucket
from tests.support.functions import functions_environment
from tests.support.interpreter import TRIES, Interpreter, Raised, Refused, Slow
from tests.support.machines import calls, definition
from tests.support.scenarios import SCENARIOS, Stack, counts


@pytest.fixture
def stack(settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    with (
        functions_environment(settings, monkeypatch),
        mock_aws(config={"stepfunctions": {"execute_state_machine": True}}),
    ):
        interpreter = Interpreter(settings)
        with interpreter.served() as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
            yield interpreter
            for arn in interpreter.executions:  # none may go on when the next test empties its tables
                interpreter.end_of(arn)
        assert interpreter.unexpected == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_ends_as_on_the_emulator(stack: Interpreter, scenario: Callable[[Stack], None]) -> None:
    scenario(stack)


PASSING = [error for retry in definition("migrate")["States"]["Plan"]["Retry"][:2] for error in retry["ErrorEquals"]]
"""What passes by itself, and how Step Functions calls a function that was cut off."""
STEPS = ("Plan", "Validate", "Reconcile", "Turn", "Load", "Summarise")


def test_each_error_that_passes_is_tried_again_by_its_own_name_in_each_step(stack: Interpreter) -> None:
    """No step meets all of them, and each of them is met: what was tried again is called once more.

    Without the last retrier, which would try any error again.
    """
    machine = definition("migrate", stack.bucket)
    for call in calls(machine).values():
        assert call["Retry"].pop()["ErrorEquals"] == ["States.ALL"]
    stack.replace("migrate", machine)
    errors = [error for error in PASSING if error != "States.Timeout"]
    for place, error in enumerate(errors):
        stack.faults[f"{STEPS[place % len(STEPS)]}Function"].append(fault(error))
    versions = [stack.upload(f"raw/departments-{n}.csv", f"{n}1,A\n{n}2,B\n") for n in (1, 2, 3)]
    for version in versions:  # side by side, which takes a third of the time
        assert counts(stack.report(version)) == (2, 2, 0, 0, 0)
    assert len(stack.calls) == len(versions) * len(STEPS) + len(errors), "each error cost one call more"


def fault(error: str) -> Exception:
    """`Lambda.` stands before what the service answers instead of calling the function."""
    service, _, name = error.rpartition(".")
    return Refused(name) if service == "Lambda" and name != "Unknown" else Raised(error)


def test_an_error_that_nobody_knows_is_tried_three_times_and_what_passes_for_longer(stack: Interpreter) -> None:
    """Here once and three times: TRIES."""
    for error, tries in (("KeyError", TRIES["third"]), ("Contention", TRIES["first"])):
        stack.calls.clear()
        stack.faults["TurnFunction"].extend([Raised(error)] * (tries + 1))
        version = stack.upload(f"raw/departments-{error}.csv", "1,A\n")
        assert stack.failure(version).startswith(f"{error}: ")
        assert [name for name, _ in stack.calls].count("TurnFunction") == tries + 1


@pytest.mark.parametrize("step", ["Reconcile", "Turn", "Summarise"])
def test_a_step_that_fails_again_and_again_is_caught_and_recorded(stack: Interpreter, step: str) -> None:
    stack.faults[f"{step}Function"].extend([Raised("StorageUnavailable")] * (TRIES["first"] + 1))
    version = stack.upload("raw/departments.csv", "1,A\n")
    assert stack.failure(version).startswith('StorageUnavailable: {"errorType"')
    assert stack.end_of(stack.executions[0])["status"] == "FAILED"
    assert stack.rows("SELECT lasting FROM rowferry_runs") == [(0,)]


@pytest.mark.parametrize("step", ["Validate", "Load"])
def test_a_batch_that_fails_again_and_again_fails_its_run(stack: Interpreter, step: str) -> None:
    """moto ends a Map well whose children all failed, so a later step finds it: on AWS the Map's own Catch does."""
    stack.faults[f"{step}Function"].extend([Raised("StorageUnavailable")] * (TRIES["first"] + 1))
    version = stack.upload("raw/departments.csv", "1,A\n")
    assert stack.failure(version)
    assert stack.rows("SELECT COUNT(*) FROM departments") == [(0,)]


@pytest.mark.parametrize("step", ["Validate all batches", "Load all batches"])
def test_a_map_that_cannot_read_its_manifest_is_caught_and_recorded(stack: Interpreter, step: str) -> None:
    """The one way in which moto fails a Map."""
    machine = definition("migrate", stack.bucket)
    machine["States"][step]["ItemReader"]["Parameters"]["Bucket"] = "no-such-bucket"
    stack.replace("migrate", machine)
    version = stack.upload("raw/departments.csv", "1,A\n")
    assert "NoSuchBucket" in stack.failure(version)
    assert stack.end_of(stack.executions[0])["status"] == "FAILED"
    assert stack.rows("SELECT lasting FROM rowferry_runs") == [(0,)]


def test_a_failure_that_cannot_be_recorded_ends_the_execution_all_the_same(stack: Interpreter) -> None:
    stack.faults["TurnFunction"].extend([Raised("KeyError")] * (TRIES["third"] + 1))
    stack.faults["FailFunction"].extend([Raised("DatabaseUnavailable")] * (TRIES["first"] + 1))
    stack.upload("raw/departments.csv", "1,A\n")
    assert stack.end_of(stack.executions[0])["status"] == "FAILED"
    assert stack.rows("SELECT status, stage FROM rowferry_runs") == [("running", "Reconcile")], "its lease runs out"


def test_a_call_that_takes_too_long_is_tried_again(stack: Interpreter) -> None:
    machine = definition("migrate", stack.bucket)
    machine["States"]["Turn"]["TimeoutSeconds"] = 2
    stack.replace("migrate", machine)
    stack.faults["TurnFunction"].append(Slow(3))
    assert stack.migrate("raw/departments.csv", "1,A\n")["inserted"] == 1
    assert stack.history(stack.executions[0]).count("TaskTimedOut") == 1


def test_the_history_has_as_many_events_as_the_bound_reckons_with(stack: Interpreter) -> None:
    stack.faults["TurnFunction"].extend([Raised("Contention")] * 2)
    stack.migrate("raw/departments.csv", "1,A\n")
    arn = stack.executions[0]
    assert stack.end_of(arn)["status"] == "SUCCEEDED"
    kinds = Counter(stack.history(arn))
    assert (kinds["TaskScheduled"], kinds["TaskStarted"], kinds["TaskFailed"]) == (6, 6, 2)
    assert kinds["TaskStateEntered"] == kinds["TaskStateExited"] == 4, "Plan, Reconcile, Turn, Summarise, entered once"


def test_a_sweep_of_several_pages_starts_each_upload_once_and_goes_on_in_a_new_execution(stack: Interpreter) -> None:
    """A new execution after two pages instead of seven; what is started does nothing."""
    stack.replace("migrate", {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    sweep = definition("sweep", stack.bucket)
    sweep["States"]["More?"]["Choices"][0]["And"][1]["NumericGreaterThanEquals"] = 2
    stack.replace("sweep", sweep)
    stack.faults["StartExecution"].append(Refused("TooManyRequestsException"))
    with stack.unannounced():
        keys = [f"raw/departments-{n:03}.csv" for n in range(2 * AT_ONCE + 10)]
        for key in keys:
            stack.upload(key, "1,A\n")
    assert stack.sweep(older_than_minutes=0)["status"] == "SUCCEEDED"
    (second,) = [arn for arn in stack.executions[1:] if ":sweep:" in arn]
    assert stack.end_of(second)["status"] == "SUCCEEDED"
    pages = [event for name, event in stack.calls if name == "SweepFunction"]
    assert [event["page"] for event in pages] == [0, 1, 0]
    assert [event["after"] and event["after"][0] for event in pages] == [None, keys[AT_ONCE - 1], keys[2 * AT_ONCE - 1]]
    inputs = [stack.input(arn) for arn in stack.executions if ":migrate:" in arn]
    assert Counter(given["detail"]["object"]["key"] for given in inputs) == Counter(keys)
