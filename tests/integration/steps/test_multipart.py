"""Uploads in parts: S3 dates them, and orders a key's versions, by when they began, and shows them when they end."""

import datetime as dt

from moto.core.utils import utcnow
from moto.s3.models import s3_backends

from rowferry.steps.plan import Uploaded
from rowferry.steps.sweep import sweep
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline

KEY = "raw/departments.csv"
HOUR = dt.timedelta(hours=1)
CHILD = "1,A,2021-01-01T00:00:00Z,1,1\n"


def completed(pipeline: Pipeline, key: str, body: str, begun: dt.timedelta) -> Uploaded:
    """An upload in parts that began so long ago and is completed now. moto dates it by its end; S3 does not."""
    bucket, client = pipeline.bucket.name, pipeline.bucket._client
    id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    etag = client.upload_part(Bucket=bucket, Key=key, UploadId=id, PartNumber=1, Body=body.encode())["ETag"]
    done = client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=id, MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]}
    )
    for backend in s3_backends.values():
        if (kept := backend.get("aws")) and bucket in kept.buckets:
            (version,) = [v for v in kept.buckets[bucket].keys.getlist(key) if v.version_id == done["VersionId"]]
            version.last_modified = utcnow() - begun
    return Uploaded(key, done["ETag"], done["VersionId"])


def test_a_child_that_took_long_to_upload_waits_for_its_parents_as_any_other(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    child = pipeline.plan(completed(pipeline, "raw/hired_employees.csv", CHILD, begun=HOUR)).run
    pipeline.validate(child)
    assert pipeline.reconcile(child, dt.timedelta(0)) == "wait"
    pipeline.migrate(KEY, "1,A\n")
    assert pipeline.reconcile(child, dt.timedelta(0)) == "load"


def test_a_run_that_was_started_long_ago_does_not_wait_again(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    child = pipeline.plan(completed(pipeline, "raw/hired_employees.csv", CHILD, begun=dt.timedelta(0))).run
    pipeline.validate(child)
    assert pipeline.reconcile(child, dt.timedelta(seconds=61)) == "withhold"


def test_a_version_that_began_earlier_and_was_completed_later_does_not_undo_the_current_one(
    pipeline: Pipeline,
) -> None:
    assert pipeline.migrate(KEY, "1,Current\n")["status"] == "done"
    report = pipeline.run(completed(pipeline, KEY, "1,Began earlier\n", begun=HOUR))
    assert report["status"] == "superseded"
    assert pipeline.table("departments") == [(1, "Current")]


def test_a_sweep_that_meets_an_upload_just_completed_starts_nothing_twice(pipeline: Pipeline, conn: Connection) -> None:
    """The event and the sweep both start it: one of the two executions has the run."""
    uploaded = completed(pipeline, KEY, "1,A\n", begun=2 * HOUR)
    found = sweep(conn, pipeline.bucket, dt.datetime.now(dt.UTC) - HOUR).versions
    assert [version.id for version in found] == [uploaded.version]
    assert pipeline.plan(uploaded, "arn:event").outcome == "planned"
    (swept,) = found
    again = pipeline.plan(Uploaded(swept.key, swept.etag, swept.id), "arn:sweep")
    assert again.outcome == "duplicate"
    assert pipeline.run(uploaded, "arn:event")["inserted"] == 1
    assert pipeline.plan(Uploaded(swept.key, swept.etag, swept.id), "arn:late sweep").outcome == "duplicate"


def test_a_parents_upload_that_is_completed_and_not_yet_claimed_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    child = pipeline.plan(pipeline.upload("raw/hired_employees.csv", CHILD)).run
    pipeline.validate(child)
    parent = completed(pipeline, KEY, "1,A\n", begun=3 * HOUR)
    assert pipeline.reconcile(child, 2 * dt.timedelta(minutes=1)) == "wait"
    pipeline.run(parent)
    assert pipeline.reconcile(child, 2 * dt.timedelta(minutes=1)) == "load"
