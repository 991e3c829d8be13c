"""What a user of a running stack does: upload, wait, look at tables, S3, executions and the API."""

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx

from local import events
from local.recorder import logical
from local.stack import Stack
from rowferry.storage.s3 import Bucket
from tests.support.scenarios import counts as counts

PATIENCE = 240  # seconds; a run waits a minute for parents that are missing
Rows = list[tuple[Any, ...]]


class World:
    """A stack with its clients."""

    def __init__(self, stack: Stack) -> None:
        env = stack.environment()
        options: dict[str, Any] = {
            "endpoint_url": env["AWS_ENDPOINT_URL"],
            "region_name": env["AWS_REGION"],
            "aws_access_key_id": env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
        }
        self.stack = stack
        self.s3 = boto3.client("s3", **options)
        self.states = boto3.client("stepfunctions", **options)
        self.bucket = env["ROWFERRY_BUCKET"]
        self.machine = env["ROWFERRY_STATE_MACHINE_ARN"]
        self.sweep_machine = env["ROWFERRY_SWEEP_ARN"]
        bearer = {"Authorization": f"Bearer {env['ROWFERRY_API_TOKEN']}"}
        self.api = httpx.Client(base_url=env["ROWFERRY_API_URL"], headers=bearer, timeout=30)

    def close(self) -> None:
        self.api.close()
        self.s3.close()
        self.states.close()

    # --- files and executions

    def upload(self, key: str, body: str | bytes | Path) -> str:
        """Answers the object's version."""
        data = body.read_bytes() if isinstance(body, Path) else body.encode() if isinstance(body, str) else body
        return str(self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)["VersionId"])

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def executions_of(self, version: str) -> list[str]:
        """The executions that the ledger or their event ties to a version: found by the run's id."""
        return [row[0] for row in self.rows("SELECT execution FROM rowferry_runs WHERE version_id = %s", version)]

    def report(self, version: str) -> dict[str, Any]:
        """Waits for a version's run to end; answers its report as it lies in S3."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.rows("SELECT id, status, reason FROM rowferry_runs WHERE version_id = %s", version)
            if found and found[0][1] not in ("running", "failed"):
                loaded = json.loads(self.read(f"runs/{found[0][0]}/report.json"))
                assert isinstance(loaded, dict)
                return loaded
            assert not found or found[0][1] != "failed", f"the run failed: {found[0][2]}"
            time.sleep(0.1)
        raise AssertionError(f"version {version} did not end in {PATIENCE} s")

    def failure(self, version: str) -> str:
        """Waits for a version's run to fail; answers why."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.rows("SELECT reason FROM rowferry_runs WHERE version_id = %s AND status = 'failed'", version)
            if found:
                return str(found[0][0])
            time.sleep(0.1)
        raise AssertionError(f"version {version} did not fail in {PATIENCE} s")

    def migrate(self, key: str, body: str | bytes | Path) -> dict[str, Any]:
        return self.report(self.upload(key, body))

    def start(self, event: dict[str, Any]) -> dict[str, Any]:
        """Starts an execution with an event and waits for its end."""
        arn = self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(event))["executionArn"]
        return self.end_of(arn)

    def sweep(self, **asked: Any) -> dict[str, Any]:
        """Starts the sweep and waits for its end."""
        arn = self.states.start_execution(stateMachineArn=self.sweep_machine, input=json.dumps(asked))["executionArn"]
        return self.end_of(arn)

    def end_of(self, arn: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.states.describe_execution(executionArn=arn)
            if found["status"] != "RUNNING":
                return {"status": found["status"], "output": json.loads(found.get("output") or "null")}
            time.sleep(0.1)
        raise AssertionError(f"{arn} did not end in {PATIENCE} s")

    def wait_until_idle(self) -> None:
        """Until no execution runs: the last one of a run ends a moment after the run itself."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self.states.list_executions(stateMachineArn=self.machine, statusFilter="RUNNING")["executions"]:
                return
            time.sleep(0.1)
        raise AssertionError("executions go on and on")

    def event(self, key: str, etag: str) -> dict[str, Any]:
        """What EventBridge hands to the state machine for an upload, without a version, as the emulator sends it."""
        detail = {"bucket": {"name": self.bucket}, "object": {"key": key, "etag": etag}, "reason": "PutObject"}
        return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    def unannounced(self) -> AbstractContextManager[None]:
        """Uploads within start nothing."""
        assert self.stack.emulator
        return events.unannounced(self.stack.emulator)

    @contextmanager
    def setting(self, function: str, **changed: str) -> Iterator[None]:
        """A function with other environment variables."""
        assert self.stack.emulator
        with closing(boto3.client("lambda", **self.stack.emulator.client_options())) as client:
            found = next(f for f in client.list_functions()["Functions"] if logical(f["FunctionName"]) == function)
            name, kept = found["FunctionName"], found["Environment"]["Variables"]
            client.update_function_configuration(FunctionName=name, Environment={"Variables": kept | changed})
            try:
                yield
            finally:
                client.update_function_configuration(FunctionName=name, Environment={"Variables": kept})

    # --- rows

    def rows(self, sql: str, *args: object) -> Rows:
        assert self.stack.mysql
        with closing(self.stack.mysql.connect()) as conn, conn.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(sql, args or None)
            return list(cursor.fetchall())

    def wait_for(self, sql: str, *args: object) -> Rows:
        """What a query answers as soon as it answers anything."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := self.rows(sql, *args):
                return found
            time.sleep(0.1)
        raise AssertionError(f"nothing came up in {PATIENCE} s: {sql}")

    def execute(self, *statements: str) -> None:
        """In one transaction."""
        assert self.stack.mysql
        with closing(self.stack.mysql.connect()) as conn, conn.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            conn.commit()

    def empty_tables(self) -> None:
        self.wait_until_idle()
        ledger = ("rowferry_batches", "rowferry_attempts", "rowferry_runs", "rowferry_jobs")
        tables = ("hired_employees", "jobs", "departments", *ledger)
        self.execute(*[f"DELETE FROM {table}" for table in tables])
        uploads = Bucket(self.bucket, self.s3)
        for version in (*uploads.versions("raw/"), *uploads.versions("check/")):
            uploads.delete(version)  # for good: the emulator's events name no version, an older one would be taken

    def rejects(self, report: dict[str, Any]) -> list[dict[str, str]]:
        if not report["rejects_key"]:
            return []
        return list(csv.DictReader(io.StringIO(self.read(report["rejects_key"]).decode("utf-8-sig"), newline="")))
