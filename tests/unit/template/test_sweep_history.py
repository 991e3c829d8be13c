"""The sweep's executions against Step Functions' bound: 25,000 events in the history of one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rowferry.steps.sweep import AT_ONCE

MACHINE = json.loads((Path(__file__).parents[3] / "statemachine/sweep.asl.json").read_text())
EVENTS = 25_000
State = Mapping[str, Any]


def tries(state: State) -> int:
    """The most that the state is tried: each retrier counts for itself."""
    return 1 + sum(int(retrier.get("MaxAttempts", 3)) for retrier in state.get("Retry", ()))


def most_events(state: State) -> int:
    """Entered and exited; for each try of a task scheduled, started, submitted, and how it ended."""
    return 2 + (4 * tries(state) if state["Type"] == "Task" else 0)


def most_events_of_map(state: State, items: int) -> int:
    """Started and succeeded, for the Map and for each iteration."""
    within = sum(map(most_events, state["ItemProcessor"]["States"].values()))
    return most_events(state) + 2 + items * (2 + within)


def pages() -> int:
    """After so many pages the machine goes on in a new execution."""
    (at,) = [choice for choice in MACHINE["States"]["More?"]["Choices"] if choice["Next"] == "Go on in a new execution"]
    (bound,) = [part["NumericGreaterThanEquals"] for part in at["And"] if part["Variable"] == "$.page"]
    return int(bound)


def test_no_execution_grows_beyond_its_history_even_where_each_start_is_tried_again() -> None:
    states = MACHINE["States"]
    on_each_page = ("Look", "Found?", "Start each", "More?")
    page = sum(
        most_events_of_map(states[name], AT_ONCE) if states[name]["Type"] == "Map" else most_events(states[name])
        for name in on_each_page
    )
    once = 2 + sum(most_events(state) for name, state in states.items() if name not in on_each_page)
    assert once + pages() * page < EVENTS


def test_fifty_thousand_uploads_take_no_more_than_so_many_executions() -> None:
    assert 50_000 / (pages() * AT_ONCE) <= 100
    go_on = MACHINE["States"]["Go on in a new execution"]
    assert go_on["Parameters"]["StateMachineArn.$"] == "$$.StateMachine.Id"
    assert set(go_on["Parameters"]["Input"]) == {"older_than_minutes.$", "after.$"}
