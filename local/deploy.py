"""Our own template.yaml on the emulator: sam build, sam deploy, and what came of it."""

import fcntl
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
from pydantic import BaseModel, ConfigDict

from local.emulator import ROOT, Emulator
from local.processes import LocalError, bare_environment, private, tail

TOOLS = ROOT / ".tools"
BUILD = TOOLS / "sam-build"
STACK = "rowferry"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""MiniStack runs every Python function on this machine's Python, so the layer is built for it."""
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
MACHINE = {"PythonRuntime": RUNTIME, "Architecture": ARCHITECTURE}


class Deployment(BaseModel):
    model_config = ConfigDict(frozen=True)

    bucket: str
    state_machine_arn: str
    sweep_arn: str
    backup_function: str
    restore_function: str


def build(folder: Path, template: Path = ROOT / "template.yaml") -> Path:
    """sam build; gives the built template. What did not change is taken from the build before.

    All stacks of this clone share one build, since sam's cache belongs to its folder; `one_at_a_time` guards it.
    """
    places = ["--build-dir", str(BUILD / "build"), "--cache-dir", str(BUILD / "cache"), "--cached"]
    parameters = ["--parameter-overrides", *(f"{name}={value}" for name, value in MACHINE.items())]
    with one_at_a_time():
        log = folder / "sam-build.log"
        sam(["build", "--template", str(template), *places, *parameters], log, {"AWS_DEFAULT_REGION": "us-east-1"})
    return BUILD / "build" / "template.yaml"


@contextmanager
def one_at_a_time() -> Iterator[None]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def deploy(
    template: Path, emulator: Emulator, parameters: Mapping[str, str], folder: Path, stack: str = STACK
) -> Deployment:
    """sam deploy of a built template, with its parameters on the command line."""
    overrides = [f"{name}={value}" for name, value in {**MACHINE, **parameters}.items() if value]
    command = ["deploy", "--template-file", str(template), "--stack-name", stack, "--resolve-s3"]
    quiet = ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
    allow = ["--capabilities", "CAPABILITY_IAM"]
    log = folder / "sam-deploy.log"
    with one_at_a_time():
        sam([*command, *allow, *quiet, "--parameter-overrides", *overrides], log, emulator.environment())
    return outputs(emulator, stack)


def make_secret(emulator: Emulator, name: str, **values: str) -> str:
    """Answers its ARN; the template takes passwords and tokens by that only."""
    client = boto3.client("secretsmanager", **emulator.client_options())
    return str(client.create_secret(Name=name, SecretString=json.dumps(values))["ARN"])


def outputs(emulator: Emulator, stack: str = STACK) -> Deployment:
    client = boto3.client("cloudformation", **emulator.client_options())
    (described,) = client.describe_stacks(StackName=stack)["Stacks"]
    found = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    try:
        return Deployment(
            bucket=found["BucketName"],
            state_machine_arn=found["StateMachineArn"],
            sweep_arn=found["SweepStateMachineArn"],
            backup_function=found["BackupFunctionName"],
            restore_function=found["RestoreFunctionName"],
        )
    except KeyError as missing:
        raise LocalError(f"template.yaml has no output {missing}: the stack can't be used without it") from missing


def sam(arguments: list[str], log: Path, env: Mapping[str, str]) -> None:
    """Runs quietly, from the repository; the log is shown only when it fails."""
    binaries = TOOLS / "sam" / "bin"
    environment = bare_environment(
        SAM_CLI_TELEMETRY="0",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))},
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
        **env,
    )
    environment["PATH"] = f"{binaries}{os.pathsep}{environment['PATH']}"
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    with private(log) as output:
        done = subprocess.run(
            [str(binaries / "sam"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            check=False,
        )
    if done.returncode:
        raise LocalError(f"sam {arguments[0]} ended with {done.returncode}; {log} ends with:\n{tail(log)}")
