"""`make invoke`: one function of what SAM built, called once with an event, against the running stack.

Where a Docker engine is, by `sam local invoke` in a container of Lambda's image. Without one the same artefact runs
under the runtime interface emulator that SAM brings along, on this machine's Python: what is missing then is the
image. Both say which of them it was.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import yaml

from local.deploy import BUILD, MACHINE, TOOLS, build
from local.emulator import ROOT
from local.events import ANSWER, sample_event
from local.forward import forwarded
from local.processes import LocalError, bare_environment, chosen_port, spawn, tail, wait_until_ready
from local.stack import Stack, state_folder

IN_CONTAINER = "host.docker.internal"
"""This machine, as a container calls it; the local database's certificate has the name too."""
PATIENCE = 900
WAYS = ("docker", "rie")

Environment = dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.invoke", description="Calls one function once")
    parser.add_argument("function", help="its name in template.yaml, as in PlanFunction")
    parser.add_argument("--event", type=Path, help="a file; without one the sample from events/, for the running stack")
    parser.add_argument("--way", choices=WAYS, help="without it Docker, where its engine answers")
    arguments = parser.parse_args()
    try:
        answer = invoke(arguments.function, arguments.event, arguments.way)
    except LocalError as error:
        print(f"rowferry: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    return 1 if isinstance(answer, dict) and "errorType" in answer else 0


def invoke(function: str, path: Path | None = None, way: str | None = None) -> Any:
    """What the function answers; an error that it raised has `errorType`.

    Raises: LocalError.
    """
    stack = Stack.read(state_folder())
    if not stack.runs():
        raise LocalError(f"no stack runs in {stack.folder}: make up")
    event = read_event(path) if path else sample_event(stack, function)
    say(f"event: {json.dumps({**event, 'credentials': '…'} if 'credentials' in event else event)}")
    call = Invocation(stack, function, event)
    way = way or ("docker" if engine_answers() else "rie")
    answer = call.in_docker() if way == "docker" else call.under_rie()
    if function == "CredentialsFunction" and not path and "errorType" not in answer:
        say(f"told CloudFormation: {told(stack)}")
    return answer


def read_event(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LocalError(f"{path} is no event: {error}") from error


def told(stack: Stack) -> str:
    """What CredentialsFunction answered through its URL."""
    assert stack.emulator and stack.deployment
    with closing(boto3.client("s3", **stack.emulator.client_options())) as s3:
        return str(s3.get_object(Bucket=stack.deployment.bucket, Key=ANSWER)["Body"].read().decode())


def engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class Invocation:
    """One call of one function; what it needs lies below the state folder's `invoke`."""

    def __init__(self, stack: Stack, function: str, event: Any) -> None:
        self.stack = stack
        self.function = function
        self.event = json.dumps(event)
        self.folder = stack.folder.resolve() / "invoke"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        if is_outdated():
            build(self.folder)
        self.template = yaml.safe_load((BUILD / "build/template.yaml").read_text())
        self.properties: dict[str, Any] = self.template["Resources"].get(function, {}).get("Properties", {})
        if "Handler" not in self.properties:
            raise LocalError(f"{function} is no function of template.yaml")

    def environment(self) -> Environment:
        """As deployed on the stack. Functions that are not deployed (bootstrap, credentials, API) have the others'.

        The API's function needs a token of its own beside those.
        """
        assert self.stack.emulator
        with closing(boto3.client("lambda", **self.stack.emulator.client_options())) as client:
            pages = client.get_paginator("list_functions").paginate()
            found = {f["FunctionName"]: f for page in pages for f in page["Functions"]}
        deployed = {
            name: function["Environment"]["Variables"]
            for name, function in found.items()
            if name.startswith("rowferry-") and "Environment" in function
        }
        mine = (env for name, env in deployed.items() if f"-{self.function}-" in name)
        found_or_others = next(mine, next(iter(deployed.values())))
        own = {"API_OPERATOR_TOKEN": self.stack.api_token} if self.function == "ApiFunction" else {}
        return {**found_or_others, **own}

    # --- Docker

    def in_docker(self) -> Any:
        say(f"by `sam local invoke {self.function}`, in a container")
        with self.reachable() as environment:
            assert self.stack.emulator
            event = self.event.replace(self.stack.emulator.url, environment["AWS_ENDPOINT_URL"])
            (self.folder / "event.json").write_text(event)
            (self.folder / "environment.json").write_text(json.dumps({self.function: environment}))
            self.write_template()
            return self.sam_local_invoke()

    @contextmanager
    def reachable(self) -> Iterator[Environment]:
        """The environment, as servers of this machine are reached from a container."""
        mysql, emulator, api = self.stack.mysql, self.stack.emulator, self.stack.api
        assert mysql and emulator and api
        ports = [mysql.port, emulator.port, api.port]
        with contextlib.ExitStack() as forwarding:
            with contextlib.suppress(OSError):  # Docker Desktop: a container reaches 127.0.0.1 by that name itself
                ports = forwarding.enter_context(forwarded(gateway(), *ports))
            yield self.environment() | {
                "DB_HOST": IN_CONTAINER,
                "DB_PORT": str(ports[0]),
                "DB_TLS_CA": "/var/task/db-ca.pem",
                "AWS_ENDPOINT_URL": f"http://{IN_CONTAINER}:{ports[1]}",
                "API_URL": f"http://{IN_CONTAINER}:{ports[2]}",
            }

    def write_template(self) -> None:
        """What SAM built, with the database's authority beside the code and one variable more: SAM passes no others."""
        code = shutil.copytree(BUILD / "build" / self.function, self.folder / "code")
        assert self.stack.mysql
        shutil.copy(self.stack.mysql.ca, code / "db-ca.pem")
        self.properties["CodeUri"] = str(code)
        self.template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = ""
        for name, resource in self.template["Resources"].items():
            if resource["Type"] == "AWS::Serverless::LayerVersion":
                resource["Properties"]["ContentUri"] = str(BUILD / "build" / name)
        (self.folder / "template.yaml").write_text(yaml.safe_dump(self.template, sort_keys=False))

    def sam_local_invoke(self) -> Any:
        assert self.stack.emulator
        overrides = [f"{name}={value}" for name, value in MACHINE.items()]
        command = [str(TOOLS / "sam/bin/sam"), "local", "invoke", self.function]
        files = ["--template", "template.yaml", "--event", "event.json", "--env-vars", "environment.json"]
        network = ["--add-host", f"{IN_CONTAINER}:{gateway() or 'host-gateway'}"]
        done = subprocess.run(
            [*command, *files, *network, "--parameter-overrides", *overrides],
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=sam_environment() | self.stack.emulator.environment(),
            timeout=PATIENCE,
            check=False,
            text=True,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise LocalError(f"sam local invoke ended with {done.returncode} and no answer: {done.stdout}") from None

    # --- the runtime interface emulator

    def under_rie(self) -> Any:
        machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
        say(f"WITHOUT DOCKER: {self.function} as built, under the runtime interface emulator, on this machine's Python")
        (program,) = (TOOLS / "sam").glob(f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
        address, runtime_api = (f"127.0.0.1:{chosen_port('')}" for _ in range(2))
        python = [str(TOOLS / "ministack/bin/python"), "-m", "awslambdaric", self.properties["Handler"]]
        listen = [
            "--log-level",
            "error",
            "--runtime-interface-emulator-address",
            address,
            "--runtime-api-address",
            runtime_api,
        ]
        log = self.folder / "rie.log"
        process = spawn([program, *listen, *python], log, self.rie_environment(), BUILD / "build" / self.function)
        try:
            wait_until_ready("the runtime interface emulator", process, log, lambda: listens(address))
            return post(f"http://{address}/2015-03-31/functions/function/invocations", self.event)
        finally:
            process.stop()
            say(tail(log))

    def rie_environment(self) -> Environment:
        assert self.stack.emulator
        code = BUILD / "build" / self.function
        layers = ["CoreLayer", *(layer["Ref"] for layer in self.properties.get("Layers", []))]
        return bare_environment(
            **self.environment(),
            **self.stack.emulator.environment(),
            PYTHONPATH=os.pathsep.join(map(str, [code, *(BUILD / "build" / layer / "python" for layer in layers)])),
            PYTHONDONTWRITEBYTECODE="1",
            LAMBDA_TASK_ROOT=str(code),
            AWS_LAMBDA_FUNCTION_NAME=self.function,
            AWS_LAMBDA_FUNCTION_TIMEOUT=str(PATIENCE),
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1024",
        )


def is_outdated() -> bool:
    """Whether something that SAM builds from is newer than what it built."""
    built = BUILD / "build/template.yaml"
    if not built.exists():
        return True
    sources = [ROOT / "template.yaml", *(ROOT / "functions").rglob("*.py"), *(ROOT / "src").rglob("*.*")]
    return any(path.stat().st_mtime > built.stat().st_mtime for path in sources if path.is_file())


def gateway() -> str:
    """This machine's address in the default network of containers; empty where that can't be told."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    command = ["docker", "network", "inspect", "bridge", "--format", form]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def sam_environment() -> Environment:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("DOCKER_", "SAM_"))}
    return bare_environment(**kept, SAM_CLI_TELEMETRY="0")


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def post(url: str, body: str) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(url, body.encode(), method="POST"), timeout=PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
