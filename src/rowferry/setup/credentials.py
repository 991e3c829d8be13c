"""The door to Secrets Manager and Lambda: the database's credentials, and the function that they are for.

Only a function outside the VPC can use it: inside it nothing but S3 is in reach. Nothing here is logged.
"""

import json
import time
from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowferry.errors import Never

Credentials = Mapping[str, str]
Answer = TypeVar("Answer")


class CredentialsUnavailable(Never):
    """A secret can't be read, or the function can't be called; the text says which, and holds no secret."""


def read_credentials(admin: str, app: str, reporting: str) -> Credentials:
    """What BootstrapFunction adds to its environment. The arguments are ARNs of secrets with username and password.

    Raises: CredentialsUnavailable.
    """
    client = boto3.client("secretsmanager")
    administrator, application, reader = (_secret(client, arn) for arn in (admin, app, reporting))
    return {
        "ADMIN_USER": administrator["username"],
        "ADMIN_PASSWORD": administrator["password"],
        "DB_PASSWORD": application["password"],
        "BI_USER": reader["username"],
        "BI_PASSWORD": reader["password"],
    }


def _secret(client: Any, arn: str) -> Mapping[str, str]:
    try:
        found = _again_while(_DENIED, _rights_deadline(), lambda: client.get_secret_value(SecretId=arn))
        held = json.loads(found["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise CredentialsUnavailable(f"the secret {arn} can't be read: {error}") from error
    except (KeyError, ValueError):
        held = None
    if not isinstance(held, dict) or not {"username", "password"} <= held.keys():
        raise CredentialsUnavailable(f'the secret {arn} is not {{"username": "…", "password": "…"}}')
    return {name: str(held[name]) for name in ("username", "password")}


_NOT_READY = {"ResourceNotReadyException", "ResourceConflictException"}
"""Lambda answers one of these instead of calling the function.

A function in a VPC becomes inactive after weeks without a call. The next call fails, and Lambda connects the function
to the VPC again, which takes about a minute.
"""
_DENIED = {"AccessDeniedException"}
_NEW_RIGHTS_SECONDS = 60
"""AWS may refuse the requests of a role that a deploy has just made or changed for so long."""

_BETWEEN_TRIES = 2
"""Seconds."""


def call_and_wait(function: str, event: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """Waits for the function's answer. An error that it raised comes back as `failed` with its words.

    `seconds` is longer than the function may run. A call is tried again only if Lambda did not call the function.
    Raises: CredentialsUnavailable.
    """
    try:
        called = _call(function, json.dumps(event), time.monotonic() + seconds)
        answer = json.loads(called["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        raise CredentialsUnavailable(f"{function} gave no answer: {error}") from error
    if "FunctionError" in called:
        return {"outcome": "failed", "reason": f"{answer.get('errorType')}: {answer.get('errorMessage')}"}
    return dict(answer)


def _call(function: str, payload: str, deadline: float) -> Any:
    def invoke() -> Any:
        seconds = max(deadline - time.monotonic(), 1)
        # The client itself does not retry, because after a timeout that would be a second call.
        config = Config(connect_timeout=10, read_timeout=seconds, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        return boto3.client("lambda", config=config).invoke(FunctionName=function, Payload=payload)

    return _again_while(_NOT_READY, deadline, lambda: _again_while(_DENIED, _rights_deadline(), invoke))


def _rights_deadline() -> float:
    return time.monotonic() + _NEW_RIGHTS_SECONDS


def _again_while(passing: Set[str], deadline: float, act: Callable[[], Answer]) -> Answer:
    """Repeats a request that AWS refused with one of these error codes, until the deadline."""
    while True:
        try:
            return act()
        except ClientError as error:
            if error.response["Error"]["Code"] not in passing or time.monotonic() + _BETWEEN_TRIES > deadline:
                raise
        time.sleep(_BETWEEN_TRIES)
