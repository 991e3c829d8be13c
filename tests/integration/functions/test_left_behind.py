"""An execution that was silent for so long that another one took its run over, and that goes on afterwards."""

import dataclasses
from typing import Any

import pytest

from rowferry import ledger
from rowferry.ledger import Run, TakenOver
from rowferry.steps.plan import Uploaded
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.functions import Functions
from tests.support.pipeline import Pipeline

OLD, NEW = "arn:old", "arn:new"


@pytest.fixture
def uploaded(pipeline: Pipeline) -> Uploaded:
    return pipeline.upload("raw/departments.csv", "1,A\n2,\n")


@pytest.fixture
def before(pipeline: Pipeline, conn: Connection, uploaded: Uploaded) -> Run:
    """The run as the old execution has read it, before the new one took it over."""
    id = pipeline.plan(uploaded, OLD).run
    pipeline.validate(id)
    run = pipeline.read(id)
    mysql.run(conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
    assert pipeline.plan(uploaded, NEW).outcome == "planned"
    return run


def row(conn: Connection) -> dict[str, Any]:
    (found,) = mysql.rows(
        conn, "SELECT execution, status, stage, reason, lasting, lease_until, turn FROM rowferry_runs"
    )
    return dict(found)


@pytest.mark.parametrize("step", ["validate", "reconcile", "turn", "load", "summarise"])
def test_its_steps_end_and_leave_the_run_of_its_successor_as_it_is(
    functions: Functions, conn: Connection, before: Run, step: str
) -> None:
    functions.run = before.id
    now = row(conn)
    answer = functions.call(step, execution=OLD)
    assert answer["outcome"] == "failed"
    assert answer["reason"].startswith("TakenOver: the run of raw/departments.csv has been taken over by another")
    assert row(conn) == now
    assert functions.pipeline.table("departments") == []


def test_its_failure_is_nobodys(functions: Functions, conn: Connection, before: Run) -> None:
    now = row(conn)
    functions.call("fail", execution=OLD)
    assert row(conn) == now
    functions.call("fail", execution=NEW)
    assert row(conn)["status"] == "failed"


def test_a_child_of_it_that_fails_for_good_says_nothing_on_the_run(
    functions: Functions, conn: Connection, before: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the API of another release refuses a chunk of the old one's."""
    functions.run = before.id
    monkeypatch.setenv("API_URL", f"{functions.pipeline.settings.api_url}/no-such-route")
    assert functions.call("validate", execution=OLD)["outcome"] == "failed"
    assert (row(conn)["reason"], row(conn)["lasting"]) == (None, 0)
    refused = functions.call("validate", execution=NEW)
    assert refused["reason"] == "ValidatorRefuses: the validator API refuses a chunk: HTTP 404"
    assert (row(conn)["reason"], row(conn)["lasting"]) == (f"batch 0: {refused['reason']}", 1)


def test_what_it_read_before_it_was_left_behind_renews_and_notes_nothing_after(conn: Connection, before: Run) -> None:
    now = row(conn)
    with pytest.raises(TakenOver):
        ledger.renew(conn, before, "Load")
    ledger.note(conn, before, "batch 0: something that lasts", lasting=True)
    assert row(conn) == now
    ledger.renew(conn, dataclasses.replace(before, execution=NEW), "Load")
    assert row(conn)["stage"] == "Load"


def test_the_successor_ends_the_run_as_if_nothing_had_been(functions: Functions, conn: Connection, before: Run) -> None:
    functions.run = before.id
    batch = dataclasses.asdict(functions.pipeline.batches(before.id)[0])
    for step in ("validate", "reconcile", "turn", "load"):
        assert functions.call(step, execution=OLD, batch=batch)["outcome"] == "failed"
        assert functions.call(step, execution=NEW, batch=batch)["outcome"] != "failed"
    report = functions.call("summarise", execution=NEW)["report"]
    assert (report["status"], report["inserted"], report["rejected"]) == ("done", 1, 1)


def test_an_execution_of_a_release_whose_events_did_not_name_it_goes_on(functions: Functions, before: Run) -> None:
    functions.run = before.id
    assert functions.call("reconcile", execution=None)["outcome"] == "load"
