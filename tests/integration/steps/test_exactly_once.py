"""A step that dies, runs twice or is started again loads nothing twice and loses nothing."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rowferry import ledger
from rowferry.errors import BooksDoNotBalance
from rowferry.steps.load import load_batch
from rowferry.steps.summarise import summarise
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version
from tests.support.pipeline import Pipeline

ROWS = 2_500
COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "withheld")


class Killed(BaseException):
    """As if the process had ended here."""


def dies_after(conn: Connection, statement: str) -> Connection:
    """The connection, which is cut right after the server has carried out a statement that begins so."""
    carry_out = conn.query

    def query(sql: Any, unbuffered: bool = False) -> Any:
        result = carry_out(sql, unbuffered)
        if (sql if isinstance(sql, str) else sql.decode()).lstrip().startswith(statement):
            conn._force_close()  # type: ignore[attr-defined]
            raise Killed(statement)
        return result

    conn.query = query  # type: ignore[method-assign]
    return conn


class DyingBucket(Bucket):
    """Ends the process before or after one kind of call."""

    def __init__(self, bucket: Bucket, dies_before: str = "", dies_after: str = "") -> None:
        super().__init__(bucket.name, bucket._client)
        self._before, self._after = dies_before, dies_after

    def _around(self, name: str, act: Callable[[], None]) -> None:
        if name == self._before:
            raise Killed(name)
        act()
        if name == self._after:
            raise Killed(name)

    def delete(self, version: Version) -> None:
        self._around("delete", lambda: super(DyingBucket, self).delete(version))

    def write(self, key: str, body: bytes) -> None:
        self._around(f"write {key.rpartition('/')[2]}", lambda: super(DyingBucket, self).write(key, body))


def departments(rows: int = ROWS) -> str:
    return "".join(f"{i},Department {i}\n" if i % 100 else f"{i},\n" for i in range(1, rows + 1))


def planned(pipeline: Pipeline, body: str, up_to: str = "turn", **options: Any) -> str:
    """A run that has come as far as this step; answers its id."""
    id = pipeline.plan(pipeline.upload("raw/departments.csv", body), "arn:first", **options).run
    if up_to == "plan":
        return id
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    return id


def check_whole(pipeline: Pipeline, report: dict[str, Any]) -> None:
    valid = [i for i in range(1, ROWS + 1) if i % 100]
    assert [report[name] for name in COUNTS] == [ROWS, len(valid), 0, 0, ROWS - len(valid), 0]
    assert pipeline.table("departments") == [(i, f"Department {i}") for i in valid]
    assert len(pipeline.rejects(report)) == ROWS - len(valid)
    assert sorted(pipeline.places()) == [report["rejects_key"], "processed/departments.csv"]
    assert pipeline.bucket.versions_of("raw/departments.csv") == []


@pytest.mark.parametrize(
    "statement", ["INSERT INTO rowferry_batches", "LOAD DATA", "UPDATE rowferry_batches", "COMMIT"]
)
def test_a_load_that_dies_and_runs_again_loads_each_row_once(pipeline: Pipeline, statement: str) -> None:
    id = planned(pipeline, departments(), batch_chunks=1)
    for batch in pipeline.batches(id):
        with pytest.raises(Killed), mysql.session(pipeline.settings) as conn:
            load_batch(dies_after(conn, statement), pipeline.bucket, ledger.read(conn, id), batch)
        committed = pipeline.load_batch(id, batch)
        assert committed.balances
        assert pipeline.load_batch(id, batch) == committed
    check_whole(pipeline, pipeline.summarise(id))


def test_a_careful_load_that_dies_and_runs_again_writes_each_row_once(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments-old.csv", "5,Old\n7,Department 7\n")
    id = planned(pipeline, departments(), batch_chunks=1)
    for statement in ("INSERT INTO rowferry_class", "INSERT INTO `departments`", "UPDATE `departments`", "COMMIT"):
        with pytest.raises(Killed), mysql.session(pipeline.settings) as conn:
            load_batch(dies_after(conn, statement), pipeline.bucket, ledger.read(conn, id), pipeline.batches(id)[0])
    pipeline.load(id)
    report = pipeline.summarise(id)
    assert [report[name] for name in COUNTS] == [ROWS, ROWS - 25 - 2, 1, 1, 25, 0]


@pytest.mark.parametrize(
    ("before", "after"),
    [("write report.json", ""), ("", "write report.json"), ("delete", ""), ("", "delete")],
)
def test_a_summary_that_dies_and_runs_again_strands_nothing(pipeline: Pipeline, before: str, after: str) -> None:
    id = planned(pipeline, departments())
    pipeline.load(id)
    dying = DyingBucket(pipeline.bucket, before, after)
    with pytest.raises(Killed), mysql.session(pipeline.settings) as conn:
        summarise(conn, dying, ledger.read(conn, id))
    check_whole(pipeline, pipeline.summarise(id))
    assert pipeline.summarise(id)["status"] == "done"  # and once more
    assert len(pipeline.bucket.versions_of("processed/departments.csv")) == 1


def test_a_newer_upload_under_the_same_key_stays_when_the_older_one_is_moved(pipeline: Pipeline) -> None:
    id = planned(pipeline, departments())
    newer = pipeline.upload("raw/departments.csv", "1,Newer\n")
    pipeline.load(id)
    pipeline.summarise(id)
    assert [version.id for version in pipeline.bucket.versions_of("raw/departments.csv")] == [newer.version]
    assert pipeline.run(newer)["updated"] == 1


def test_an_upload_that_is_deleted_meanwhile_still_ends_in_processed(pipeline: Pipeline) -> None:
    id = planned(pipeline, departments())
    (version,) = pipeline.bucket.versions_of("raw/departments.csv")
    pipeline.bucket.delete(version)
    pipeline.load(id)
    check_whole(pipeline, pipeline.summarise(id))
    assert pipeline.bucket.read_all("processed/departments.csv").decode() == departments()


def test_the_same_batch_loaded_by_several_at_the_same_time_is_loaded_once(pipeline: Pipeline) -> None:
    id = planned(pipeline, departments())
    (batch,) = pipeline.batches(id)
    answers: list[ledger.Totals] = []
    threads = [threading.Thread(target=lambda: answers.append(pipeline.load_batch(id, batch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len(set(answers)) == 1
    check_whole(pipeline, pipeline.summarise(id))


def test_a_plan_is_frozen_so_that_other_options_later_mean_the_same_batches(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/departments.csv", departments())
    first = pipeline.plan(uploaded, "arn:first", batch_chunks=1)
    again = pipeline.plan(uploaded, "arn:first", batch_chunks=2)
    assert again == first
    assert len(pipeline.batches(first.run)) == first.batches == 3


def test_another_execution_is_a_duplicate_until_the_first_failed(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/departments.csv", departments())
    first = pipeline.plan(uploaded, "arn:first", batch_chunks=1)
    assert pipeline.plan(uploaded, "arn:second").outcome == "duplicate"
    pipeline.validate(first.run)
    assert pipeline.reconcile(first.run) == "load"
    assert pipeline.turn(first.run)
    pipeline.load_batch(first.run, pipeline.batches(first.run)[0])
    with mysql.session(pipeline.settings) as conn:
        ledger.fail(conn, "arn:first", "DatabaseUnavailable: for too long", lasting=False)
    assert pipeline.read(first.run).status == "failed"
    check_whole(pipeline, pipeline.run(uploaded, "arn:third"))
    assert pipeline.plan(uploaded, "arn:fourth").outcome == "duplicate"


def test_a_run_whose_lease_ran_out_is_taken_over(pipeline: Pipeline, conn: Connection) -> None:
    uploaded = pipeline.upload("raw/departments.csv", departments())
    first = pipeline.plan(uploaded, "arn:first")
    mysql.run(conn, "UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP() - INTERVAL 1 SECOND")
    assert pipeline.plan(uploaded, "arn:second") == first
    assert pipeline.read(first.run).execution == "arn:second"


def test_events_without_a_version_find_each_upload_once_oldest_first(pipeline: Pipeline) -> None:
    uploads = [pipeline.upload("raw/departments.csv", "1,Same\n") for _ in range(2)]
    nameless = [type(uploads[0])(upload.key, upload.etag) for upload in uploads]
    runs = [pipeline.plan(event, f"arn:{n}") for n, event in enumerate([*nameless, nameless[0]])]
    assert [run.outcome for run in runs] == ["planned", "planned", "duplicate"]
    assert [pipeline.read(run.run).version for run in runs[:2]] == [upload.version for upload in uploads]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE rowferry_batches SET inserted = inserted + 1 WHERE batch = 0",
        "UPDATE rowferry_batches SET inserted = inserted + 1, records = records + 1 WHERE batch = 0",
        "UPDATE rowferry_batches SET inserted = inserted + 1, rejected = rejected - 1 WHERE batch = 0",
        "DELETE FROM rowferry_batches WHERE batch = 0",
        "UPDATE rowferry_runs SET records = records + 1",
    ],
)
def test_books_that_do_not_balance_fail_the_run_and_leave_the_file(
    pipeline: Pipeline, conn: Connection, tampering: str
) -> None:
    id = planned(pipeline, departments(), batch_chunks=1)
    pipeline.load(id)
    assert mysql.run(conn, tampering) == 1
    with pytest.raises(BooksDoNotBalance):
        pipeline.summarise(id)
    assert list(pipeline.bucket.keys("raw/")) == ["raw/departments.csv"]
    assert list(pipeline.places(["processed/", "errors/"])) == []


def test_a_run_may_not_load_before_its_gate_is_open(pipeline: Pipeline) -> None:
    id = planned(pipeline, departments(), up_to="plan")
    with pytest.raises(BooksDoNotBalance):
        pipeline.load(id)
    assert pipeline.table("departments") == []


def test_a_young_child_waits_for_parents_and_an_old_one_does_not(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")
    id = pipeline.plan(uploaded).run
    pipeline.validate(id)
    assert pipeline.reconcile(id, dt.timedelta(0)) == "wait"
    parent = pipeline.upload("raw/departments.csv", "1,A\n")
    assert pipeline.reconcile(id) == "wait", "a parent's file lies in raw/"
    pipeline.run(parent)
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    assert pipeline.reconcile(id) == "load"
