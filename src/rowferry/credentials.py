"""The door to Secrets Manager and Lambda: the database's credentials, and the function that they are for.

Only a function outside the VPC can use it: inside it nothing but S3 is in reach. Nothing here is logged.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rowferry.errors import Never

Credentials = Mapping[str, str]


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
        held = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
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
    while True:
        seconds = max(deadline - time.monotonic(), 1)
        # The client itself does not retry, because after a timeout that would be a second call.
        config = Config(connect_timeout=10, read_timeout=seconds, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        try:
            return boto3.client("lambda", config=config).invoke(FunctionName=function, Payload=payload)
        except ClientError as error:
            is_ready = error.response["Error"]["Code"] not in _NOT_READY
            if is_ready or time.monotonic() + _BETWEEN_TRIES > deadline:
                raise
        time.sleep(_BETWEEN_TRIES)
