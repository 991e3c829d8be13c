"""Odd names, hostile sizes, older versions, and reject files on their way back."""

import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from rowferry import ledger
from rowferry.errors import NotFound
from rowferry.steps.input_copy import FILE_BYTES
from rowferry.steps.plan import Uploaded
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version
from tests.support.pipeline import Pipeline

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    "name",
    [
        "departments/with space.csv",
        "departments-a+b.csv",
        "departments/100%.csv",
        "departments/%2F%20.csv",
        "departments/Zürich 東京.csv",
        "departments/a/b/c.csv",
        "departments/a..csv.csv",
    ],
)
def test_any_name_goes_all_the_way(pipeline: Pipeline, name: str) -> None:
    report = pipeline.migrate(f"raw/{name}", "1,A\n2,\n")
    assert (report["status"], report["inserted"], report["moved_to"]) == ("done", 1, f"processed/{name}")
    assert pipeline.rejects(report)[0]["_line"] == "2"
    assert sorted(pipeline.places()) == sorted([f"processed/{name}", report["rejects_key"]])


@pytest.mark.parametrize("name", ["departments.csv.gz", "departments/x.csv.gz"])
def test_a_gz_is_inflated_and_moved_as_it_came(pipeline: Pipeline, name: str) -> None:
    body = gzip.compress(b"1,A\n2,B\n")
    report = pipeline.migrate(f"raw/{name}", body)
    assert report["inserted"] == 2
    assert pipeline.bucket.read_all(f"processed/{name}") == body


class WithdrawingBucket(Bucket):
    """Somebody deletes a file's versions for good at the moment when the run is about to copy it."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        super().__init__(bucket.name, bucket._client)
        self._key = key

    def exists(self, key: str) -> bool:
        for version in self.versions_of(self._key):
            self.delete(version)
        return super().exists(key)


@pytest.mark.parametrize("name", ["departments.csv", "departments.csv.gz"])
def test_a_file_that_is_deleted_before_its_copy_is_not_called_empty(pipeline: Pipeline, name: str) -> None:
    uploaded = pipeline.upload(f"raw/{name}", gzip.compress(b"1,A\n") if name.endswith(".gz") else b"1,A\n")
    pipeline.bucket = WithdrawingBucket(pipeline.bucket, f"raw/{name}")
    with pytest.raises(NotFound, match=r"was deleted before the run had copied it; .* has to be uploaded again"):
        pipeline.plan(uploaded)


def test_a_gz_that_is_deleted_meanwhile_ends_where_the_report_says(pipeline: Pipeline) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv.gz", gzip.compress(b"1,A\n"))).run
    for version in pipeline.bucket.versions_of("raw/departments.csv.gz"):
        pipeline.bucket.delete(version)
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    pipeline.load(id)
    report = pipeline.summarise(id)
    assert list(pipeline.places()) == [report["moved_to"]] == ["processed/departments.csv"]
    assert pipeline.bucket.read_all(report["moved_to"]) == b"1,A\n"


@pytest.mark.parametrize("key", ["raw/unknown.csv", "raw/departments.csv.gz"])
def test_a_refused_file_that_is_deleted_meanwhile_ends_refused(pipeline: Pipeline, key: str) -> None:
    planned = pipeline.plan(pipeline.upload(key, b""))
    assert planned.outcome == "refused"
    for version in pipeline.bucket.versions_of(key):
        pipeline.bucket.delete(version)
    report = pipeline.summarise(planned.run)
    assert (report["status"], report["moved_to"]) == ("refused", None)
    (reason,) = pipeline.places()
    assert reason.endswith(f"/{planned.run}/reason.json")
    assert pipeline.read(planned.run).status == "refused"


class MovedMeanwhile(Bucket):
    """Another attempt ends the run just before the upload is copied to where it ends."""

    def __init__(self, bucket: Bucket, act: Callable[[], object]) -> None:
        super().__init__(bucket.name, bucket._client)
        self._acts = [act]

    def copy(self, version: Version, to: str, metadata: Mapping[str, str]) -> None:
        if self._acts:
            self._acts.pop()()
        super().copy(version, to, metadata)


def test_two_attempts_at_summarise_at_the_same_time_move_one_file(pipeline: Pipeline) -> None:
    id = pipeline.plan(pipeline.upload("raw/departments.csv", b"1,A\n")).run
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    assert pipeline.turn(id)
    pipeline.load(id)
    other = Pipeline(pipeline.settings, pipeline.bucket)
    pipeline.bucket = MovedMeanwhile(pipeline.bucket, lambda: other.summarise(id))
    assert pipeline.summarise(id)["moved_to"] == "processed/departments.csv"
    assert len(pipeline.bucket.versions_of("processed/departments.csv")) == 1
    assert list(pipeline.places()) == ["processed/departments.csv"]


def test_a_folder_is_ignored_and_stays(pipeline: Pipeline) -> None:
    assert pipeline.plan(pipeline.upload("raw/departments/", b"")).outcome == "ignored"
    assert list(pipeline.places()) == ["raw/departments/"]


@pytest.mark.parametrize(
    "key", ["processed/departments.csv", "runs/x/input.csv", "errors/departments.csv", "departments.csv"]
)
def test_an_event_for_a_key_elsewhere_is_ignored(pipeline: Pipeline, key: str) -> None:
    assert pipeline.plan(pipeline.upload(key, b"1,A\n")).outcome == "ignored"
    assert pipeline.table("departments") == []


def test_an_upload_that_is_gone_before_it_is_planned_is_said_to_be_gone(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    for version in pipeline.bucket.versions_of("raw/departments.csv"):
        pipeline.bucket.delete(version)
    assert pipeline.plan(uploaded).outcome == "gone"


@pytest.mark.parametrize("apart", [True, False])
def test_an_older_version_after_a_newer_one_was_loaded_does_not_undo_it(pipeline: Pipeline, apart: bool) -> None:
    older = pipeline.upload("raw/departments.csv", "1,Older\n")
    if apart:
        with_time_between(pipeline)
    pipeline.run(pipeline.upload("raw/departments.csv", "1,Newer\n"))
    report = pipeline.run(older)
    assert report["status"] == "superseded"
    assert report["moved_to"].startswith("errors/departments/")
    assert pipeline.table("departments") == [(1, "Newer")]
    assert list(pipeline.bucket.keys("raw/")) == []


def of_one_second(pipeline: Pipeline) -> list[Uploaded]:
    """Three versions of one key, which S3's clock does not tell apart."""
    while True:
        uploads = [pipeline.upload("raw/departments.csv", f"1,Version {n}\n") for n in range(3)]
        listed = pipeline.bucket.versions_of("raw/departments.csv")
        if len({version.modified for version in listed[-3:]}) == 1:
            for version in listed[:-3]:
                pipeline.bucket.delete(version)
            return uploads


def test_the_newest_version_of_one_second_is_loaded_when_the_older_ones_are_there_no_more(pipeline: Pipeline) -> None:
    for uploaded in of_one_second(pipeline):
        assert pipeline.run(uploaded)["status"] == "done"
    assert pipeline.table("departments") == [(1, "Version 2")]


def test_a_failed_version_does_not_undo_a_newer_one_of_the_same_second(pipeline: Pipeline, conn: Connection) -> None:
    first, second, third = of_one_second(pipeline)
    pipeline.plan(second, "arn:second")
    ledger.fail(conn, "arn:second", "DatabaseUnavailable: for an hour", lasting=False)
    assert pipeline.run(first)["status"] == "done"
    assert pipeline.run(third)["status"] == "done"
    again = pipeline.plan(second, "arn:again").run
    pipeline.validate(again)
    assert pipeline.reconcile(again) == "load"
    assert pipeline.take_turn(again) == "superseded"
    assert pipeline.summarise(again)["status"] == "superseded"
    assert pipeline.table("departments") == [(1, "Version 2")]


def test_a_version_that_nobody_announced_does_not_undo_a_newer_one_of_the_same_second(pipeline: Pipeline) -> None:
    first, second, third = of_one_second(pipeline)
    assert pipeline.run(second)["status"] == "done"
    assert pipeline.run(first)["status"] == "superseded"
    assert pipeline.run(third)["status"] == "done"
    assert pipeline.table("departments") == [(1, "Version 2")]


def with_time_between(pipeline: Pipeline) -> None:
    """S3 counts whole seconds: until an upload would be of a later one."""
    first = pipeline.bucket.versions_of("raw/departments.csv")[-1].modified
    while True:
        pipeline.bucket.write("clock", b"")
        if pipeline.bucket.versions_of("clock")[-1].modified > first:
            return


def test_a_gz_that_expands_a_thousandfold_is_refused_in_little_memory(pipeline: Pipeline) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as fp:
        for _ in range(96):
            fp.write(b"1,A\n" * (MEBIBYTE // 4))
    uploaded = pipeline.upload("raw/departments.csv.gz", packed.getvalue())
    tracemalloc.start()
    report = pipeline.run(uploaded)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report["code"] == "too_large"
    assert report["reason"].startswith("the file inflates to more than ")
    assert (
        peak < 200 * MEBIBYTE
    )  # moto keeps the parts of the upload in this process: at most the bound of 64 MiB, twice


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 100, "not_utf8"),
        (b"x" + b"," * 1_000_000 + b"y\n", None),
        (b'"' * 100_000, None),
        (b"1," + b"x" * 5 * MEBIBYTE + b"\n", "record_too_long"),
        (b"1,A\n" + b'2,"' + b"y" * 5 * MEBIBYTE + b"\n", "record_too_long"),
    ],
)
def test_hostile_files_end_in_errors(pipeline: Pipeline, body: bytes, code: str | None) -> None:
    report = pipeline.migrate("raw/departments.csv", body)
    assert report["status"] in ("refused", "gated")
    if code:
        assert report["code"] == code
    assert pipeline.bucket.read_all(report["moved_to"]) == body
    assert pipeline.table("departments") == []


def test_every_code_of_a_reject_file_can_be_corrected_and_uploaded_as_it_is(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", "1,A\n")
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    at = "2021-01-01T00:00:00Z"
    big = "x" * 65536
    body = (
        f"1,Good,{at},1,1\n"
        f"1,Other values,{at},1,1\n"
        f"a,int_format,{at},1,1\n"
        f"3,,{at},1,1\n"
        f"4,datetime_format,2021-13-01,1,1\n"
        f"5,precision,2021-01-01T00:00:00.5Z,1,1\n"
        f"6,range,{at},0,1\n"
        f"7,{big},{at},1,1\n"
        f"8,no parent,{at},9,1\n"
        f"9,too,few\n"
        f'10,"bad"quoting,{at},1,1\n'
    )
    report = pipeline.migrate("raw/hired_employees.csv", body, on_conflict="skip")
    rejects = pipeline.rejects(report)
    codes = (
        "int_format missing datetime_format datetime_precision out_of_range too_long no_parent field_count bad_quoting"
    )
    assert [row["_codes"] for row in rejects] == codes.split()
    assert [row["_raw"] for row in rejects[-2:]] == ["9,too,few", f'10,"bad"quoting,{at},1,1']
    assert rejects[-1]["id"] == ""
    for row, id in zip(rejects, range(2, 11), strict=True):
        row |= {"id": str(id), "name": row["_codes"], "datetime": at, "department_id": "1", "job_id": "1"}
    text = io.StringIO()
    writer = csv.DictWriter(text, rejects[0])
    writer.writeheader()
    writer.writerows(rejects)
    again = pipeline.migrate("raw/hired_employees-corrected.csv", text.getvalue())
    assert (again["read"], again["inserted"], again["rejected"]) == (9, 9, 0)
    assert [row[0] for row in pipeline.table("hired_employees")] == list(range(1, 11))


@pytest.mark.parametrize(
    "record", ['1,A,"' + 'x""' * 1_300_000 + '"', '1,"A"x' + '"' * 2_500_000, "x," + "y" * 4_194_200]
)
def test_a_record_that_would_be_too_long_with_its_reject_is_named_and_left_out(pipeline: Pipeline, record: str) -> None:
    report = pipeline.migrate("raw/departments.csv", f"5,E\n{record}\n2,\n")
    assert (report["inserted"], report["rejected"]) == (1, 2)
    text = pipeline.bucket.read_all(report["rejects_key"])
    (long, short) = pipeline.rejects(report)
    assert (long["id"], long["name"], long["_raw"], long["_line"]) == ("", "", "", "2")
    assert long["_message"].endswith("so its fields are left out here: they are on this line of the uploaded file")
    assert short["_message"] == "line 3: name is empty"
    again = pipeline.migrate("raw/departments-again.csv", text.replace(b"2,,3", b"2,B,3"))
    assert (again["read"], again["inserted"], again["rejected"]) == (2, 1, 1)


def test_an_uncorrected_reject_file_comes_back_whole(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "1,\nx,A\n3,4,5\n6,B\n")
    text = pipeline.bucket.read_all(report["rejects_key"])
    again = pipeline.migrate("raw/departments-again.csv", text)
    assert (again["read"], again["rejected"], again["status"]) == (3, 3, "gated")


def test_a_key_of_a_thousand_bytes_ends_under_keys_that_s3_takes(pipeline: Pipeline) -> None:
    for length in (1_000, 1_024):
        key = "raw/departments/" + "x" * (length - len("raw/departments/.csv")) + ".csv"
        report = pipeline.migrate(key, "1,A\n2,\n")
        refused = pipeline.migrate(key, "id,title\n")
        for place in (report["moved_to"], report["rejects_key"], refused["moved_to"]):
            assert len(place) <= 1_024
            assert pipeline.bucket.exists(place)


def test_a_lone_carriage_return_comes_back_in_the_rejects(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", b'id,name\n0,"c\rd"\n7,ok\n')
    text = pipeline.bucket.read_all(report["rejects_key"])
    again = pipeline.migrate("raw/departments-again.csv", text.replace(b"\n0,", b"\n8,"))
    assert again["inserted"] == 1
    assert pipeline.table("departments") == [(7, "ok"), (8, "c\rd")]


def test_a_header_of_a_thousand_columns_is_read_and_one_of_more_is_refused(pipeline: Pipeline) -> None:
    for extra, status in ((998, "done"), (999, "refused")):
        body = "id,name" + ",_" * extra + "\n1,A" + ",x" * extra + "\n"
        assert pipeline.migrate("raw/departments.csv", body)["status"] == status


class Enormous(Bucket):
    """Says of each upload that it is one byte larger than a file may be."""

    def versions(self, prefix: str, begin: str = "") -> Iterator[Version]:
        return (replace(version, size=FILE_BYTES + 1) for version in super().versions(prefix, begin))


def test_a_plain_file_above_the_maximum_is_refused_with_what_to_do(pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/departments.csv", "1,A\n")
    calm, pipeline.bucket = pipeline.bucket, Enormous(pipeline.bucket.name, pipeline.bucket._client)
    planned = pipeline.plan(uploaded)
    pipeline.bucket = calm
    assert planned.outcome == "refused"
    assert planned.code == "too_large"
    assert str(planned.reason).startswith("the file has 5000000001 bytes and may have 5000000000; cut it")
    assert pipeline.summarise(planned.run)["status"] == "refused"
