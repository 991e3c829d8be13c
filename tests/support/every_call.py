"""Files on every way that there is, so that every function makes every kind of call that it can make to S3.

A new function, or a new way through an old one, gets its scenario in tests/support/scenarios.py; what happens when S3
fails stands here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from local.emulator import ROOT
from local.recorder import Call, Recorder
from tests.support.scenarios import MEGABYTE, SCENARIOS
from tests.support.stack_client import World, counts

TRIES = 4
"""Of a call, by rowferry.storage.s3."""


def large_rejects(world: World, key: str = "raw/jobs-4.csv") -> None:
    """Rejects in several parts."""
    rows = "".join(f"{i},{'x' * 70_000}\n" for i in range(1, 200))
    assert counts(world.migrate(key, rows)) == (199, 0, 0, 0, 199)


# --- when S3 fails in between ---------------------------------------------------------------------------------------


def repeated_ends(world: World, recorder: Recorder) -> None:
    """The upload was copied to where it ends, and could not be deleted: the step is repeated and finds its copy."""
    for name, body in {"departments-13": "1,A\n", "departments-14": "1,\n"}.items():
        with refused_for_a_while(recorder, "DeleteObject", f"raw/{name}.csv"):
            world.migrate(f"raw/{name}.csv", body)


def rejects_cut_off(world: World, recorder: Recorder) -> None:
    with refused_for_a_while(recorder, "UploadPart", "errors/jobs-5/"):
        large_rejects(world, "raw/jobs-5.csv")


@contextmanager
def refused_for_a_while(recorder: Recorder, operation: str, key: str) -> Iterator[None]:
    """As often as boto3 tries a call, so that the step fails once."""
    refused = list[Call]()

    def refuses(call: Call) -> bool:
        if call.operation != operation or not call.key.startswith(key) or len(refused) == TRIES:
            return False
        refused.append(call)
        return True

    recorder.refuses = refuses
    yield
    recorder.refuses = lambda _: False
    assert len(refused) == TRIES


# --- backups and restores -------------------------------------------------------------------------------------------


def backups_and_restores(world: World, recorder: Recorder) -> None:
    """Large enough for several parts; once broken off between two; with something for retention to remove."""
    env = world.stack.environment()
    digits = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6)"
    numbers = f"(SELECT 1000000 + a.d + 7 * b.d + 49 * c.d + 343 * d.d + 2401 * e.d AS id FROM {digits} a, {digits} b,"
    numbers += f" {digits} c, {digits} d, {digits} e) n"
    world.execute(f"INSERT INTO departments SELECT id, {NOISE} FROM {numbers}")
    with refused_for_a_while(recorder, "UploadPart", "backups/departments/"):
        assert "FunctionError" in invoked(world, env["ROWFERRY_BACKUP_FUNCTION"], {"tables": ["departments"]})
    abandoned = "backups/departments/20200101T000000000000Z-000000/data.avro"
    world.s3.put_object(Bucket=world.bucket, Key=abandoned, Body=b"half of it")
    world.s3.create_multipart_upload(Bucket=world.bucket, Key=abandoned)
    assert "FunctionError" not in invoked(world, env["ROWFERRY_BACKUP_FUNCTION"], {})
    assert not world.s3.list_object_versions(Bucket=world.bucket, Prefix=abandoned).get("Versions")
    world.execute("UPDATE departments SET name = 'x' WHERE id >= 1000000")
    for order in ({"tables": ["departments"]}, {"tables": ["departments"], "id": "20200101T000000000000Z-000000"}):
        assert "FunctionError" not in invoked(world, env["ROWFERRY_RESTORE_FUNCTION"], order)
    world.execute("DELETE FROM departments WHERE id >= 1000000")


NOISE = f"CONCAT({', '.join(f'SHA2(id + 0.{part:02}, 512)' for part in range(1, 17))})"
"""2,048 characters that no codec makes less than half as long."""


def invoked(world: World, name: str, event: dict[str, Any]) -> dict[str, Any]:
    assert world.stack.emulator
    client = boto3.client("lambda", **world.stack.emulator.client_options())
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    client.close()
    return dict(answer)


# --- above CopyObject's limit ---------------------------------------------------------------------------------------

_COPY = """
import sys
from dataclasses import replace
from rowferry.storage.s3 import COPY_BYTES, Bucket
name, key, to = sys.argv[1:]
bucket = Bucket(name)
bucket.copy(replace(bucket.versions_of(key)[-1], size=COPY_BYTES + 1), to, {"rowferry-run": "x"})
"""


def copies_beyond_5_gb(world: World, recorder: Recorder) -> None:
    """In parts; told that they are so large, files of 20 MB do. Each is cut off once."""
    for function, key, to in (
        ("PlanFunction", "raw/huge.csv", "runs/huge/input.csv"),
        ("PlanFunction", "check/huge.csv", "runs/huge/input.csv"),
        ("SummariseFunction", "raw/huge.csv", "processed/huge.csv"),
        ("SummariseFunction", "raw/huge.csv", "errors/huge.csv"),
        ("SummariseFunction", "runs/huge/input.csv", "processed/huge.csv"),
        ("SummariseFunction", "runs/huge/input.csv", "errors/huge.csv"),
    ):
        with world.unannounced():
            body = b"x" * 20 * MEGABYTE
            world.s3.put_object(Bucket=world.bucket, Key=key, Body=body, Tagging="owner=somebody")
        recorder.refuses = lambda call: call.operation == "UploadPartCopy"
        assert copy_in_parts(world, recorder, function, key, to) == 1
        recorder.refuses = lambda _: False
        assert copy_in_parts(world, recorder, function, key, to) == 0
        world.s3.delete_object(Bucket=world.bucket, Key=key)


def copy_in_parts(world: World, recorder: Recorder, function: str, key: str, to: str) -> int:
    """The exit code of a process that copies as that function does."""
    assert world.stack.emulator
    env = os.environ | world.stack.emulator.environment() | recorder.environment(function)
    command = [sys.executable, "-c", _COPY, world.bucket, key, to]
    return subprocess.run(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode


def take_all(world: World, recorder: Recorder) -> None:
    orphan = world.upload("raw/hired_employees-3.csv", "9,Eve,2021-01-01T00:00:00Z,99,99\n")  # waits for a minute
    for scenario in SCENARIOS:
        scenario(world)
    large_rejects(world)
    repeated_ends(world, recorder)
    rejects_cut_off(world, recorder)
    copies_beyond_5_gb(world, recorder)
    backups_and_restores(world, recorder)
    assert world.report(orphan)["rejected"] == 1
    world.wait_until_idle()
