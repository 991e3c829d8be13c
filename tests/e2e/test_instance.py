"""The instance's first boot, from the template's user data to the signal, with the artefact that SAM built."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deploy import BUILD, RUNTIME
from local.emulator import ROOT
from local.processes import chosen_port
from tests.support.bare_root import Machine, bare_root
from tests.support.stack_client import World

INSTANCE = "i-0c1d2e3f4a5b6c7d8"
TOKEN, BEFORE = "the-instances-token", "the-token-before-it"
VALIDATOR, VALIDATOR_BEFORE = "the-validators-token", "the-validators-before-it"
OF_ANOTHER = "the-token-of-another-stack"
APP_SECRET, OPERATOR_SECRET, OPERATOR_SECRET_BEFORE, VALIDATOR_SECRET, VALIDATOR_SECRET_BEFORE, OF_ANOTHER_STACK = (
    f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    for name in (
        "rowferry/1a2b/app/rowferry/2",
        "rowferry/1a2b/operator/2",
        "rowferry/1a2b/operator/1",
        "rowferry/1a2b/validator/2",
        "rowferry/1a2b/validator/1",
        "rowferry/3c4d/operator/1",
    )
)


def user_data(values: dict[str, str]) -> str:
    """The template's, with CloudFormation's values in it."""
    text = (ROOT / "template.yaml").read_text()
    _, _, rest = text.partition("Fn::Base64: !Sub\n            - |\n")
    lines = []
    for line in rest.splitlines():
        if line and not line.startswith(" " * 14):
            break
        lines.append(line[14:])
    return re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], "\n".join(lines))


class Metadata(BaseHTTPRequestHandler):
    """The instance metadata service, version 2: nothing without a token."""

    def do_PUT(self) -> None:
        self.answer("a-token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else "", 200)

    def do_GET(self) -> None:
        known = self.headers["X-aws-ec2-metadata-token"] == "a-token" and self.path == "/latest/meta-data/instance-id"
        self.answer(INSTANCE if known else "", 200 if known else 401)

    def answer(self, text: str, status: int) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class First:
    """A first boot: what it finds, and what came of it."""

    machine: Machine
    values: dict[str, str]
    metadata: str
    files: str
    folder: Path
    port: int
    secrets: dict[str, str] = field(default_factory=dict)
    holders: list[str] = field(default_factory=lambda: ["None"])

    def boot(self, artefact: Path) -> int:
        shutil.make_archive(str(self.folder / "api"), "zip", artefact)
        text = user_data(self.values)
        text = text.replace("API_PORT=8000", f"API_PORT={self.port}").replace("API_HOST=0.0.0.0", "API_HOST=127.0.0.1")
        world = {"secrets": self.secrets, "holders": self.holders, "location": f"{self.files}/api.zip"}
        return self.machine.run(text, world, self.metadata)

    def signals(self) -> list[str]:
        """The exit codes that CloudFormation was told."""
        wanted = ["--stack", "rowferry", "--resource", "ApiGroup", "--region", "us-east-1"]
        calls = self.machine.calls("cfn-signal")
        assert all(call[-6:] == wanted for call in calls)
        return [call[call.index("--exit-code") + 1] for call in calls]

    def gave_up(self) -> bool:
        marked = self.machine.calls("aws", "autoscaling", "set-instance-health")
        return [call[3:] for call in marked] == [
            ["--instance-id", INSTANCE, "--health-status", "Unhealthy", "--no-should-respect-grace-period"]
        ]


@pytest.fixture
def first(stack_world: World, tmp_path: Path) -> Iterator[First]:
    machine = Machine(tmp_path)
    mysql = stack_world.stack.mysql
    assert mysql
    shutil.copy(mysql.ca, machine.root / "etc/ssl/db.pem")
    (machine.root / "etc/ssl/db.pem").chmod(0o644)
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), Metadata),
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    metadata, files = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    values = {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::Region": "us-east-1",
        "AWS::StackName": "rowferry",
        "ApiInterface": "eni-1",
        "ApiLayer": "arn:aws:lambda:us-east-1:123456789012:layer:ApiLayer:1",
        "ApiLogGroup": "/rowferry/rowferry/api",
        "UserSecret": APP_SECRET,
        "ValidatorTokenSecret": VALIDATOR_SECRET,
        "OperatorTokenSecret": OPERATOR_SECRET,
        "Bucket": "a-bucket",
        "CredentialsVersion": "1",
        "DbName": mysql.database,
        "DbPort": str(mysql.port),
        "DbTlsCa": "/etc/ssl/db.pem",
        "Host": mysql.host,
        "PythonRuntime": RUNTIME,
        "User": mysql.user,
        "Way": "r-1 rtbassoc-1",
    }
    secrets = {APP_SECRET: mysql.password, OPERATOR_SECRET: TOKEN, VALIDATOR_SECRET: VALIDATOR}
    secrets[OF_ANOTHER_STACK] = OF_ANOTHER
    yield First(machine, values, metadata, files, tmp_path, chosen_port("ROWFERRY_TEST_API_PORT"), secrets)
    machine.stop()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def artefact(stack_world: World) -> Path:
    """What SAM built for the instance."""
    return BUILD / "build/ApiLayer"


@pytest.fixture
def broken(artefact: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(artefact, tmp_path / "broken"))


def test_a_first_boot_ends_with_a_healthy_api_and_a_signal(first: First, artefact: Path) -> None:
    assert first.boot(artefact) == 0, first.machine.log()
    assert first.signals() == ["0"]
    with httpx.Client(base_url=f"http://127.0.0.1:{first.port}") as api:
        assert api.get("/").json()["status"] == "ok"
        assert api.get("/runs").status_code == 401
        assert api.get("/runs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert "server" not in api.get("/livez").headers
    (attached,) = first.machine.calls("aws", "ec2", "attach-network-interface")
    assert " ".join(attached[3:]) == f"--network-interface-id eni-1 --instance-id {INSTANCE} --device-index 1"
    assert ["systemctl", "enable", "--now", "rowferry-watch.timer"] in first.machine.calls("systemctl")
    assert "/rowferry/rowferry/api" in (first.machine.root / "etc/rowferry/cloudwatch-agent.json").read_text()
    for folder in ("etc", "opt", "var", "tmp"):
        for secret in first.secrets.values():
            found = subprocess.run(
                ["grep", "-rlF", secret, str(first.machine.root / folder)], capture_output=True, check=False
            )
            assert found.stdout == b"", "no secret is in a file"


def test_after_a_rotation_the_former_tokens_are_valid_too(first: First, artefact: Path) -> None:
    first.secrets |= {OPERATOR_SECRET_BEFORE: BEFORE, VALIDATOR_SECRET_BEFORE: VALIDATOR_BEFORE}
    assert first.boot(artefact) == 0, first.machine.log()
    with httpx.Client(base_url=f"http://127.0.0.1:{first.port}") as api:
        for token in (TOKEN, BEFORE):
            assert api.get("/runs", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert api.get("/runs", headers={"Authorization": f"Bearer {OF_ANOTHER}"}).status_code == 401
        for token in (VALIDATOR, VALIDATOR_BEFORE):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
            assert api.get("/runs", headers=headers).status_code == 403
            assert api.post("/upload_csv?table=jobs", headers=headers, content="1,Cook\n").status_code == 200


def test_it_waits_until_the_instance_before_it_has_let_the_address_go(first: First, artefact: Path) -> None:
    first.holders = ["i-before", "i-before", "None"]
    assert first.boot(artefact) == 0, first.machine.log()
    assert len(first.machine.calls("aws", "ec2", "describe-network-interfaces")) == 3
    assert len(first.machine.calls("aws", "ec2", "attach-network-interface")) == 1


def test_code_that_can_not_be_imported_signals_failure(first: First, broken: Path) -> None:
    (broken / "python/api_ec2/main.py").write_text("from rowferry import nothing_like_that\n")
    assert first.boot(broken) == 1
    assert first.signals() == ["1"]
    assert first.gave_up()
    assert "failed: the code can be imported" in first.machine.log()


def test_a_package_that_lacks_signals_failure(first: First, broken: Path) -> None:
    shutil.rmtree(broken / "python/uvicorn")
    assert first.boot(broken) == 1
    assert (first.signals(), first.gave_up()) == (["1"], True)


def test_an_api_that_dies_at_its_start_signals_failure(first: First, broken: Path) -> None:
    serve = broken / "python/api_ec2/instance/serve.sh"
    serve.write_text(serve.read_text().replace("exec ", "exit 7; exec "))
    assert first.boot(broken) == 1
    assert (first.signals(), first.gave_up()) == (["1"], True)
    assert "/livez does not answer well" in first.machine.log()


def test_a_database_that_lets_nobody_in_fails_a_deploy_and_leaves_the_instance(first: First, artefact: Path) -> None:
    """Another instance would be no better off: one that replaces a lost one must not be replaced for ever."""
    first.secrets[APP_SECRET] = "wrong"
    assert first.boot(artefact) == 1
    assert first.signals() == ["1"]
    assert first.machine.calls("aws", "autoscaling", "set-instance-health") == []
    assert ["systemctl", "enable", "--now", "rowferry-watch.timer"] in first.machine.calls("systemctl")
    assert "its database does not answer or lacks tables" in first.machine.log()
    with httpx.Client(base_url=f"http://127.0.0.1:{first.port}") as api:
        assert api.get("/livez").status_code == 200, "the process itself lives"


def test_an_artefact_that_is_cut_off_signals_failure(first: First, artefact: Path) -> None:
    shutil.make_archive(str(first.folder / "whole"), "zip", artefact / "python/api_ec2")
    cut = first.folder / "cut.zip"
    cut.write_bytes((first.folder / "whole.zip").read_bytes()[:5_000])
    first.files = f"{first.files}/cut.zip?"
    assert first.boot(artefact) == 1
    assert (first.signals(), first.gave_up()) == (["1"], True)


def test_systemd_takes_the_units_and_finds_them_well_locked_up(tmp_path: Path) -> None:
    """By the systemd of the bare root, whose version is Amazon Linux's."""
    root = tmp_path / "root"
    subprocess.run(["cp", "--archive", str(bare_root()), str(root)], check=True)
    for unit in (ROOT / "api_ec2/instance").glob("rowferry-*"):
        shutil.copy(unit, root / "etc/systemd/system")
    shutil.copytree(ROOT / "api_ec2/instance", root / "opt/rowferry/python/api_ec2/instance")
    (root / "etc/rowferry").mkdir()
    (root / "etc/rowferry/instance.env").touch()
    in_root = ["chroot", str(root), "systemd-analyze"]
    units = [f"/etc/systemd/system/{unit.name}" for unit in (root / "etc/systemd/system").glob("rowferry-*")]
    verified = subprocess.run([*in_root, "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "rowferry" in line]) == (0, [])
    judged = subprocess.run(
        [
            *in_root,
            "security",
            "--offline=true",
            "--threshold=20",
            "rowferry-api.service",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_shellcheck_finds_nothing_in_the_user_data(first: First) -> None:
    done = subprocess.run(
        [ROOT / ".venv/bin/shellcheck", "-"], input=user_data(first.values), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
