"""Each function called with its event from events/, as Lambda calls it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest

from rowferry import ledger
from rowferry.config import Settings
from rowferry.errors import DatabaseUnavailable
from rowferry.setup.bootstrap import APP_RIGHTS
from rowferry.steps.parents import ParentNeverCame
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.functions import ROOT, Context, Functions


def test_the_functions_take_a_file_all_the_way(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    planned = functions.plan()
    assert (planned["outcome"], planned["records"], planned["batches"]) == ("planned", 12, 1)
    assert functions.call("validate")["outcome"] == "validated"
    assert functions.call("reconcile") == {"outcome": "load", "reason": None, "seconds": 0, "code": None}
    assert functions.call("turn") == {"outcome": "go", "ahead": None, "seconds": 0}
    assert functions.call("load")["inserted"] == 12
    report = functions.call("summarise")["report"]
    assert (report["status"], report["read"], report["inserted"]) == ("done", 12, 12)
    assert functions.call("summarise")["report"] == report
    assert functions.plan()["outcome"] == "planned", "another version of the object is another run"
    out, err = capsys.readouterr()
    logged = [json.loads(line) for line in (out + err).splitlines() if line.startswith("{")]
    assert {entry.get("run") for entry in logged if entry.get("message") == "loaded"} == {report["run"]}
    (metrics,) = (entry for entry in logged if "_aws" in entry)  # once, though Summarise ran twice
    assert metrics["RowsInserted"] == [12.0]
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Rowferry", [["service"]])
    on_the_dashboard = set(re.findall(r'"(Rows[A-Z]\w+)"', (ROOT / "template.yaml").read_text()))
    assert {metric["Name"] for metric in directive["Metrics"]} == on_the_dashboard
    assert "Human Resources" not in out + err, "no row's contents in the logs"


def test_without_an_api_in_reach_validate_judges_the_chunks_itself_and_leaves_the_same_files(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = functions.pipeline.bucket
    rows = ["2,Señor", "1,a", "x,b", '3,"c\n""d"""', "4", "5,", ",,z", "2,again"]
    uploaded = functions.pipeline.upload("raw/jobs.csv", "\n".join(rows))
    functions.run = functions.pipeline.plan(uploaded).run
    (batch,) = functions.pipeline.batches(functions.run)
    for url in (functions.pipeline.settings.api_url, ""):
        monkeypatch.setenv("API_URL", url)
        answer = functions.call("validate", batch=asdict(batch))
        assert (answer["read"], answer["valid"], answer["rejected"]) == (8, 4, 4)
    left = [(key.rpartition(".")[2], bucket.read_all(key)) for key in bucket.keys(f"runs/{functions.run}/valid/")]
    assert Counter(ending for ending, _ in left) == {"json": 1, "jsonl": 2, "keys": 2, "tsv": 2}
    assert len(set(left)) == 4, "both wrote the same rows, keys and rejects; the figures of the first hold"


def test_a_failure_that_lasts_is_an_answer(functions: Functions) -> None:
    functions.run = "0" * 32
    reason = f"NotFound: there is no run {'0' * 32}"
    assert functions.call("load") == {"outcome": "failed", "reason": reason, "start_again": False}
    broken = functions.call("validate", batch={"batch": 0})
    assert broken["reason"] == "the event makes no sense: batch.chunks: Field required"


def test_a_failure_that_passes_is_an_exception(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    functions.plan()
    monkeypatch.setenv("DB_PORT", "1")
    with pytest.raises(Exception, match="the database is") as caught:
        functions.call("turn")
    assert type(caught.value).__name__ == "DatabaseUnavailable", "the state machine knows it by this name"


def test_a_password_that_is_not_the_users_yet_is_an_exception_too(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a run outlives the moment of a deploy, or of its rollback, in which users and functions differ."""
    functions.plan()
    monkeypatch.setenv("DB_PASSWORD", "another")
    with pytest.raises(DatabaseUnavailable, match="1045"):
        functions.call("reconcile")


def test_a_setting_that_is_missing_is_named(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_HOST")
    assert functions.call("turn")["reason"] == "SettingError: the environment variable DB_HOST is missing"


def test_a_failed_run_is_recorded_with_its_reason_and_can_be_started_again(functions: Functions) -> None:
    execution = json.loads((ROOT / "events/plan.json").read_text())["execution"]
    functions.plan()
    answer = functions.call("fail")
    assert answer["outcome"] == "failed"
    key, _, reason = answer["reason"].partition(": ")
    assert (key, reason.partition(": ")[0]) == ("raw/departments-by-hand.csv", "DatabaseUnavailable")
    with mysql.session(functions.pipeline.settings) as conn:
        run = ledger.read(conn, functions.run)
    assert (run.status, run.execution, run.reason) == ("failed", execution, reason)
    assert (
        functions.call("fail", state={"step": {"answer": {"outcome": "failed", "reason": "why"}}}, input={})["reason"]
        == "why"
    )


LOST = {"error": {"Error": "DatabaseUnavailable", "Cause": "for an hour"}}
NO_RIGHT = {"outcome": "failed", "reason": "StorageDenied: S3 refuses raw/departments.csv: AccessDenied"}


@pytest.mark.parametrize(("state", "lasting"), [(LOST, False), (NO_RIGHT, True)])
def test_an_upload_whose_execution_failed_before_its_claim_is_in_the_history_and_names_its_file(
    functions: Functions, conn: Connection, state: dict[str, Any], lasting: bool
) -> None:
    pipeline = functions.pipeline
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    found = {"key": uploaded.key, "etag": uploaded.etag, "version-id": uploaded.version}
    given = {"detail": {"bucket": {"name": pipeline.bucket.name}, "object": found}}
    reason = ""
    for execution in ("arn:first", "arn:first", "arn:second"):
        answer = functions.call("fail", execution=execution, input=given, state=state)
        assert answer["reason"].startswith("raw/departments.csv: ")
        reason = answer["reason"].removeprefix("raw/departments.csv: ")
    (progress,) = ledger.newest(conn, 10)
    run = progress.run
    assert (run.key, run.table, run.status, run.stage, run.reason) == (
        "raw/departments.csv",
        "departments",
        "failed",
        "Unclaimed",
        reason,
    )
    failed = [("arn:first", "failed", reason), ("arn:second", "failed", reason)]
    assert [(one.execution, one.status, one.reason) for one in ledger.progress(conn, run.id).attempts] == failed
    swept = functions.call("sweep", older_than_minutes=0)
    assert bool(swept["events"]) == (not lasting), "as long as the reason passes the sweep starts it"
    (listed,) = pipeline.bucket.versions_of(uploaded.key)
    report = pipeline.run(uploaded, "arn:third")
    assert (report["run"], report["status"], report["inserted"]) == (run.id, "done", 1)
    done = ledger.progress(conn, run.id)
    assert done.run.uploaded_at == listed.modified, "its place among versions is the claim's, not the failure's"
    assert [one.status for one in done.attempts] == ["failed", "failed", "done"]


@pytest.mark.parametrize(("ended", "outcome"), [("given up", "withhold"), ("failed", None)])
def test_a_child_does_not_wait_for_a_parents_file_whose_run_ended_before_its_claim(
    functions: Functions, conn: Connection, ended: str, outcome: str | None
) -> None:
    pipeline = functions.pipeline
    parent = pipeline.upload("raw/departments.csv", "1,A\n")
    found = {"key": parent.key, "etag": parent.etag, "version-id": parent.version}
    given = {"detail": {"bucket": {"name": pipeline.bucket.name}, "object": found}}
    functions.call("fail", execution="arn:parent", input=given, state=NO_RIGHT)
    if ended == "given up":
        ledger.abandon(conn, ledger.newest(conn, 1)[0].run.id)
    child = pipeline.plan(pipeline.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")).run
    pipeline.validate(child)
    if outcome:
        assert pipeline.reconcile(child) == outcome
    else:
        with pytest.raises(ParentNeverCame, match=r"raw/departments\.csv, whose run failed"):
            pipeline.reconcile(child)


def test_a_run_that_failed_before_its_claim_is_of_the_table_that_its_claim_knows(
    functions: Functions, conn: Connection
) -> None:
    pipeline = functions.pipeline
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    found = {"key": uploaded.key, "etag": uploaded.etag, "version-id": uploaded.version}
    given = {"detail": {"bucket": {"name": pipeline.bucket.name}, "object": found}}
    functions.call("fail", execution="arn:first", input=given, state=LOST)
    mysql.run(conn, "UPDATE rowferry_runs SET table_name = ''")  # by a release that had no such table
    assert pipeline.run(uploaded, "arn:second")["status"] == "done"


def test_a_failure_before_the_claim_leaves_another_executions_run_alone_and_makes_none_of_what_is_no_upload(
    functions: Functions, conn: Connection
) -> None:
    functions.plan()
    before = ledger.progress(conn, functions.run)
    detail = json.loads((ROOT / "events/plan.json").read_text())["detail"]
    found = {"key": before.run.key, "etag": before.run.etag, "version-id": before.run.version}
    ours = {"name": functions.pipeline.bucket.name}
    for bucket, changed in (
        (ours, found),
        (ours, {"key": "raw/folder/", "etag": "x", "version-id": "x"}),
        (ours, {"key": "backups/x", "etag": "x", "version-id": "x"}),
        (ours, {"key": "raw/jobs.csv", "etag": "x"}),
        ({"name": "another"}, {"key": "raw/jobs.csv", "etag": "x", "version-id": "x"}),
    ):
        given = {"detail": detail | {"bucket": bucket, "object": changed}}
        functions.call("fail", execution="arn:another", input=given, state=LOST)
    functions.call("fail", execution="arn:another", input={"detail": "nonsense"}, state=LOST)
    assert ledger.newest(conn, 10)[0].run == before.run
    assert len(ledger.newest(conn, 10)) == 1


def test_what_the_sweep_answers_starts_the_run_again(functions: Functions) -> None:
    run = functions.plan()["run"]
    functions.call("fail")
    swept = functions.call("sweep")
    assert (swept["outcome"], swept["after"], len(swept["events"])) == ("all", None, 1)
    planned = functions.call("plan", detail=swept["events"][0]["detail"], execution="arn:the-sweeps")
    assert (planned["outcome"], planned["run"]) == ("planned", run)
    assert functions.call("sweep")["events"] == []


@pytest.mark.parametrize(
    ("state", "lasting"),
    [
        ({"error": {"Error": "States.Timeout", "Cause": ""}}, 0),
        ({"step": {"answer": {"outcome": "failed", "reason": "DatabaseError: a right is missing"}}}, 1),
        ({"outcome": "failed", "reason": "SettingError: DB_HOST is missing", "start_again": False}, 1),
        ({"step": {"answer": {"outcome": "failed", "reason": "TurnBlocked: by another", "start_again": True}}}, 0),
    ],
)
def test_a_failure_that_starting_again_does_not_cure_is_marked(
    functions: Functions, conn: Connection, state: dict[str, Any], lasting: int
) -> None:
    functions.plan()
    functions.call("fail", state=state)
    assert mysql.rows(conn, "SELECT lasting FROM rowferry_runs") == [{"lasting": lasting}]


def test_a_failure_that_can_not_be_recorded_for_want_of_a_right_is_tried_again(
    functions: Functions, conn: Connection, admin: Connection
) -> None:
    functions.plan()
    failed = {"step": {"answer": {"outcome": "failed", "reason": "DatabaseError: a right is missing"}}}
    with without_rights(admin, functions.pipeline.settings), pytest.raises(DatabaseUnavailable) as caught:
        functions.call("fail", state=failed)
    assert str(caught.value).startswith("the run failed (DatabaseError: a right is missing), and that could not be")
    assert "command denied" in str(caught.value)
    functions.call("fail", state=failed)
    assert mysql.rows(conn, "SELECT status, lasting FROM rowferry_runs") == [{"status": "failed", "lasting": 1}]


@contextmanager
def without_rights(admin: Connection, settings: Settings) -> Iterator[None]:
    """The application's user may read and write the runs, and nothing else."""
    schema = settings.db_name.replace("_", "\\_")
    user = (settings.db_user, "%")
    try:
        mysql.run(admin, f"GRANT SELECT, INSERT, UPDATE ON `{settings.db_name}`.rowferry_runs TO %s@%s", user)
        mysql.run(admin, f"REVOKE {APP_RIGHTS} ON `{schema}`.* FROM %s@%s", user)
        yield
    finally:
        mysql.run(admin, f"GRANT {APP_RIGHTS} ON `{schema}`.* TO %s@%s", user)
        mysql.run(admin, f"REVOKE SELECT, INSERT, UPDATE ON `{settings.db_name}`.rowferry_runs FROM %s@%s", user)


def test_a_batch_that_failed_says_why_in_the_run_though_step_functions_does_not(functions: Functions) -> None:
    functions.plan()
    functions.call("load")  # before its gate is open
    state = {"error": {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "a threshold was exceeded"}}
    functions.call("fail", state=state)
    with mysql.session(functions.pipeline.settings) as conn:
        run = ledger.read(conn, functions.run)
    assert run.finished_at is not None
    assert run.reason is not None
    assert run.reason.startswith("batch 0: BooksDoNotBalance: run ")
    assert run.reason.endswith("; States.ExceedToleratedFailureThreshold: a threshold was exceeded")


def test_backup_and_restore_as_their_events_say(functions: Functions) -> None:
    pipeline = functions.pipeline
    pipeline.migrate("raw/departments.csv", "1,A\n2,B\n")
    backed_up = functions.call("backup")
    assert backed_up["outcome"] == "done"
    assert {backup["table"]: backup["rows"] for backup in backed_up["backups"]} == {
        "departments": 2,
        "jobs": 0,
        "hired_employees": 0,
    }
    assert backed_up["removed"]["jobs"] == {"backups": [], "incomplete": [], "uploads": 0}
    pipeline.migrate("raw/departments.csv", "1,X\n3,C\n")
    rehearsed = functions.call("restore")
    assert (rehearsed["outcome"], rehearsed["dry_run"]) == ("done", True)
    assert pipeline.table("departments") == [(1, "X"), (2, "B"), (3, "C")]
    restored = functions.call("restore", tables=["departments"], id=backed_up["id"], dry_run=False)
    assert restored["restored"] == [{**rehearsed["restored"][0], "updated": 1, "deleted": 1}]
    assert pipeline.table("departments") == [(1, "A"), (2, "B")]


def test_a_backup_of_all_tables_is_counted_for_the_alarm_that_misses_it(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    functions.call("backup", tables=["jobs"])
    assert '"BackupsCompleted"' not in "".join(capsys.readouterr())
    functions.call("backup", tables=[])
    assert '"BackupsCompleted":[1.0]' in "".join(capsys.readouterr())
    assert "MetricName: BackupsCompleted" in (ROOT / "template.yaml").read_text()


def test_a_function_near_the_end_of_its_time_stops_cleanly(functions: Functions) -> None:
    functions.pipeline.migrate("raw/departments.csv", "1,A\n")
    functions.call("backup")
    before = sorted(functions.pipeline.bucket.keys("backups/"))
    for name in ("backup", "restore"):
        answer = functions.call(name, context=Context(seconds=20))
        assert answer["outcome"] == "failed"
        assert answer["reason"].startswith("OutOfTime: the time that a function has is nearly over, and nothing")
    assert sorted(functions.pipeline.bucket.keys("backups/")) == before


def test_a_restore_whose_event_is_misspelt_is_none(functions: Functions) -> None:
    answer = functions.call("restore", dryrun=True)
    assert answer["reason"] == "the event makes no sense: dryrun: Extra inputs are not permitted"
    assert "dry_run" in functions.call("restore", dry_run="no")["reason"]
    assert "with its zone" in functions.call("restore", before=20200101000000)["reason"]
    assert functions.call("restore", tables=["salaries"])["reason"].startswith("UnknownTable: ")
    assert functions.call("restore")["reason"].startswith("NotFound: there is no complete backup of departments")
