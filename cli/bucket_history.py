"""The same answers where the API is out of reach: from Step Functions, the bucket and the two functions for backups.

Step Functions keeps executions for 90 days, the bucket keeps a finished run's report for as long as its lifecycle rule
says. Metrics and giving up a run need the API.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.history import Run
from cli.output import CommandError
from cli.stack import Stack, words

NEEDS_API = (
    "needs the API, which this machine can't reach. Open a tunnel with Session Manager (docs/running.md), "
    "or use the API's HTTPS address"
)
ASKED_EXECUTIONS = 1_000


@dataclass(frozen=True)
class Execution:
    """One execution with the upload that it is about."""

    arn: str
    status: str
    key: str
    etag: str
    version: str | None
    started_at: str
    ended_at: str | None
    output: dict[str, Any] | None
    cause: str | None


class BucketHistory:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._inputs: dict[str, dict[str, Any]] = {}

    def runs(self, limit: int) -> Sequence[Run]:
        found = dict[str, Run]()
        for execution in self._executions():
            run = self._run_of(execution)
            if run and run.run not in found:
                found[run.run] = run
            if len(found) >= limit:
                break
        return list(found.values())

    def run(self, id: str) -> Run | None:
        if report := self._json(f"runs/{id}/report.json"):
            return Run.model_validate(report)
        for execution in self._executions():
            run = self._run_of(execution)
            if run and run.run == id:
                return run
        return None

    def retry(self, run: Run) -> str:
        arn = run.execution_arn
        given = self._describe(arn)["input"] if arn else None
        if run.status != "failed" or given is None:
            raise CommandError(f"run {run.run} is {run.status}: only a failed run can be started again")
        with _as_command_errors():
            started = self._stack.states.start_execution(stateMachineArn=self._stack.machine, input=given)
        return f"an execution was started: {started['executionArn']}"

    def abandon(self, id: str, reason: str) -> Run:
        raise CommandError(f"abandon {NEEDS_API}")

    def back_up(self, tables: Sequence[str]) -> dict[str, Any]:
        return self._invoke(self._stack.backup_function, {"tables": list(tables)})

    def restore(self, tables: Sequence[str], order: dict[str, Any]) -> dict[str, Any]:
        return self._invoke(self._stack.restore_function, {"tables": list(tables), **order})

    def backups(self, table: str | None) -> Sequence[dict[str, Any]]:
        keys = [
            key for key in self._keys(f"backups/{table}/" if table else "backups/") if key.endswith("manifest.json")
        ]
        found = [manifest for key in sorted(keys, reverse=True) if (manifest := self._json(key))]
        if table:
            return found
        newest = {one["table"]: one for one in reversed(found)}
        return list(newest.values())

    def metric(self, name: str, year: int) -> Sequence[dict[str, Any]]:
        raise CommandError(f"{name} {NEEDS_API}")

    # --- executions

    def _executions(self) -> Iterator[Execution]:
        with _as_command_errors():
            pages = self._stack.states.get_paginator("list_executions").paginate(
                stateMachineArn=self._stack.machine, PaginationConfig={"MaxItems": ASKED_EXECUTIONS}
            )
            found = [one for page in pages for one in page["executions"]]
        for one in sorted(found, key=lambda one: one["startDate"], reverse=True):
            yield self._execution(self._describe(one["executionArn"]))

    def _describe(self, arn: str) -> dict[str, Any]:
        if arn not in self._inputs:
            with _as_command_errors():
                described = self._stack.states.describe_execution(executionArn=arn)
            if described["status"] == "RUNNING":
                return dict(described)
            self._inputs[arn] = described
        return self._inputs[arn]

    def _execution(self, described: dict[str, Any]) -> Execution:
        detail = json.loads(described.get("input") or "{}").get("detail", {})
        found = detail.get("object", {})
        ended = described.get("stopDate")
        return Execution(
            arn=described["executionArn"],
            status=described["status"],
            key=found.get("key", ""),
            etag=found.get("etag", ""),
            version=found.get("version-id"),
            started_at=described["startDate"].isoformat(),
            ended_at=ended.isoformat() if ended else None,
            output=json.loads(described["output"]) if described.get("output") else None,
            cause=described.get("cause") or described.get("error"),
        )

    def _run_of(self, execution: Execution) -> Run | None:
        """None for an execution that made no run, such as one for a duplicate event."""
        if execution.output is not None:
            return Run.model_validate(execution.output) if "status" in execution.output else None
        id = self._id(execution)
        if id is None:
            return None
        running = execution.status == "RUNNING"
        return Run(
            run=id,
            key=execution.key,
            status="running" if running else "failed",
            stage=self._stage(execution.arn) if running else "",
            reason=None if running else execution.cause,
            started_at=execution.started_at,
            finished_at=execution.ended_at,
            execution_arn=execution.arn,
        )

    def _id(self, execution: Execution) -> str | None:
        from rowferry.ledger import run_id

        version = execution.version or self._version(execution.key, execution.etag)
        return run_id(self._stack.bucket, execution.key, version) if version else None

    def _version(self, key: str, etag: str) -> str | None:
        with _as_command_errors():
            listed = self._stack.s3.list_object_versions(Bucket=self._stack.bucket, Prefix=key).get("Versions", [])
        wanted = etag.strip('"')
        ids = [one["VersionId"] for one in listed if one["Key"] == key and one["ETag"].strip('"') == wanted]
        return ids[0] if ids else None

    def _stage(self, arn: str) -> str:
        """The state that was entered last."""
        with _as_command_errors():
            events = self._stack.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=25)
        names = [event["stateEnteredEventDetails"]["name"] for event in events["events"] if _is_entry(event)]
        return str(names[0]) if names else "Plan"

    # --- the bucket and the functions

    def _json(self, key: str) -> dict[str, Any] | None:
        try:
            with _as_command_errors():
                body = self._stack.s3.get_object(Bucket=self._stack.bucket, Key=key)["Body"].read()
        except CommandError as error:
            if isinstance(error.__cause__, self._stack.s3.exceptions.NoSuchKey):
                return None
            raise
        return dict(json.loads(body))

    def _keys(self, prefix: str) -> Iterator[str]:
        with _as_command_errors():
            pages = self._stack.s3.get_paginator("list_objects_v2").paginate(Bucket=self._stack.bucket, Prefix=prefix)
            yield from [found["Key"] for page in pages for found in page.get("Contents", ())]

    def _invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        with _as_command_errors():
            answer = self._stack.functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())
            told = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise CommandError(str(told.get("errorMessage") or told))
        return dict(told)


def _is_entry(event: dict[str, Any]) -> bool:
    return "stateEnteredEventDetails" in event


@contextmanager
def _as_command_errors() -> Iterator[None]:
    """Turns errors of AWS clients into ours."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise CommandError(words(error)) from error
