"""The state machines' definitions: how long they try again, what they catch, what fits an execution."""

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from rowferry import errors
from rowferry.config import Options
from rowferry.ledger import LEASE_MINUTES, RETRIED_MINUTES, Run, WaitedTooLong, patience
from rowferry.ledger.key_ranges import WAIT_BOUND
from rowferry.steps.parents import PARENT_BOUND
from tests.support.machines import NAMES, calls, definition, states

ROOT = Path(__file__).parents[3]
HISTORY = 25_000
"""Events that Step Functions keeps of one execution; then it ends it."""

PASSING = {
    "ResourceConflictException",  # the function is being updated
    "ResourceNotReadyException",
    "ServiceException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "ENILimitReachedException",
    "ENINotReadyException",
    "SubnetIPAddressLimitReachedException",
}
"""Errors of Lambda's Invoke that pass by themselves; Step Functions writes `Lambda.` before their names."""

FROM_THE_GUIDE = {"AWSLambdaException", "SdkClientException", "ClientExecutionTimeoutException"}
"""Names that Step Functions reports and that no model of the service has."""

NOT_OURS = ("SnapStart", "EFS", "S3Files", "KMS", "CodeArtifact", "Durable", "Runtime", "Invalid", "Recursive")
"""What belongs to features that the template does not use, or to a call that is wrong."""

LASTING = {
    "ResourceNotFoundException",
    "RequestTooLargeException",
    "SerializedRequestEntityTooLargeException",
    "UnsupportedMediaTypeException",
    "EC2AccessDeniedException",
    "ServiceQuotaExceededException",
    "NoPublishedVersionException",
    "ModeNotSupportedException",
}


@pytest.mark.parametrize("name", NAMES)
def test_each_state_has_a_name_of_its_own_in_the_whole_machine(name: str) -> None:
    counted = Counter(name for name, _ in states(definition(name)))
    assert [name for name, count in counted.items() if count > 1] == []


def longest_waits(retry: dict[str, Any]) -> list[float]:
    """The wait before each attempt, where the jitter draws the longest."""
    first, rate, most = retry["IntervalSeconds"], retry["BackoffRate"], retry.get("MaxDelaySeconds", math.inf)
    return [min(first * rate ** min(attempt, 40), most) for attempt in range(retry["MaxAttempts"])]


def odds_of_less_than(seconds: float, waits: list[float]) -> float:
    """An upper bound of the odds that waits drawn evenly between 0 and these add up to less (Chernoff's)."""

    def exponent(t: float) -> float:
        return t * seconds + sum(math.log(-math.expm1(-t * wait) / (t * wait)) for wait in waits)

    return math.exp(min(exponent(step / 1_000) for step in range(1, 300)))


def test_what_passes_is_tried_again_for_an_hour_at_least_whatever_the_jitter_draws() -> None:
    for name, state in calls(definition("migrate")).items():
        later = state["Retry"][0]
        assert later["JitterStrategy"] == "FULL"
        waits = longest_waits(later)
        assert odds_of_less_than(3_600, waits) < 1e-6, name
        assert sum(waits) / 2 <= 90 * 60, "an hour, not a day"
        assert sum(waits) <= RETRIED_MINUTES * 60


def test_each_call_knows_what_passes_what_was_cut_off_and_everything_else() -> None:
    for name in NAMES:
        for state in calls(definition(name)).values():
            later, cut_off, other = state["Retry"]
            ours = {error.__name__ for error in errors.Later.__subclasses__() if error.__module__ == errors.__name__}
            ours -= {"WorkerDied"}  # of backups only
            assert set(later["ErrorEquals"]) >= ours - ({"ValidatorUnavailable"} if name == "sweep" else set())
            assert set(later["ErrorEquals"]) >= {f"Lambda.{error}" for error in PASSING | FROM_THE_GUIDE}
            assert set(cut_off["ErrorEquals"]) == {
                "States.Timeout",
                "Sandbox.Timedout",
                "Runtime.ExitError",
                "Lambda.Unknown",
            }
            assert other["ErrorEquals"] == ["States.ALL"]
            assert other["MaxAttempts"] <= 3


def test_each_error_of_a_call_was_looked_at() -> None:
    model = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    known = {shape.name for shape in model.error_shapes}
    assert known >= PASSING, "a misspelt name would never match"
    rest = {error for error in known - PASSING - LASTING if not error.startswith(NOT_OURS)}
    assert rest == set(), "is it one that passes?"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, whose values are not read."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: None)


def test_a_call_lasts_longer_than_its_function_so_that_the_functions_own_end_is_seen_first() -> None:
    template = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 (a SafeLoader)
    resources = template["Resources"]
    default = template["Globals"]["Function"]["Timeout"]
    for name in NAMES:
        for state in calls(definition(name)).values():
            function = state["Parameters"]["FunctionName"].rpartition(":")[2]
            timeout = resources[function]["Properties"].get("Timeout", default)
            assert isinstance(timeout, int)
            assert state["TimeoutSeconds"] >= timeout + 30, f"{function}: its start takes seconds too"


def test_a_function_that_is_cut_off_again_and_again_is_given_up_after_about_an_hour() -> None:
    for state in calls(definition("migrate")).values():
        cut_off = state["Retry"][1]
        assert 3_600 <= 900 * (1 + cut_off["MaxAttempts"]) <= 90 * 60


def test_each_failure_is_caught_recorded_and_has_its_reason_in_one_place() -> None:
    machine = definition("migrate")
    for name, state in machine["States"].items():
        if state["Type"] in ("Task", "Map"):
            after = "Failed unrecorded" if name == "Record the failure" else "Record the failure"
            assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": after}]


def test_each_step_says_whose_it_is() -> None:
    machine = definition("migrate")
    for name, state in calls(machine).items():
        inside = name in ("Validate a batch", "Load a batch")
        assert state["Parameters"]["Payload"]["execution.$"] == ("$.execution" if inside else "$$.Execution.Id")
    for name in ("Validate all batches", "Load all batches"):
        assert machine["States"][name]["ItemSelector"]["execution.$"] == "$$.Execution.Id", (
            "the parent's, not a child's"
        )


# --- the history of an execution ------------------------------------------------------------------------------------

CALL = 5
"""TaskStateEntered, TaskScheduled, TaskStarted, TaskSucceeded, TaskStateExited."""
FAILED_CALL = 3
"""TaskScheduled, TaskStarted, TaskFailed: what each attempt that is tried again adds."""
OTHER_STATE = 2
"""Entered and exited: a Choice, a Wait, a Pass."""
LOOP = CALL + OTHER_STATE + OTHER_STATE


def test_the_longest_waits_with_their_retries_fit_an_executions_history() -> None:
    """Reconcile waits for parents or for its table, then Turn waits: each bounded by `patience` from the same claim."""
    asked = list(asks())
    assert asked[-1] > PARENT_BOUND.total_seconds()
    assert asked[-1] >= WAIT_BOUND.total_seconds() - LEASE_MINUTES * 60
    waiting = LOOP * len(asked)
    mean = 60 / 2
    retrying = FAILED_CALL * (WAIT_BOUND.total_seconds() / mean + 10 * len(asked))  # the first waits are short ones
    machine = definition("migrate")
    once_each = sum(
        CALL + FAILED_CALL * sum(retry["MaxAttempts"] for retry in state["Retry"])
        if "Retry" in state
        else OTHER_STATE + 3
        for state in machine["States"].values()
    )
    assert waiting + retrying + once_each < HISTORY
    assert waiting + retrying + once_each > HISTORY / 4, "if it were tiny, this would prove nothing about the bound"
    assert most_events(calls(machine)["Load a batch"]) + 2 * OTHER_STATE < HISTORY


def most_events(state: dict[str, Any]) -> int:
    """Of a state that is entered once, if each try that it has fails; a Map starts, runs and ends."""
    if "Retry" not in state:
        return OTHER_STATE + 3
    return CALL + FAILED_CALL * sum(int(retry["MaxAttempts"]) for retry in state["Retry"])


def asks() -> Iterator[float]:
    """Seconds after its claim at which a run that waits as long as it may asks again."""
    claimed = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    run = waiting_since(claimed)
    waited = 0.0
    while True:
        yield waited
        try:
            waited += patience(run, claimed + dt.timedelta(seconds=waited))
        except WaitedTooLong:
            return


def test_a_run_waits_for_a_day_at_most() -> None:
    claimed = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    run = waiting_since(claimed)
    waits = [patience(run, claimed + dt.timedelta(minutes=minutes)) for minutes in (0, 1, 10, 60, 23 * 60)]
    assert waits == [2, 6, 60, 300, 300]
    assert list(accumulate(waits, max)) == waits
    with pytest.raises(WaitedTooLong, match=r"raw/jobs\.csv has waited for 1 day"):
        patience(run, claimed + dt.timedelta(days=1, minutes=1))


def waiting_since(claimed: dt.datetime) -> Run:
    return Run(
        id="0" * 32,
        bucket="a-bucket",
        key="raw/jobs.csv",
        version="1",
        etag="",
        uploaded_at=claimed,
        table="jobs",
        kind="load",
        execution="arn:first",
        status="running",
        stage="Turn",
        reason=None,
        options=Options(),
        dialect=None,
        records=None,
        batches=None,
        manifest=None,
        verdict=None,
        report=None,
        started_at=claimed,
        claimed_at=claimed,
        finished_at=None,
    )
