"""What one file asks of AWS, counted while it goes through the local stack: transitions, invocations, S3, logs."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import boto3

from local.emulator import ROOT
from local.recorder import Call, Recorder
from local.stack import Stack

Counts = dict[str, float]
"""By unit: `transition`, `lambda_request`, `s3_put`, `s3_get`, `s3_free`, `log_byte`; and `gb_second_batches`, of the
functions that work on a batch, and `gb_second`, of the others."""

BATCH_FUNCTIONS = ("ValidateFunction", "LoadFunction")
GETS = {"GetObject", "HeadObject", "GetObjectTagging"}
FREE = {"DeleteObject", "AbortMultipartUpload"}
GROUP = "/rowferry/rowferry/functions"
GIGABYTES = 1.0
"""Of each function's memory: MemorySize in the template's Globals."""


class Counted:
    """Counts what happens on a stack whose functions come by a recorder."""

    def __init__(self, stack: Stack, recorder: Recorder) -> None:
        assert stack.emulator and stack.deployment and stack.mysql
        options = stack.emulator.client_options()
        self.stack = stack
        self.recorder = recorder
        self.bucket = stack.deployment.bucket
        self.s3: Any = boto3.client("s3", **options)
        self.states: Any = boto3.client("stepfunctions", **options)
        self.logs: Any = boto3.client("logs", **options)

    def close(self) -> None:
        for client in (self.s3, self.states, self.logs):
            client.close()

    def file(self, key: str, body: bytes) -> Counts:
        """A file from its upload to its execution's end."""
        calls, streams = len(self.recorder.calls), self._streams()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        arn = self._execution_of(key)
        return self._count(arn, calls, streams)

    def sweep(self) -> Counts:
        assert self.stack.deployment
        calls, streams = len(self.recorder.calls), self._streams()
        started = self.states.start_execution(stateMachineArn=self.stack.deployment.sweep_arn, input="{}")
        return self._count(self._ended(started["executionArn"]), calls, streams)

    def _execution_of(self, key: str) -> str:
        assert self.stack.mysql
        while True:
            with closing(self.stack.mysql.connect()) as conn, conn.cursor() as cursor:
                cursor.execute("SELECT execution FROM rowferry_runs WHERE object_key = %s", (key,))
                if found := cursor.fetchone():
                    return self._ended(str(found[0]))
            time.sleep(0.1)

    def _ended(self, arn: str) -> str:
        while (status := self.states.describe_execution(executionArn=arn)["status"]) == "RUNNING":
            time.sleep(0.1)
        assert status == "SUCCEEDED", status
        return arn

    def _count(self, arn: str, calls: int, streams: set[str]) -> Counts:
        return {
            "transition": self._transitions(arn),
            **_requests(self.recorder.calls[calls:]),
            **self._invocations(self._streams() - streams),
        }

    # --- Step Functions

    def _transitions(self, arn: str) -> int:
        """States entered; for each of a Map's children its start, and the states that it enters when all goes well."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=arn)
        entered: int = sum(event["type"].endswith("StateEntered") for page in pages for event in page["events"])
        return entered + sum(self._of_children(run["mapRunArn"]) for run in self._map_runs(arn))

    def _map_runs(self, arn: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.states.list_map_runs(executionArn=arn)["mapRuns"]
        return found

    def _of_children(self, map_run: str) -> int:
        label = map_run.rpartition("/")[2].partition(":")[0]
        children = self.states.describe_map_run(mapRunArn=map_run)["itemCounts"]["total"]
        return int(children) * (1 + len(list(happy_path(_processor(label)))))

    # --- Lambda and its logs

    def _streams(self) -> set[str]:
        """One for each invocation; each is written when that has ended."""
        pages = self.logs.get_paginator("describe_log_streams").paginate(logGroupName=GROUP)
        try:
            return {stream["logStreamName"] for page in pages for stream in page["logStreams"]}
        except self.logs.exceptions.ResourceNotFoundException:
            return set()

    def _invocations(self, streams: Iterable[str]) -> Counts:
        found = Counter[str]()
        milliseconds = Counter[str]()
        for stream in streams:
            lines = self.logs.get_log_events(logGroupName=GROUP, logStreamName=stream)["events"]
            text = "\n".join(line["message"] for line in lines)
            (duration,) = re.findall(r"\tDuration: (\d+) ms", text)
            of_a_batch = any(f"-{name}-" in text for name in BATCH_FUNCTIONS)
            milliseconds["gb_second_batches" if of_a_batch else "gb_second"] += int(duration)
            found["lambda_request"] += 1
            found["log_byte"] += len(text.encode())
        return {**found, **{unit: milliseconds[unit] / 1000 * GIGABYTES for unit in ("gb_second", "gb_second_batches")}}


def _requests(calls: Iterable[Call]) -> Counts:
    found = Counter(kind_of(call.operation) for call in calls)
    return {kind: found[kind] for kind in ("s3_put", "s3_get", "s3_free")}


def kind_of(operation: str) -> str:
    """As S3 charges for it."""
    return "s3_get" if operation in GETS else "s3_free" if operation in FREE else "s3_put"


def happy_path(machine: Mapping[str, Any]) -> Iterator[str]:
    """The states that are entered where each Choice takes its default."""
    name = machine["StartAt"]
    while name:
        yield name
        state = machine["States"][name]
        name = state.get("Default") or state.get("Next")


def _processor(label: str) -> Mapping[str, Any]:
    text = (ROOT / "statemachine/migrate.asl.json").read_text()
    definition = json.loads(re.sub(r"\$\{\w+Concurrency\}", "1", text))
    (found,) = [state for state in definition["States"].values() if state.get("Label") == label]
    processor: Mapping[str, Any] = found["ItemProcessor"]
    return processor


def employees(rows: int, first: int = 1) -> bytes:
    """As the sample files have them, without a bad one; department 1 and job 1 must be there."""
    line = "{},Somebody Number {},2021-03-04T02:48:42Z,1,1\n"
    return "".join(line.format(i, i) for i in range(first, first + rows)).encode()


def parents(counter: Counted) -> None:
    """Goes before: the children's parents, and each function's cold start."""
    counter.file("raw/departments.csv", b"1,A\n")
    counter.file("raw/jobs.csv", b"1,A\n")
    counter.file("raw/hired_employees-warm.csv", employees(2_000, 90_000_000))
