"""Files on every way through the state machines: the emulator and moto's interpreter must end each in the same way.

Written for `Stack`, what a user of a running stack does: stack_client.py is one, interpreter.py the other.
"""

import gzip
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from local.processes import wait_until

MEGABYTE = 1024 * 1024


class Stack(Protocol):
    s3: Any
    bucket: str

    def upload(self, key: str, body: str | bytes) -> str: ...

    def report(self, version: str) -> dict[str, Any]: ...

    def migrate(self, key: str, body: str | bytes) -> dict[str, Any]: ...

    def start(self, event: dict[str, Any]) -> dict[str, Any]: ...

    def sweep(self, **asked: Any) -> dict[str, Any]: ...

    def event(self, key: str, etag: str) -> dict[str, Any]: ...

    def rows(self, sql: str, *args: object) -> list[tuple[Any, ...]]: ...

    def execute(self, *statements: str) -> None: ...

    def unannounced(self) -> AbstractContextManager[None]:
        """Uploads within start nothing."""
        ...

    def setting(self, function: str, **changed: str) -> AbstractContextManager[None]:
        """A function with other environment variables."""
        ...


def loaded_with_rejects_and_duplicates(stack: Stack) -> None:
    report = stack.migrate("raw/departments-1.csv", "1,A\n2,\n3,C\n3,D\n")
    assert counts(report) == (4, 2, 0, 0, 2)
    assert report["duplicates_key"]
    assert counts(stack.migrate("raw/departments-2.csv", "1,Z\n3,D\n")) == (2, 0, 1, 1, 0)


def child_before_its_parents(stack: Stack) -> None:
    child = stack.upload("raw/hired_employees-1.csv", "1,Ann,2021-01-01T00:00:00Z,7,7\n")
    stack.migrate("raw/jobs-1.csv", "7,Clerk\n")
    stack.migrate("raw/departments-3.csv", "7,Sales\n")
    assert stack.report(child)["inserted"] == 1


def deleted_while_it_waits(stack: Stack) -> None:
    child = stack.upload("raw/hired_employees-2.csv", "3,Cid,2021-01-01T00:00:00Z,8,7\n")
    waits = "SELECT 1 FROM rowferry_runs WHERE version_id = %s AND reason IS NOT NULL"
    assert wait_until(lambda: bool(stack.rows(waits, child)), 60)
    stack.s3.delete_object(Bucket=stack.bucket, Key="raw/hired_employees-2.csv", VersionId=child)
    stack.migrate("raw/jobs-6.csv", "7,Clerk\n")
    stack.migrate("raw/departments-4.csv", "8,Tax\n")
    assert stack.report(child)["inserted"] == 1


def compressed(stack: Stack) -> None:
    assert stack.migrate("raw/jobs-2.csv.gz", gzip.compress(b"1,A\n"))["inserted"] == 1
    whole = gzip.compress(random.Random(1).randbytes(20 * MEGABYTE).hex().encode())
    report = stack.migrate("raw/jobs-3.csv.gz", whole[: len(whole) // 2])
    assert report["code"] == "not_gzip", "refused when some parts of the copy were written already"


def checked(stack: Stack) -> None:
    assert stack.migrate("check/departments.csv", "1,A\n2,\n")["status"] == "checked"
    assert stack.migrate("check/departments.csv.gz", gzip.compress(b"1,A\n"))["status"] == "checked"


def refused(stack: Stack) -> None:
    for name, body in {"departments-5": b"id,title\n1,A\n", "unknown": b"1,A\n", "departments-6": b"1,\xff\n"}.items():
        assert stack.migrate(f"raw/{name}.csv", body)["status"] == "refused"
    assert stack.migrate("raw/departments-7.csv", "")["status"] == "done"
    assert stack.migrate("raw/departments-8.csv", "1,\n2,\n")["rejected"] == 2


def superseded(stack: Stack) -> None:
    with stack.unannounced():
        older = stack.upload("raw/departments-9.csv", "1,older\n")
    newer = stack.migrate("raw/departments-9.csv", "1,newer\n")
    assert newer["status"] == "done"
    stack.sweep(older_than_minutes=0)
    assert stack.report(older)["status"] == "superseded"


def swept(stack: Stack) -> None:
    with stack.unannounced():
        version = stack.upload("raw/departments-10.csv", "1,A\n")
    stack.sweep(older_than_minutes=0)
    stack.report(version)


def delivered_twice(stack: Stack) -> None:
    version = stack.upload("raw/departments-11.csv", "1,B\n")
    etag = stack.s3.head_object(Bucket=stack.bucket, Key="raw/departments-11.csv")["ETag"].strip('"')
    stack.start(stack.event("raw/departments-11.csv", etag))
    stack.report(version)
    assert stack.start(stack.event("raw/departments-11.csv", etag))["output"]["outcome"] == "duplicate"


def failed(stack: Stack) -> None:
    assert stack.start({"detail": {"object": {"key": "raw/departments.csv"}}})["status"] == "FAILED"


def keys_that_are_there(stack: Stack) -> None:
    """Rejected while loading, where a deployment has OnConflict=reject."""
    stack.migrate("raw/departments-17.csv", "1,One\n")
    with stack.setting("PlanFunction", ON_CONFLICT="reject"):
        assert stack.migrate("raw/departments-12.csv", "1,Another\n500,New\n")["rejected_by_code"] == {"key_exists": 1}


def gate_shut(stack: Stack) -> None:
    with stack.setting("PlanFunction", MAX_REJECTED_PERCENT="10"):
        report = stack.migrate("raw/departments-15.csv", "601,A\n602,\n")
    assert (report["status"], report["withheld"], report["rejected"]) == ("gated", 1, 1)
    assert report["code"] == "too_many_rejects"
    assert report["reason"].startswith("1 of 2 records")
    assert stack.rows("SELECT 1 FROM departments WHERE id IN (601, 602)") == []


def waits_for_its_turn(stack: Stack) -> None:
    """Another run holds keys of the file; its end lets the file go on."""
    stack.execute(_HOLDER)
    version = stack.upload("raw/departments-16.csv", "705,A\n")
    waits = "SELECT 1 FROM rowferry_runs WHERE version_id = %s AND reason = 'waits for raw/departments-holder.csv'"
    assert wait_until(lambda: bool(stack.rows(waits, version)), 60)
    assert stack.rows("SELECT 1 FROM departments WHERE id = 705") == []
    stack.execute("DELETE FROM rowferry_runs WHERE id = 'holder'")
    assert stack.report(version)["inserted"] == 1


_HOLDER = """
    INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind, execution,
      status, stage, lease_until, options, started_at, claimed_at, low_key, high_key, turn)
    VALUES ('holder', 'a-bucket', 'raw/departments-holder.csv', '1', '', UTC_TIMESTAMP(6), 'departments', 'load', 'x',
      'running', 'Load', UTC_TIMESTAMP(6) + INTERVAL 10 MINUTE, '{}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 700, 710,
      'holding')"""


SCENARIOS: tuple[Callable[[Stack], None], ...] = (
    loaded_with_rejects_and_duplicates,
    child_before_its_parents,
    deleted_while_it_waits,
    compressed,
    gate_shut,
    waits_for_its_turn,
    checked,
    refused,
    superseded,
    swept,
    delivered_twice,
    failed,
    keys_that_are_there,
)


def counts(
    report: dict[str, Any], names: Sequence[str] = ("read", "inserted", "updated", "unchanged", "rejected")
) -> Any:
    return tuple(report[name] for name in names)
