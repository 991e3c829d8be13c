"""Why nothing of a file was loaded: a code and a reason, apart; rows of earlier releases have them in one text."""

import json

import httpx
import pytest

from rowferry import ledger
from rowferry.ledger import Run
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN

DOCUMENT = {"gate", "reason", "rejected", "prefix", "batches", "would", "low_key", "high_key"}
"""The keys of a stored verdict that every release reads."""


def stored(conn: Connection, id: str) -> Row:
    row = mysql.row(conn, "SELECT status, reason, verdict, verdict_code FROM rowferry_runs WHERE id = %s", (id,))
    assert row
    return row


def as_an_earlier_release(conn: Connection, id: str) -> None:
    """Leaves a run's row as releases without the column `verdict_code` wrote it."""
    sql = "UPDATE rowferry_runs SET reason = CONCAT(verdict_code, ': ', reason), verdict_code = NULL WHERE id = %s"
    mysql.run(conn, sql, (id,))


def ended(pipeline: Pipeline, key: str, body: str) -> Run:
    """A run that its verdict ended."""
    return pipeline.read(pipeline.migrate(key, body)["run"])


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("raw/departments.csv", "id,title\n1,A\n", "refused", "header"),
        ("raw/departments.csv", "x,A\n", "gated", "no_valid_row"),
        ("check/departments.csv", "x,A\n", "checked", "no_valid_row"),
    ],
)
@pytest.mark.parametrize("earlier", [False, True])
def test_code_and_reason_are_apart_also_in_rows_of_earlier_releases(
    pipeline: Pipeline, conn: Connection, api: str, key: str, body: str, status: str, code: str, earlier: bool
) -> None:
    id = ended(pipeline, key, body).id
    if earlier:
        as_an_earlier_release(conn, id)
        assert str(stored(conn, id)["reason"]).startswith(f"{code}: ")
    run = pipeline.read(id)
    assert run.verdict
    assert (run.status, run.code, run.verdict.code) == (status, code, code)
    assert run.reason == run.verdict.reason
    assert str(run.reason).startswith(("line 1: ", "none of the 1 records is valid"))
    for path in ("/runs", f"/runs/{id}"):
        answer = httpx.get(f"{api}{path}", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        shown = answer["runs"][0] if path == "/runs" else answer
        assert (shown["status"], shown["code"], shown["reason"]) == (status, code, run.reason)


def test_the_report_and_the_file_beside_the_upload_have_the_code_and_the_words(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "id,title\n1,A\n")
    beside = json.loads(pipeline.bucket.read_all(f"{report['moved_to'].rpartition('/')[0]}/reason.json"))
    assert (report["code"], beside["code"]) == ("header", "header")
    assert beside["message"] == report["reason"]
    loaded = pipeline.migrate("raw/departments.csv", "1,A\n")
    assert (loaded["code"], loaded["reason"]) == (None, None)


def test_earlier_releases_can_read_the_stored_verdict(pipeline: Pipeline, conn: Connection) -> None:
    run = ended(pipeline, "raw/departments.csv", "x,A\n")
    row = stored(conn, run.id)
    document = json.loads(row["verdict"])
    assert (set(document), row["verdict_code"]) == (DOCUMENT, "no_valid_row")
    assert document["reason"] == f"no_valid_row: {run.reason}"


def test_a_verdict_that_an_earlier_release_wrote_is_superseded_when_its_reason_says_so(
    pipeline: Pipeline, conn: Connection
) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv", "id,title\n1,A\n")).run
    document = {"gate": "refused", "reason": "superseded: by a newer one", "rejected": 0, "prefix": ""}
    empty = {"batches": dict[str, int](), "would": dict[str, int](), "low_key": None, "high_key": None}
    mysql.run(
        conn,
        "UPDATE rowferry_runs SET verdict = %s, verdict_code = NULL WHERE id = %s",
        (json.dumps(document | empty), id),
    )
    report = pipeline.summarise(id)
    assert (report["status"], report["code"], report["reason"]) == ("superseded", "superseded", "by a newer one")


def test_a_run_that_failed_after_its_verdict_has_the_reason_of_its_failure_and_no_code(
    pipeline: Pipeline, conn: Connection
) -> None:
    planned = pipeline.plan(pipeline.upload("raw/departments.csv", "id,title\n1,A\n"), "arn:first")
    assert (planned.outcome, planned.code) == ("refused", "header")
    ledger.fail(conn, "arn:first", "StorageUnavailable: S3 failed", lasting=False)
    run = pipeline.read(planned.run)
    assert (run.code, run.reason) == (None, "StorageUnavailable: S3 failed")
