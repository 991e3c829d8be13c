"""Both state machines under moto's interpreter, in this process: our handlers, moto's S3, the real MySQL server.

Functions are called as Step Functions calls them, by HTTP: an endpoint of Lambda's API that plays the functions.
"""

import importlib
import json
import os
import threading
import time
import traceback
import uuid
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import boto3

from local.processes import wait_until
from rowferry.config import Settings
from rowferry.errors import RowferryError
from rowferry.steps.plan import PLACES
from rowferry.storage import mysql
from tests.support.functions import Context
from tests.support.machines import ACCOUNT, NAMES, Definition, definition, states

PATIENCE = 60
POLL = 0.02
"""Seconds between two looks whether the endpoint is to close."""

TRIES = {"first": 4, "second": 1, "third": 1}
"""Attempts of each retrier here, where the definition has 165, 4 and 3."""

START = f"arn:aws:lambda:{ACCOUNT}:function:StartExecution"
"""Plays Step Functions' own API."""


class Raised(Exception):
    """The function raises an error of this name."""


class Refused(Exception):
    """Lambda's API answers with this error; the function is not called."""


class Slow(Exception):
    """The function answers after so many seconds."""


class PlayedLambda:
    """Runs functions' handlers.

    `faults`: by function's name what its next calls meet, in order. `unexpected`: exceptions that are none of ours, and
    which a Map of moto's would hide.
    """

    def __init__(self) -> None:
        self.faults: dict[str, deque[Exception]] = defaultdict(deque)
        self.environments: dict[str, dict[str, str]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.unexpected: list[str] = []
        self._one_at_a_time = threading.Lock()  # as in a Lambda environment: a logger and metrics belong to one call
        played = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                arn = unquote(self.path.split("/")[3])
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, answer = played.invoke(arn.rpartition(":")[2], event)
                body = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.server.daemon_threads = False  # closing waits for calls whose caller waits no longer
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def served(self) -> Iterator[str]:
        thread = threading.Thread(target=self.server.serve_forever, args=(POLL,), daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join(10)

    def invoke(self, function: str, event: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        self.calls.append((function, event))
        fault = self.faults[function].popleft() if self.faults[function] else None
        if isinstance(fault, Refused):
            headers = {"X-Amzn-ErrorType": str(fault), "X-Amzn-RequestId": str(uuid.uuid4())}
            return 429, headers, {"message": "refused", "Type": "User"}
        if isinstance(fault, Raised):
            return _failed(str(fault), "made to fail")
        if isinstance(fault, Slow):
            time.sleep(float(str(fault)))
        try:
            return 200, {}, self.answer(function, event)
        except Exception as error:  # as Lambda's runtime does, whatever it is
            if not isinstance(error, RowferryError):
                self.unexpected.append(f"{function}: {''.join(traceback.format_exception(error))}")
            return _failed(type(error).__name__, str(error))

    def answer(self, function: str, event: dict[str, Any]) -> Any:
        with self._one_at_a_time, _environment(self.environments.get(function, {})):
            return importlib.import_module(function.removesuffix("Function").lower()).handle(event, Context())


def _failed(name: str, message: str) -> tuple[int, dict[str, str], Any]:
    """As Python's runtime reports an exception: by its class's name."""
    return 200, {"X-Amz-Function-Error": "Unhandled"}, {"errorType": name, "errorMessage": message}


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in changed if name in os.environ}
    os.environ.update(changed)  # only these: moto's own threads read the rest meanwhile
    try:
        yield
    finally:
        for name in changed:
            del os.environ[name]
        os.environ.update(before)


def hastened(machine: Definition) -> Definition:
    """The same states with short waits, so that nobody waits for hours; and without what moto does not know.

    Changed: the lengths of waits and the numbers of tries; the manifest's type, as moto knows no JSONL (`Interpreter`
    writes the same lines once more as a list). Left out: ResultWriter, of which our machine reads nothing. Starting an
    execution is a call of a played function with the same parameters: moto 5.2 passes them to Step Functions' API under
    names that this API does not have, and fails with a KeyError.
    """
    for _, state in states(machine):
        for retry, attempts in zip(state.get("Retry", ()), TRIES.values(), strict=False):
            retry |= {"IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": attempts, "JitterStrategy": "FULL"}
            retry.pop("MaxDelaySeconds", None)
        if state.get("Resource", "").endswith(":startExecution"):
            state["Resource"] = "arn:aws:states:::lambda:invoke"
            state["Parameters"] = {"FunctionName": START, "Payload": state["Parameters"]}
        if "SecondsPath" in state:
            del state["SecondsPath"]
            state["Seconds"] = 1
        if "ItemReader" in state:
            state["ItemReader"]["ReaderConfig"]["InputType"] = "JSON"
            state["ItemReader"]["Parameters"]["Key.$"] = "States.Format('{}.list', $.manifest)"
            del state["ResultWriter"]
    return machine


class Interpreter(PlayedLambda):
    """A `Stack` (tests/support/scenarios.py) in this process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.bucket = settings.bucket
        self.s3 = boto3.client("s3")
        self.states = boto3.client("stepfunctions")
        self.announced = True
        self.executions: list[str] = []
        for name in NAMES:
            self.create(name, definition(name, self.bucket))

    def create(self, name: str, machine: Definition) -> None:
        role = "arn:aws:iam::123456789012:role/any"
        self.states.create_state_machine(name=name, definition=json.dumps(hastened(machine)), roleArn=role)

    def replace(self, name: str, machine: Definition) -> None:
        self.states.delete_state_machine(stateMachineArn=f"arn:aws:states:{ACCOUNT}:stateMachine:{name}")
        self.create(name, machine)

    def answer(self, function: str, event: dict[str, Any]) -> Any:
        if START.endswith(function):
            return {"ExecutionArn": self.start_execution(event["StateMachineArn"], event["Input"])}
        answer = super().answer(function, event)
        if function == "PlanFunction" and answer.get("manifest"):
            self.keep_as_list(answer["manifest"])
        return answer

    def keep_as_list(self, manifest: str) -> None:
        lines = self.s3.get_object(Bucket=self.bucket, Key=manifest)["Body"].read().splitlines()
        as_list = json.dumps([json.loads(line) for line in lines])
        self.s3.put_object(Bucket=self.bucket, Key=f"{manifest}.list", Body=as_list)

    # --- what a user does

    def upload(self, key: str, body: str | bytes) -> str:
        data = body.encode() if isinstance(body, str) else body
        put = self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)
        if self.announced and key.startswith(PLACES):
            event = self.event(key, put["ETag"].strip('"'))
            event["detail"]["object"]["version-id"] = put["VersionId"]  # as AWS says it
            self.begin("migrate", event)
        return str(put["VersionId"])

    def begin(self, name: str, event: dict[str, Any]) -> str:
        return self.start_execution(f"arn:aws:states:{ACCOUNT}:stateMachine:{name}", event)

    def start_execution(self, machine: str, given: Any) -> str:
        name = str(uuid.uuid4())  # moto makes none up
        arn = self.states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))["executionArn"]
        self.executions.append(arn)
        return str(arn)

    def end_of(self, arn: str) -> dict[str, Any]:
        assert wait_until(lambda: self.states.describe_execution(executionArn=arn)["status"] != "RUNNING", PATIENCE)
        found = self.states.describe_execution(executionArn=arn)
        return {"status": found["status"], "output": json.loads(found.get("output") or "null")}

    def input(self, arn: str) -> Any:
        return json.loads(self.states.describe_execution(executionArn=arn)["input"])

    def history(self, arn: str) -> list[str]:
        """The types of an execution's events."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event["type"] for page in pages for event in page["events"]]

    def start(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.end_of(self.begin("migrate", event))

    def sweep(self, **asked: Any) -> dict[str, Any]:
        return self.end_of(self.begin("sweep", asked))

    def migrate(self, key: str, body: str | bytes) -> dict[str, Any]:
        return self.report(self.upload(key, body))

    def report(self, version: str) -> dict[str, Any]:
        status, id, reason = self._ended(version)
        assert status != "failed", reason
        loaded = json.loads(self.s3.get_object(Bucket=self.bucket, Key=f"runs/{id}/report.json")["Body"].read())
        assert isinstance(loaded, dict)
        return loaded

    def failure(self, version: str) -> str:
        status, _, reason = self._ended(version)
        assert status == "failed"
        return reason

    def _ended(self, version: str) -> tuple[str, str, str]:
        sql = "SELECT status, id, reason FROM rowferry_runs WHERE version_id = %s AND status <> 'running'"
        assert wait_until(lambda: bool(self.rows(sql, version)), PATIENCE), "the run does not end"
        status, id, reason = self.rows(sql, version)[0]
        return str(status), str(id), str(reason)

    def event(self, key: str, etag: str) -> dict[str, Any]:
        detail = {"bucket": {"name": self.bucket}, "object": {"key": key, "etag": etag}, "reason": "PutObject"}
        return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    @contextmanager
    def unannounced(self) -> Iterator[None]:
        self.announced = False
        try:
            yield
        finally:
            self.announced = True

    @contextmanager
    def setting(self, function: str, **changed: str) -> Iterator[None]:
        self.environments[function] = changed
        try:
            yield
        finally:
            del self.environments[function]

    def rows(self, sql: str, *args: object) -> list[tuple[Any, ...]]:
        with mysql.session(self.settings) as conn:
            return [tuple(row.values()) for row in mysql.rows(conn, sql, args)]

    def execute(self, *statements: str) -> None:
        with mysql.session(self.settings) as conn, mysql.transaction(conn):
            for statement in statements:
                mysql.run(conn, statement)
