"""The door to Secrets Manager and Lambda: the database's credentials, and the function that they are for.

Only a function outside the VPC can use it: inside it nothing but S3 is in reach. Nothing here is logged.
"""

import json
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


def call_and_wait(function: str, event: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """Waits for the function's answer. An error that it raised comes back as `failed` with its words.

    `seconds` is longer than the function may run. There is no second try by the client: it would make a second call.
    Raises: CredentialsUnavailable.
    """
    patient = Config(connect_timeout=10, read_timeout=seconds, retries={"total_max_attempts": 1}, tcp_keepalive=True)
    try:
        called = boto3.client("lambda", config=patient).invoke(FunctionName=function, Payload=json.dumps(event))
        answer = json.loads(called["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        raise CredentialsUnavailable(f"{function} gave no answer: {error}") from error
    if "FunctionError" in called:
        return {"outcome": "failed", "reason": f"{answer.get('errorType')}: {answer.get('errorMessage')}"}
    return dict(answer)
