"""Runs that people give up or start again, and what is kept of each attempt."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
import pytest

from rowferry import ledger
from rowferry.config import Settings
from rowferry.errors import Busy, Contention
from rowferry.ledger import Ended, RunAbandoned, TurnBlocked
from rowferry.steps import sweep
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN
from tests.support.stopped_runs import Stopped, found, loaded, other

RUNNING = (Path(__file__).parents[3] / "docs/running.md").read_text()
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
LASTING = "DatabaseError: a right is missing"


# --- given up --------------------------------------------------------------------------------------------------------


Way = Callable[[Connection, str], None]


def abandon_by_sql(conn: Connection, id: str) -> None:
    """As docs/running.md says for where the API is out of reach."""
    (block,) = re.findall(r"^```sql\n(.*?)^```", RUNNING, re.MULTILINE | re.DOTALL)
    for statement in block.replace("THE_RUN", id).split(";\n"):
        if statement.strip():
            mysql.run(conn, statement)


@pytest.mark.parametrize("way", [ledger.abandon, abandon_by_sql])
def test_a_run_that_is_given_up_is_in_nobodys_way_any_more(pipeline: Pipeline, conn: Connection, way: Way) -> None:
    first = Stopped(pipeline, conn)
    first.fail()
    late = other(pipeline)
    with pytest.raises(TurnBlocked):
        pipeline.take_turn(late)
    with pytest.raises(Busy):
        ledger.take_tables(conn, ["departments"])
    way(conn, first.run)
    assert pipeline.take_turn(late) == "go"
    assert loaded(pipeline, late) == "done"
    ledger.take_tables(conn, ["departments"])
    run = ledger.progress(conn, first.run)
    assert (run.run.status, run.batches_done, run.totals.inserted) == ("abandoned", 1, 1_000)
    assert "1 of its 2 batches are in the table, with 1000 rows" in str(run.run.reason)
    assert found(pipeline, conn) == [], "the sweep leaves it alone"
    assert pipeline.plan(first.uploaded, "arn:once-more").outcome == "duplicate"
    with pytest.raises(Ended, match="upload the file again"):
        ledger.retry(conn, first.run)


def test_the_upload_of_a_run_that_was_given_up_stays_where_it_is_and_a_new_upload_is_a_new_run(
    pipeline: Pipeline, conn: Connection
) -> None:
    first = Stopped(pipeline, conn)
    ledger.abandon(conn, first.run)
    assert list(pipeline.bucket.keys("raw/")) == [first.uploaded.key]
    body = pipeline.bucket.read_all(first.uploaded.key)
    report = pipeline.migrate(first.uploaded.key, body)
    assert (report["status"], report["inserted"], report["unchanged"]) == ("done", 500, 1_000)


def test_no_step_of_a_run_that_was_given_up_does_anything(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    assert pipeline.turn(first.run)
    ledger.abandon(conn, first.run, "wrong file")
    words = r"departments-first\.csv was given up.*abandoned: wrong file; 1 of its 2 batches are in the table"
    steps: dict[str, Callable[[], object]] = {
        "Validate": lambda: ledger.renew(conn, ledger.read(conn, first.run), "Validate"),
        "Reconcile": lambda: pipeline.reconcile(first.run),
        "Turn": lambda: pipeline.take_turn(first.run),
        "Load": lambda: pipeline.load_batch(first.run, pipeline.batches(first.run)[1]),
        "Summarise": lambda: pipeline.summarise(first.run),
    }
    for step in steps.values():
        with pytest.raises(RunAbandoned, match=words):
            step()
    first.fail()
    run = ledger.read(conn, first.run)
    assert (run.status, len(pipeline.table("departments"))) == ("abandoned", 1_000)
    assert list(pipeline.bucket.keys("raw/")) == [first.uploaded.key]


def test_a_batch_that_is_just_being_written_counts_and_none_commits_later(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn, batches_loaded=0)
    run = ledger.read(conn, first.run)
    with mysql.session(pipeline.settings) as writing:
        mysql.run(writing, "BEGIN")
        assert ledger.open_batch(writing, first.run, 0, 1_000)
        ledger.check_turn(writing, run)
        mysql.run(conn, "SET SESSION innodb_lock_wait_timeout = 1")
        with pytest.raises(Contention):
            ledger.abandon(conn, first.run)
        mysql.run(writing, "COMMIT")
        ledger.abandon(conn, first.run)
        mysql.run(writing, "BEGIN")
        assert ledger.open_batch(writing, first.run, 1, 500)
        with pytest.raises(RunAbandoned):
            ledger.check_turn(writing, run)
        mysql.run(writing, "ROLLBACK")
    assert "1 of its 2 batches" in str(ledger.read(conn, first.run).reason)


def test_a_run_that_has_ended_or_is_about_to_can_not_be_given_up(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    pipeline.load(first.run)
    ledger.renew(conn, ledger.read(conn, first.run), "Summarise")
    with pytest.raises(Busy, match="about to end"):
        ledger.abandon(conn, first.run)
    pipeline.summarise(first.run)
    for act in (ledger.abandon, ledger.retry):
        with pytest.raises(Ended, match="done"):
            act(conn, first.run)


class SlowBucket(Bucket):
    """Ten minutes pass while each object is written in parts."""

    def __init__(self, bucket: Bucket, conn: Connection) -> None:
        super().__init__(bucket.name, bucket._client)
        self._conn = conn

    def write_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        mysql.run(self._conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6)")
        super().write_stream(key, blocks)
        with pytest.raises(Busy, match="about to end"):
            ledger.abandon(self._conn, ledger.newest(self._conn, 1)[0].run.id)


def test_a_run_that_merges_its_rejects_for_longer_than_a_lease_lasts_is_not_taken_for_dead(
    pipeline: Pipeline, conn: Connection
) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\nx,B\n")).run
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    pipeline.load(id)
    pipeline.bucket = SlowBucket(pipeline.bucket, conn)
    assert pipeline.summarise(id)["rejected"] == 1
    assert pipeline.read(id).status == "done"


def test_children_do_not_wait_for_a_parents_file_that_was_given_up(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    first.fail()
    ledger.abandon(conn, first.run)
    child = pipeline.plan(pipeline.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")).run
    pipeline.validate(child)
    assert pipeline.reconcile(child) == "withhold"


# --- started again ---------------------------------------------------------------------------------------------------


def test_a_run_that_failed_for_good_is_started_again_where_somebody_asks(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    ledger.fail(conn, "arn:first", LASTING, lasting=True)
    assert found(pipeline, conn) == []
    ledger.retry(conn, first.run)
    ledger.retry(conn, first.run)
    assert found(pipeline, conn) == [first.uploaded.key]
    assert first.start_again() == "go"
    assert found(pipeline, conn) == [], "once for each time that somebody asked"
    with pytest.raises(Busy, match="is under way"):
        ledger.retry(conn, first.run)
    assert loaded(pipeline, first.run) == "done"


def test_who_asks_has_a_run_started_that_the_sweep_has_left_to_people(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    first.fail()
    mysql.run(conn, "UPDATE rowferry_runs SET starts = %s", (sweep.MAX_STARTS,))
    assert found(pipeline, conn) == []
    ledger.retry(conn, first.run)
    assert found(pipeline, conn) == [first.uploaded.key]


# --- what is kept of each attempt ------------------------------------------------------------------------------------


def attempts(conn: Connection, id: str) -> list[tuple[str, str, str | None, bool]]:
    kept = ledger.progress(conn, id).attempts
    return [(one.execution, one.status, one.reason, one.ended_at is not None) for one in kept]


def test_why_each_attempt_failed_is_kept_when_the_run_is_started_again(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    ledger.note(conn, ledger.read(conn, first.run), "batch 1: ValidatorUnavailable: HTTP 502")
    ledger.fail(conn, "arn:first", "States.Timeout: for an hour", lasting=False)
    one = ("arn:first", "failed", "batch 1: ValidatorUnavailable: HTTP 502; States.Timeout: for an hour", True)
    assert attempts(conn, first.run) == [one]
    assert first.start_again("arn:second") == "go"
    assert attempts(conn, first.run) == [one, ("arn:second", "running", None, False)]
    first.fall_silent(minutes=20)
    assert first.start_again("arn:third") == "go"
    two = ("arn:second", "failed", "its execution ended or fell silent without a word", True)
    assert loaded(pipeline, first.run) == "done"
    assert attempts(conn, first.run) == [one, two, ("arn:third", "done", None, True)]


def test_an_execution_that_is_redriven_is_another_attempt_and_a_step_that_is_repeated_is_none(
    pipeline: Pipeline, conn: Connection
) -> None:
    first = Stopped(pipeline, conn)
    first.fail()
    assert first.start_again("arn:first") == "go"
    assert first.start_again("arn:first") == "go"
    assert [one[:2] for one in attempts(conn, first.run)] == [("arn:first", "failed"), ("arn:first", "running")]


def test_an_attempt_of_a_release_that_kept_none_is_kept_when_the_run_is_taken_over(
    pipeline: Pipeline, conn: Connection
) -> None:
    first = Stopped(pipeline, conn)
    ledger.fail(conn, "arn:first", LASTING, lasting=True)
    mysql.run(conn, "DELETE FROM rowferry_attempts")
    first.start_again("arn:second")
    assert [one[:3] for one in attempts(conn, first.run)] == [
        ("arn:first", "failed", LASTING),
        ("arn:second", "running", None),
    ]


# --- over HTTP -------------------------------------------------------------------------------------------------------


def test_over_http(pipeline: Pipeline, conn: Connection, settings: Settings, api: str) -> None:
    first = Stopped(pipeline, conn)
    url = f"{api}/runs/{first.run}"
    assert httpx.post(f"{url}/abandon").status_code == 401
    assert httpx.post(f"{url}/retry").status_code == 401
    assert httpx.post(f"{api}/runs/{'0' * 32}/retry", headers=HEADERS).status_code == 404
    assert httpx.post(f"{url}/retry", headers=HEADERS).status_code == 409, "it is under way"
    ledger.fail(conn, "arn:first", LASTING, lasting=True)
    asked = httpx.post(f"{url}/retry", headers=HEADERS)
    assert asked.status_code == 202
    assert asked.json()["execution_arn"] is None
    assert asked.json()["detail"].startswith("the next sweep starts the run, within the hour")
    assert found(pipeline, conn) == [first.uploaded.key]
    given_up = httpx.post(f"{url}/abandon", params={"reason": "wrong file"}, headers=HEADERS)
    assert given_up.status_code == 200
    for answer in (given_up.json(), httpx.get(url, headers=HEADERS).json()):
        assert (answer["status"], answer["batches_done"], answer["inserted"]) == ("abandoned", 1, 1_000)
        assert answer["reason"].startswith("abandoned: wrong file; 1 of its 2 batches")
        assert [(one["execution_arn"], one["status"]) for one in answer["attempts"]] == [("arn:first", "failed")]
    assert found(pipeline, conn) == []
    assert httpx.post(f"{url}/abandon", headers=HEADERS).json()["reason"] == given_up.json()["reason"]
