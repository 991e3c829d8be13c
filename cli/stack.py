"""Finds a stack and what is needed to work with it: bucket, state machines, functions, the API and its token.

The stack on this machine is described by stack.json in its state folder (ROWFERRY_STATE, by default .local). A stack on
AWS is described by its outputs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.options import Shared
from cli.output import CommandError

LOCAL_REGION = "us-east-1"
ROOT = Path(__file__).resolve().parents[1]
REACH_SECONDS = 3
"""An API that does not answer in this time is out of reach."""


@dataclass(frozen=True)
class Stack:
    """A stack and its clients. `api_url` and `token` are None where the API is out of reach."""

    name: str
    bucket: str
    machine: str
    backup_function: str
    restore_function: str
    session: Any = field(repr=False)
    options: Mapping[str, Any] = field(repr=False, default_factory=dict)
    api_url: str | None = None
    token: str | None = field(repr=False, default=None)

    @cached_property
    def s3(self) -> Any:
        return self.session.client("s3", **self.options)

    @cached_property
    def states(self) -> Any:
        return self.session.client("stepfunctions", **self.options)

    @cached_property
    def functions(self) -> Any:
        patient = Config(read_timeout=900, retries={"total_max_attempts": 1}, proxies=self._proxies)
        return self.session.client("lambda", **{**self.options, "config": patient})

    @cached_property
    def api(self) -> httpx.Client | None:
        """None where the API is out of reach."""
        if self.api_url is None:
            return None
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = httpx.Timeout(600, connect=REACH_SECONDS)
        return httpx.Client(base_url=self.api_url, headers=headers, timeout=timeout, trust_env=False)

    @property
    def _proxies(self) -> dict[str, str] | None:
        return {} if "endpoint_url" in self.options else None


def state_folder() -> Path:
    """As local/stack.py has it; this package works without local/ too."""
    return Path(os.environ.get("ROWFERRY_STATE") or ROOT / ".local").absolute()


def find(shared: Shared) -> Stack:
    """Raises: CommandError where there is no such stack."""
    if shared.stack is None:
        if shared.profile or shared.region:
            raise CommandError("--profile and --region belong to a stack on AWS: say which with --stack", 2)
        return local(state_folder())
    try:
        return deployed(shared.stack, shared.profile, shared.region)
    except (ClientError, BotoCoreError) as error:
        raise CommandError(f"stack {shared.stack}: {words(error)}") from error


def local(folder: Path) -> Stack:
    path = folder / "stack.json"
    try:
        found = json.loads(path.read_bytes())
        deployment, emulator, api = found["deployment"], found["emulator"], found["api"]
        return Stack(
            name="on this machine",
            bucket=deployment["bucket"],
            machine=deployment["state_machine_arn"],
            backup_function=deployment["backup_function"],
            restore_function=deployment["restore_function"],
            session=boto3.Session("test", "test", region_name=LOCAL_REGION),
            options={
                "endpoint_url": f"http://127.0.0.1:{emulator['port']}",
                "config": Config(proxies={}, connect_timeout=5, retries={"max_attempts": 3, "mode": "standard"}),
            },
            api_url=f"http://127.0.0.1:{api['port']}",
            token=found["api_token"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        words = "no stack runs on this machine: start one with `rowferry up`, or name one on AWS with --stack"
        raise CommandError(words) from None


def deployed(name: str, profile: str | None, region: str | None) -> Stack:
    session = boto3.Session(profile_name=profile, region_name=region)
    (described,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    try:
        stack = Stack(
            name=name,
            bucket=outputs["BucketName"],
            machine=outputs["StateMachineArn"],
            backup_function=outputs["BackupFunctionName"],
            restore_function=outputs["RestoreFunctionName"],
            session=session,
        )
    except KeyError as missing:
        raise CommandError(f"stack {name} has no output {missing}: it is no Rowferry stack") from missing
    return with_api(stack, outputs)


def with_api(stack: Stack, outputs: Mapping[str, str]) -> Stack:
    """The stack with its API, where the API answers this machine and the token can be read."""
    urls = [outputs[output] for output in ("HttpsAddress", "ApiAddress") if output in outputs]
    url = next((url for url in urls if answers(url)), None)
    if url is None or "OperatorTokenSecretArn" not in outputs:
        return stack
    try:
        secrets = stack.session.client("secretsmanager")
        secret = secrets.get_secret_value(SecretId=outputs["OperatorTokenSecretArn"])["SecretString"]
    except ClientError:  # this caller may not read the token
        return stack
    return Stack(**{**vars(stack), "api_url": url, "token": json.loads(secret)["password"]})


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=REACH_SECONDS).is_success
    except httpx.HTTPError:
        return False


def words(error: Exception) -> str:
    """What an AWS client says, without its frame."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Message") or error)
    return str(error)
