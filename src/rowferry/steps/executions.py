"""The one place that starts executions from the core; where Step Functions is out of reach, the sweep starts them."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowferry.errors import Later

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient


class NotStarted(Later):
    """Step Functions is out of reach from here, or says no."""


def event(bucket: str, key: str, etag: str, version: str, source: str) -> dict[str, Any]:
    """What an execution is started with: an upload as EventBridge announces it."""
    found = {"key": key, "etag": etag, "version-id": version}
    return {"source": source, "detail": {"bucket": {"name": bucket}, "object": found}}


def start(machine: str, given: dict[str, Any]) -> str:
    """Starts an execution, within seconds; answers its ARN.

    Raises: NotStarted.
    """
    try:
        return _client().start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    except (BotoCoreError, ClientError) as error:
        raise NotStarted(f"Step Functions did not start it: {type(error).__name__}") from error


@lru_cache
def _client() -> "SFNClient":
    """Whoever asks waits for the answer, so it gives up soon."""
    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    return boto3.client("stepfunctions", config=config)
