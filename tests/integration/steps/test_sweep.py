"""What the sweep finds: uploads that nobody is at work on."""

import datetime as dt
from collections.abc import Iterator

from rowferry import ledger
from rowferry.steps import sweep
from rowferry.steps.plan import Uploaded
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Version
from tests.support.pipeline import Pipeline
from tests.support.stopped_runs import LATER, found


def claimed(pipeline: Pipeline) -> Uploaded:
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    assert pipeline.plan(uploaded, "arn:first").outcome == "planned"
    return uploaded


def test_an_upload_without_a_run_is_found_once_it_is_old_enough(pipeline: Pipeline, conn: Connection) -> None:
    pipeline.upload("raw/departments.csv", "1,A\n")
    pipeline.upload("check/jobs.csv", "1,A\n")
    pipeline.upload("raw/folder/", "")
    assert found(pipeline, conn) == ["check/jobs.csv", "raw/departments.csv"]
    assert found(pipeline, conn, -LATER) == []


def test_each_version_without_a_run_is_found(pipeline: Pipeline, conn: Connection) -> None:
    uploads = [pipeline.upload("raw/departments.csv", f"{n},A\n") for n in range(3)]
    pipeline.plan(uploads[1])
    swept = sweep.sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) + LATER)
    assert {version.id for version in swept.versions} == {uploads[0].version, uploads[2].version}


def test_an_upload_that_was_deleted_before_anybody_took_it_is_left(pipeline: Pipeline, conn: Connection) -> None:
    pipeline.upload("raw/departments.csv", "1,A\n")
    pipeline.bucket._client.delete_object(Bucket=pipeline.bucket.name, Key="raw/departments.csv")
    assert found(pipeline, conn) == []
    child = pipeline.plan(pipeline.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")).run
    pipeline.validate(child)
    assert pipeline.reconcile(child) == "withhold", "nobody waits for a parent's file that was withdrawn"


def test_a_run_that_is_going_on_or_has_ended_is_left(pipeline: Pipeline, conn: Connection) -> None:
    uploaded = claimed(pipeline)
    assert found(pipeline, conn) == []
    pipeline.run(uploaded, "arn:first")
    assert found(pipeline, conn) == []


def test_a_run_that_failed_for_a_passing_reason_is_found_and_one_that_failed_for_good_is_not(
    pipeline: Pipeline, conn: Connection
) -> None:
    uploaded = claimed(pipeline)
    ledger.fail(conn, "arn:first", "DatabaseUnavailable: for an hour", lasting=False)
    assert found(pipeline, conn) == ["raw/departments.csv"]
    assert pipeline.plan(uploaded, "arn:second").outcome == "planned"
    ledger.fail(conn, "arn:second", "DatabaseError: a right is missing", lasting=True)
    assert found(pipeline, conn) == []
    assert pipeline.plan(uploaded, "arn:third").outcome == "planned", "by hand it starts all the same"
    ledger.fail(conn, "arn:third", "DatabaseUnavailable: for an hour", lasting=False)
    assert found(pipeline, conn) == ["raw/departments.csv"]


def test_a_batchs_lasting_failure_is_not_forgotten_for_a_passing_one_after_it(
    pipeline: Pipeline, conn: Connection
) -> None:
    uploaded = claimed(pipeline)
    id = ledger.run_id(pipeline.bucket.name, uploaded.key, str(uploaded.version))
    ledger.note(conn, ledger.read(conn, id), "batch 0: ValidatorRefuses: HTTP 403", lasting=True)
    ledger.note(conn, ledger.read(conn, id), "batch 1: DatabaseUnavailable: gone", lasting=False)
    ledger.fail(conn, "arn:first", "States.ExceedToleratedFailureThreshold", lasting=False)
    assert found(pipeline, conn) == []


def test_a_run_whose_execution_died_is_found(pipeline: Pipeline, conn: Connection) -> None:
    claimed(pipeline)
    for minutes, expected in ((4, []), (6, ["raw/departments.csv"])):
        mysql.run(conn, f"UPDATE rowferry_runs SET lease_until = UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE")
        assert found(pipeline, conn) == expected


def test_a_run_that_fails_again_and_again_is_left_to_people(pipeline: Pipeline, conn: Connection) -> None:
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    for start in range(1, sweep.MAX_STARTS + 1):
        assert pipeline.plan(uploaded, f"arn:{start}").outcome == "planned"
        assert pipeline.plan(uploaded, f"arn:{start}").outcome == "planned", "a repeat is no start"
        ledger.fail(conn, f"arn:{start}", "DatabaseUnavailable: for an hour", lasting=False)
        assert bool(found(pipeline, conn)) == (start < sweep.MAX_STARTS)


def test_more_than_fit_into_one_answer_come_in_several(pipeline: Pipeline, conn: Connection) -> None:
    uploads = [pipeline.upload(f"raw/departments-{n}.csv", "1,A\n") for n in range(4)]
    uploads.append(pipeline.upload("raw/departments-0.csv", "2,A\n"))
    after, answers = ("", ""), []
    for _ in range(3):
        swept = sweep.sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) + LATER, after, at_once=2)
        answers.append([version.id for version in swept.versions])
        after = swept.after or after
    assert swept.after is None
    assert list(map(len, answers)) == [2, 2, 1]
    assert {id for answer in answers for id in answer} == {upload.version for upload in uploads}


def test_however_many_uploads_wait_an_answer_looks_at_no_more_than_it_needs(
    pipeline: Pipeline, conn: Connection
) -> None:
    keys = [f"raw/departments-{n:04}.csv" for n in range(60)]
    for key in keys:
        pipeline.bucket.write(key, b"1,A\n")
    listed = list[str]()
    listing = pipeline.bucket.versions

    def watched(prefix: str, begin: str = "") -> Iterator[Version]:
        for version in listing(prefix, begin):
            listed.append(version.key)
            yield version

    pipeline.bucket.versions = watched  # type: ignore[method-assign]  # counts, and is otherwise the bucket's own
    after, answers = ("", ""), list[str]()
    while True:
        listed.clear()
        swept = sweep.sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) + LATER, after, at_once=20)
        answers += [version.key for version in swept.versions]
        assert listed[0] >= after[0]
        if swept.after is None:
            break
        after = swept.after
    assert answers == keys


def test_runs_that_failed_and_uploads_without_a_run_come_in_one_order(pipeline: Pipeline, conn: Connection) -> None:
    uploads = {n: pipeline.upload(f"raw/departments-{n}.csv", "1,A\n") for n in range(8)}
    for n in (0, 3, 4, 7):
        pipeline.plan(uploads[n], f"arn:{n}")
        ledger.fail(conn, f"arn:{n}", "DatabaseUnavailable: for an hour", lasting=False)
    after, answers = ("", ""), list[str]()
    for _ in range(4):
        swept = sweep.sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) + LATER, after, at_once=2)
        answers += [version.key for version in swept.versions]
        after = swept.after or after
    assert answers == [uploaded.key for uploaded in uploads.values()]
    assert swept.after is None
