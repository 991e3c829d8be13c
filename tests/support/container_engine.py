"""A Docker engine of the tests' own, on a private socket, and Lambda's base image made at home.

Neither needs a registry: the engine is Debian's packages (`apt-get install docker.io`), the image is the bare root of
`bare_root.py` with awslambdaric and boto3. It is not Amazon Linux, and its boto3 is ours: what it proves is packaging,
handlers, environment and Lambda's runtime contract in a container.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.deploy import ARCHITECTURE, RUNTIME, TOOLS
from local.processes import Process, bare_environment, spawn, tail, wait_until
from tests.support.bare_root import bare_root

IMAGE = f"public.ecr.aws/lambda/python:{RUNTIME.removeprefix('python')}-{ARCHITECTURE}"
NETWORK = "172.31.250.1/24"
NOT_PROVEN = "NOT PROVEN HERE: functions in a container need"

RUNTIME_PACKAGES = (
    *("awslambdaric", "runtime_client*.so", "snapshot_restore_py.py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"),
)
"""What Lambda's own image has in /var/runtime: the runtime interface client, and boto3."""

BOOTSTRAP = """\
#!/bin/sh
PYTHONPATH=/var/task:/opt/python:/var/runtime exec python3 -m awslambdaric "$_HANDLER"
"""


@contextmanager
def engine(folder: Path) -> Iterator[dict[str, str]]:
    """What makes `docker` and `sam` use it; one that is there already is taken. Skips where there can't be one."""
    if answers({}):
        if subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, check=False).returncode:
            pytest.skip(f"{NOT_PROVEN} {IMAGE}, which the engine that runs here can't get")
        yield {}
        return
    missing = [program for program in ("dockerd", "containerd", "runc") if not shutil.which(program)]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"{NOT_PROVEN} a Docker engine, or root and apt-get install docker.io")
    with tempfile.TemporaryDirectory(prefix="rowferry-engine-") as short:  # a socket's path may not be long
        process, env = started(Path(short), folder / "engine.log")
        try:
            make_image(folder, env)
            yield env
        finally:
            process.stop()
            if shutil.which("ip"):  # its bridge outlives it
                subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)


def started(home: Path, log: Path) -> tuple[Process, dict[str, str]]:
    env = {"DOCKER_HOST": f"unix://{home}/socket", "SAM_SKIP_PULL_IMAGE": "1"}
    places = [f"--data-root={home}/data", f"--exec-root={home}/exec", f"--pidfile={home}/pid"]
    network = [
        f"--bip={NETWORK}",
        "--iptables=false",
    ]  # containers reach this machine only, whose rules stay as they are
    command = ["dockerd", f"--host={env['DOCKER_HOST']}", *places, *network]
    process = spawn(command, log, bare_environment(), home)
    if not wait_until(lambda: answers(env) or not process.alive(), 60) or not process.alive():
        process.stop()
        pytest.skip(f"{NOT_PROVEN} an engine that starts: {tail(log)[-300:]}")
    return process, env


def answers(env: dict[str, str]) -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], env=os.environ | env, capture_output=True, check=False).returncode == 0


def make_image(folder: Path, env: dict[str, str]) -> None:
    root = folder / "image"
    subprocess.run(["cp", "--archive", str(bare_root()), str(root)], check=True)
    (packages,) = (TOOLS / "ministack/lib").glob("python3*/site-packages")
    runtime = root / "var/runtime"
    runtime.mkdir()
    for pattern in RUNTIME_PACKAGES:
        (found,) = packages.glob(pattern)
        (shutil.copytree if found.is_dir() else shutil.copy)(found, runtime / found.name)
    (runtime / "bootstrap").write_text(BOOTSTRAP)
    (runtime / "bootstrap").chmod(0o755)
    changes = ["ENV LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime", "WORKDIR /var/task"]
    options = [part for change in changes for part in ("--change", change)]
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["docker", "import", *options, "-", IMAGE],
            env=os.environ | env,
            stdin=tar.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    shutil.rmtree(root)
