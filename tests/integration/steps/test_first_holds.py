"""What was written first for a run holds: for attempts that are repeated, late, or of a release with other rules."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, BinaryIO
from unittest.mock import patch

import pytest
from pydantic import BaseModel

from rowferry import ledger
from rowferry.csvfile.dialect import Dialect
from rowferry.declare.catalog import TABLES
from rowferry.declare.table import read_models
from rowferry.declare.table_class import Id, Key
from rowferry.declare.types import Integer, Text
from rowferry.steps.plan import Uploaded
from rowferry.steps.work_files import DeclarationChanged, RunFiles
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from rowferry.validate.client import InProcess, Judged
from tests.support.pipeline import Pipeline

ROWS = "".join(f"{id},Name {id}\n" for id in range(1, 7)) + "x,Bad\n"


class FromFourOn(BaseModel, title="departments"):
    """The same columns, and fewer rows are valid."""

    id: Annotated[int, Integer(minimum=4), Key()]
    name: Annotated[str, Text()]


class WithCity(BaseModel, title="departments"):
    """A column more."""

    id: Id
    name: Annotated[str, Text()]
    city: Annotated[str, Text()]


@contextmanager
def release(model: type[BaseModel]) -> Iterator[None]:
    """Another release: it declares a table otherwise."""
    with patch.dict(TABLES, read_models((model,))):
        yield


def with_verdict(pipeline: Pipeline, uploaded: Uploaded, execution: str) -> str:
    """A run that has come to its turn; a record is a batch."""
    id = pipeline.plan(uploaded, execution, chunk_records=1, batch_chunks=1).run
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    return id


def all_six_rows(pipeline: Pipeline, id: str) -> None:
    report = pipeline.summarise(id)
    assert (report["status"], report["read"], report["inserted"], report["rejected"]) == ("done", 7, 6, 1)
    assert report["rejected_by_code"] == {"int_format": 1}
    assert [row["_line"] for row in pipeline.rejects(report)] == ["7"]
    assert pipeline.table("departments") == [(id, f"Name {id}") for id in range(1, 7)]


@pytest.mark.parametrize("loaded", [0, 3, 7])
def test_a_run_that_a_release_with_other_rules_goes_on_with_ends_by_its_first_rules(
    pipeline: Pipeline, conn: Connection, loaded: int
) -> None:
    uploaded = pipeline.upload("raw/departments.csv", ROWS)
    id = with_verdict(pipeline, uploaded, "arn:first")
    for batch in pipeline.batches(id)[:loaded]:
        pipeline.load_batch(id, batch)
    ledger.fail(conn, "arn:first", "DatabaseUnavailable", lasting=False)
    with release(FromFourOn):
        assert pipeline.plan(uploaded, "arn:second", chunk_records=1_000).run == id
        pipeline.validate(id)
        assert pipeline.reconcile(id) == "load"
        assert pipeline.turn(id)
        pipeline.load(id)
        all_six_rows(pipeline, id)


def test_what_was_validated_before_the_verdict_is_not_validated_by_other_rules(pipeline: Pipeline) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv", ROWS), chunk_records=1, batch_chunks=1).run
    pipeline.validate(id)
    with release(FromFourOn):
        pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    pipeline.load(id)
    all_six_rows(pipeline, id)


class Late(InProcess):
    """Something happens while a batch is being validated."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def judge(self, table: str, chunk: bytes, dialect: Dialect, first_line: int) -> Judged:
        judged = super().judge(table, chunk, dialect, first_line)
        self._act()
        return judged


def test_a_validate_that_ends_after_the_verdict_changes_nothing(pipeline: Pipeline) -> None:
    """It is of an attempt that was taken for dead, and of a release with other rules."""
    id = pipeline.plan(pipeline.upload("raw/departments.csv", ROWS)).run
    run, (batch,) = pipeline.read(id), pipeline.batches(id)

    def all_but_load() -> None:
        with patch.dict(TABLES, {"departments": declared}):
            pipeline.validate(id)
            assert pipeline.reconcile(id) == "load"

    declared = TABLES["departments"]
    with release(FromFourOn):
        held = pipeline.validate_batch(run, batch, Late(all_but_load))
    assert (held.valid, held.rejected) == (6, 1)
    assert pipeline.turn(id)
    pipeline.load(id)
    all_six_rows(pipeline, id)


def test_rows_of_other_columns_than_are_declared_now_are_not_loaded(pipeline: Pipeline) -> None:
    id = with_verdict(pipeline, pipeline.upload("raw/departments.csv", ROWS), "arn:first")
    with release(WithCity), pytest.raises(DeclarationChanged, match=r"declared as \(id int key, name text\), and now"):
        pipeline.load(id)
    with release(WithCity), pytest.raises(DeclarationChanged, match="give the run up and upload its file again"):
        pipeline.validate(id)
    assert pipeline.table("departments") == []


def test_work_files_of_an_earlier_release_are_read(pipeline: Pipeline, conn: Connection) -> None:
    """A run that was between two steps when the release with names of each attempt's own was deployed."""
    id = pipeline.plan(pipeline.upload("raw/departments.csv", ROWS), chunk_records=1, batch_chunks=2).run
    pipeline.validate(id)
    for batch in pipeline.batches(id):
        as_earlier(pipeline.bucket, RunFiles(pipeline.bucket, id), batch.batch)
    pipeline.bucket.write(f"runs/{id}/batches.jsonl", pipeline.bucket.read_all(pipeline.read(id).manifest or ""))
    mysql.run(conn, "UPDATE rowferry_runs SET manifest = NULL WHERE id = %s", (id,))
    conn.commit()
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    pipeline.load(id)
    all_six_rows(pipeline, id)


def as_earlier(bucket: Bucket, files: RunFiles, batch: int) -> None:
    stats = json.loads(bucket.read_all(files.stats_key(batch)))
    attempt = stats.pop("attempt")
    del stats["declared"]
    bucket.write(files.stats_key(batch), json.dumps(stats).encode())
    for key in (files.rows_key, files.keys_key, files.rejects_key):
        if bucket.exists(key(batch, attempt)):
            bucket.write(key(batch, ""), bucket.read_all(key(batch, attempt)))
            bucket.delete(bucket.versions_of(key(batch, attempt))[0])


class Reading(Bucket):
    """Once, while a run's own copy is read, something happens first."""

    def __init__(self, bucket: Bucket, act: Callable[[], object]) -> None:
        super().__init__(bucket.name, bucket._client)
        self._acts = [act]

    def read(self, key: str, version: str | None = None) -> BinaryIO:
        if key.endswith("/input.csv") and self._acts:
            self._acts.pop()()
        return super().read(key, version)


def test_a_plan_that_ends_late_does_not_overwrite_the_manifest_that_holds(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/departments.csv", ROWS)
    calm = pipeline.bucket
    found = []

    def meanwhile() -> None:
        found.append(Pipeline(pipeline.settings, calm).plan(uploaded, "arn:two"))

    pipeline.bucket = Reading(calm, meanwhile)
    late = pipeline.plan(uploaded, "arn:two")
    assert late == found[0]
    assert late.manifest == pipeline.read(late.run).manifest
    assert len(calm.versions_of(late.manifest)) == 1
    assert len(list(calm.keys(f"runs/{late.run}/batches"))) == 2


def test_a_plan_that_ends_after_another_attempt_has_refused_the_file_changes_nothing(pipeline: Pipeline) -> None:
    older = pipeline.upload("raw/departments.csv", ROWS)
    newer = pipeline.upload("raw/departments.csv", "9,Z\n")
    loading = pipeline.plan(newer, "arn:newer").run
    pipeline.validate(loading)
    assert pipeline.reconcile(loading) == "load"
    assert pipeline.turn(loading)
    calm = pipeline.bucket

    def meanwhile() -> None:
        now = Pipeline(pipeline.settings, calm)
        now.load(loading)
        assert now.summarise(loading)["status"] == "done"
        assert now.plan(older, "arn:older").outcome == "refused"

    pipeline.bucket = Reading(calm, meanwhile)
    late = pipeline.plan(older, "arn:older")
    assert (late.outcome, late.batches) == ("refused", 0)
    assert pipeline.summarise(late.run)["status"] == "superseded"


def test_a_file_that_was_planned_is_not_refused_by_an_attempt_that_ends_later(
    pipeline: Pipeline, conn: Connection
) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv", ROWS)).run
    ledger.refuse(conn, id, "superseded", "by a newer one")
    assert pipeline.read(id).verdict is None


@pytest.mark.parametrize("planned", [True, False])
def test_a_failed_run_whose_upload_is_gone_goes_on_from_its_own_copy(
    pipeline: Pipeline, conn: Connection, planned: bool
) -> None:
    uploaded = pipeline.upload("raw/departments.csv", ROWS)
    id = pipeline.plan(uploaded, "arn:first").run
    if not planned:
        mysql.run(conn, "UPDATE rowferry_runs SET records = NULL, batches = NULL, dialect = NULL WHERE id = %s", (id,))
    ledger.fail(conn, "arn:first", "DatabaseUnavailable", lasting=False)
    for version in pipeline.bucket.versions_of("raw/departments.csv"):
        pipeline.bucket.delete(version)
    assert pipeline.run(uploaded, "arn:second")["inserted"] == 6
    assert pipeline.plan(uploaded, "arn:third").outcome == "duplicate"
    assert list(pipeline.places(["processed/"])) == ["processed/departments.csv"]
    assert pipeline.read(id).status == "done"
