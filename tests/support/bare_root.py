"""A bare Debian root file system in which the instance's user data run for real.

Amazon Linux can't be had here. What is the same: systemd's version (252), the shell, Python of the runtime that the
artefact was built for. What is played by a few lines of Python each: `dnf` (nothing is installed), `aws`,
`cfn-signal`, the CloudWatch agent, the metadata service, and `systemctl`, which starts a unit's own command line with
its environment, as a user without rights.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from local.deploy import RUNTIME
from local.emulator import ROOT

BARE = ROOT / ".tools/bare-root"
PACKAGES = "python3,curl,ca-certificates,systemd"

FAKE = """\
    #!/usr/bin/python3
    import json, os, shlex, subprocess, sys, time
    name = os.path.basename(sys.argv[0])
    arguments = sys.argv[1:]
    with open("/calls", "a") as fp:
        fp.write(json.dumps([name, *arguments]) + "\\n")
    world = json.load(open("/world.json"))

    def aws():
        action = " ".join(arguments[:2])
        if action == "secretsmanager get-secret-value":
            kept = world["secrets"].get(arguments[3])
            if kept is None:
                sys.exit("ResourceNotFoundException")
            print(json.dumps({"password": kept}))
        elif action == "secretsmanager list-secrets":
            key, prefix = arguments[arguments.index("--filters") + 1].split(",Values=")
            assert key == "Key=name"
            print("\t".join(arn for arn in world["secrets"] if arn.partition(":secret:")[2].startswith(prefix)))
        elif action == "ec2 describe-network-interfaces":
            print(world["holders"].pop(0) if len(world["holders"]) > 1 else world["holders"][0])
            json.dump(world, open("/world.json", "w"))
        elif action == "lambda get-layer-version-by-arn":
            print(world["location"])

    def systemctl():
        if "enable" not in arguments or not arguments[-1].endswith(".service"):
            return
        environment, command = {"PATH": os.environ["PATH"]}, []
        for line in open("/etc/systemd/system/" + arguments[-1]):
            key, _, value = line.strip().partition("=")
            if key == "EnvironmentFile":
                environment |= dict(pair.rstrip().split("=", 1) for pair in open(value))
            elif key == "Environment":
                environment |= dict([value.split("=", 1)])
            elif key == "ExecStart":
                command = shlex.split(value)
        alone = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        log = open("/var/log/rowferry/api.log", "a")
        subprocess.Popen([*alone, *command], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    {"aws": aws, "systemctl": systemctl}.get(name, lambda: None)()
"""
FAKES = (
    "usr/local/bin/aws",
    "usr/local/bin/dnf",
    "usr/local/bin/systemctl",
    "opt/aws/bin/cfn-signal",
    "opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl",
)


def bare_root() -> Path:
    """The root to copy from; made once, in about a minute. Skips where that can't be."""
    if not (BARE / "made").exists():
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            pytest.skip(
                "NOT PROVEN HERE: the instance's boot script needs root and debootstrap (apt-get install debootstrap)"
            )
        shutil.rmtree(BARE, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(BARE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT PROVEN HERE: debootstrap failed: {done.stdout[-300:]}")
        (BARE / "made").touch()
    if not (BARE / "usr/bin" / RUNTIME).exists():
        pytest.skip(f"NOT PROVEN HERE: the artefact was built for {RUNTIME}, and bookworm has another Python")
    return BARE


class Machine:
    """A copy of the bare root; `run` is its first boot, and its processes last until `stop`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        subprocess.run(["cp", "--archive", str(bare_root()), str(self.root)], check=True)
        for path in FAKES:
            fake = self.root / path
            fake.parent.mkdir(parents=True, exist_ok=True)
            fake.write_text(textwrap.dedent(FAKE))
            fake.chmod(0o755)
        (self.root / "var/log").chmod(0o755)

    def run(self, user_data: str, world: Mapping[str, object], metadata: str) -> int:
        """The user data's exit code."""
        (self.root / "user-data").write_text(user_data)
        (self.root / "world.json").write_text(json.dumps(world))
        for name in ("world.json", "calls"):  # the API's user calls `aws` too
            (self.root / name).touch()
            (self.root / name).chmod(0o666)
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "PATIENCE": "0.25",
        }
        script = "bash /user-data >/boot.log 2>&1; echo $? >/exit.new; mv /exit.new /exit; exec sleep infinity"
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", f"--root={self.root}"]
        self.process = subprocess.Popen([*alone, "/bin/bash", "-c", script], env=env, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (self.root / "exit").exists():
            assert self.process.poll() is None, "the machine is gone"
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)
        return int((self.root / "exit").read_text())

    def log(self) -> str:
        api = self.root / "var/log/rowferry/api.log"
        return (self.root / "boot.log").read_text() + (api.read_text() if api.exists() else "")

    def calls(self, *begin: str) -> list[list[str]]:
        lines = (self.root / "calls").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call[: len(begin)] == list(begin)]

    def stop(self) -> None:
        with suppress(AttributeError, ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


if sys.platform != "linux":
    pytest.skip("the instance's boot script runs on Linux only", allow_module_level=True)
