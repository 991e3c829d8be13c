"""Calls functions as Lambda does: a handler, its event, its context."""

import importlib
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rowferry.config import Settings
from rowferry.storage import mysql
from tests.support.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
DEPARTMENTS = (ROOT / "events/departments.csv").read_bytes()


@dataclass
class Context:
    """What Lambda tells a handler of its call."""

    function_name: str = "function"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "8a1d9c6e"
    seconds: float = 900

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class Functions:
    """Calls handlers; events are those of events/ with this test's run and object in them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.run = ""

    def call(self, name: str, context: Context | None = None, **changed: Any) -> dict[str, Any]:
        event = json.loads((ROOT / f"events/{name}.json").read_text())
        if "run" in event:
            event |= {"run": self.run, "execution": self.execution()}
        answer = importlib.import_module(name).handle(event | changed, context or Context())
        assert isinstance(answer, dict)
        assert len(json.dumps(answer)) < 100_000, "a state's data may be 256 KiB"
        return answer

    def execution(self) -> str | None:
        """The one that has the run."""
        with mysql.session(self.pipeline.settings) as conn:
            found = mysql.row(conn, "SELECT execution FROM rowferry_runs WHERE id = %s", (self.run,))
        return str(found["execution"]) if found else None

    def plan(self) -> dict[str, Any]:
        uploaded = self.pipeline.upload("raw/departments-by-hand.csv", DEPARTMENTS)
        event = json.loads((ROOT / "events/plan.json").read_text())
        event["detail"]["object"] |= {"etag": uploaded.etag, "version-id": uploaded.version}
        event["detail"]["bucket"]["name"] = self.pipeline.bucket.name
        answer = self.call("plan", detail=event["detail"])
        self.run = answer["run"]
        return answer


@contextmanager
def functions_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that the template gives to functions. Their modules are read anew, not with an earlier test's."""
    for name in ("host", "port", "user", "password", "name", "tls_ca"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, f"db_{name}")))
    monkeypatch.setenv("BUCKET", settings.bucket)
    monkeypatch.setenv("API_URL", settings.api_url)
    monkeypatch.setenv("API_TOKEN", settings.api_token)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Rowferry")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "rowferry")
    logging.Logger.manager.loggerDict.pop("rowferry", None)  # or it would write to an earlier test's captured output
    for path in (ROOT / "functions").glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    yield
    for path in (ROOT / "functions").glob("*.py"):
        sys.modules.pop(path.stem, None)
