"""The local stack as a whole: what runs where, kept in one private file of its state directory.

`up` starts what is missing and finds the database and the bucket of before, however they ended; `down` ends what it
started and keeps the data, unless it is told to delete them. Several stacks run side by side, one to a state directory
(ROWFERRY_STATE, by default .local).
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import boto3
from pydantic import BaseModel, Field

from local.api import Api, choose_port, url_of
from local.deploy import Deployment, build, deploy, make_secret
from local.emulator import ROOT, Emulator
from local.mysql import BI_USER, MySQLServer
from local.mysqld import Program, find
from local.processes import LocalError
from local.release import check_tables, fingerprint

Say = Callable[[str], None]


class Stack(BaseModel):
    """The parts that were started; each is there from the moment it runs."""

    folder: Path
    started: datetime | None = None
    mysql: MySQLServer | None = None
    emulator: Emulator | None = None
    keeps: bool = False
    """The emulator can be stopped and started again with what it holds."""
    deployment: Deployment | None = None
    parameters: dict[str, str] = {}
    """What the template was deployed with."""
    release: str = ""
    """Of the code that was deployed: `release.fingerprint`."""
    stopped: bool = False
    """`down` ended it and kept its data."""
    api: Api | None = None
    api_token: str = Field(default_factory=lambda: secrets.token_urlsafe(32))  # the operator's
    validator_token: str = Field(default_factory=lambda: secrets.token_urlsafe(32))

    @classmethod
    def read(cls, folder: Path) -> "Stack":
        path = folder / "stack.json"
        return cls.model_validate_json(path.read_bytes()) if path.exists() else cls(folder=folder)

    def write(self) -> None:
        """It holds the passwords, so nobody else may read it."""
        path = self.folder / "stack.json"
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fp:
            fp.write(self.model_dump_json(indent=2))
        new.replace(path)

    def holds_data(self) -> bool:
        """The database and the bucket are there; they only make sense together."""
        return bool(
            self.mysql
            and self.emulator
            and self.deployment
            and self.mysql.process.alive()
            and self.mysql.answers()
            and self.emulator.alive()
        )

    def runs(self) -> bool:
        return self.holds_data() and bool(self.api and self.api.alive())

    def can_start_again(self) -> bool:
        """It was deployed once, and its database and its bucket are on disk."""
        return bool(self.keeps and self.mysql and self.emulator and self.deployment and self.release)

    def stop(self) -> None:
        """Ends the parts, last one first."""
        for part in (self.api, self.emulator, self.mysql):
            if part:
                part.stop()

    def delete(self) -> None:
        """Ends the parts and drops their data; the logs stay."""
        self.stop()
        for data in ("mysql/data", "aws/tmp", "aws/s3", "aws/state"):
            shutil.rmtree(self.folder / data, ignore_errors=True)
        (self.folder / "stack.json").unlink(missing_ok=True)

    def api_environment(self) -> dict[str, str]:
        """What the API is started with."""
        assert self.mysql and self.emulator and self.deployment
        return {
            **self.mysql.environment(),
            **self.emulator.environment(),
            "BUCKET": self.deployment.bucket,
            "MIGRATE_ARN": self.deployment.state_machine_arn,
            "API_OPERATOR_TOKEN": self.api_token,
            "API_VALIDATOR_TOKEN": self.validator_token,
        }

    def environment(self) -> dict[str, str]:
        """For any shell or program that works with the running stack."""
        if not (self.mysql and self.emulator and self.deployment and self.api):
            raise LocalError(f"no stack runs in {self.folder}: `rowferry up` starts one")
        return {
            **self.emulator.environment(),
            "ROWFERRY_BUCKET": self.deployment.bucket,
            "ROWFERRY_STATE_MACHINE_ARN": self.deployment.state_machine_arn,
            "ROWFERRY_SWEEP_ARN": self.deployment.sweep_arn,
            "ROWFERRY_BACKUP_FUNCTION": self.deployment.backup_function,
            "ROWFERRY_RESTORE_FUNCTION": self.deployment.restore_function,
            "ROWFERRY_API_URL": self.api.url,
            "ROWFERRY_API_TOKEN": self.api_token,
            "MYSQL_HOST": self.mysql.host,
            "MYSQL_PORT": str(self.mysql.port),
            "MYSQL_USER": self.mysql.user,
            "MYSQL_PASSWORD": self.mysql.password,
            "MYSQL_DATABASE": self.mysql.database,
            "MYSQL_TLS_CA": str(self.mysql.ca),
            "MYSQL_BI_USER": BI_USER,
            "MYSQL_BI_PASSWORD": self.mysql.bi_password,
        }


def state_folder() -> Path:
    return Path(os.environ.get("ROWFERRY_STATE") or ROOT / ".local").absolute()


def up(folder: Path, say: Say = print, allow_stand_in: bool = False, keeps: bool = True) -> Stack:
    """A running stack: the one that is there, the one that was there, or a new one. About half a minute for a new one.

    `keeps`: its data outlast its processes. Raises: LocalError; a new stack is deleted again then, no other one is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        stack = Stack.read(folder)
        if stack.can_start_again():
            again(stack, say)
            return stack
        if stack.runs():
            say(f"the stack in {shown(folder)} is already running")
            return stack
        if stack.started:
            say("a part of the stack has died, and this stack keeps no data: ending the rest, then a fresh start")
            stack.delete()
        stack = Stack(folder=folder, started=datetime.now(UTC), keeps=keeps)
        try:
            Start(stack, say).carry_out(allow_stand_in)
        except BaseException:
            stack.delete()
            raise
        return stack


def again(stack: Stack, say: Say) -> None:
    """Starts what does not run, on its data; takes in changed code; goes on with runs that were under way."""
    start = Start(stack, say)
    if was_whole := stack.runs():
        say(f"the stack in {shown(stack.folder)} is already running")
    stack.stopped = False
    start.database_again()
    emulator_was_gone = start.emulator_again()
    changed = stack.release != fingerprint()
    if changed:
        start.update()
    if changed or not was_whole:
        start.start_api()
    if emulator_was_gone:
        start.go_on()
    stack.write()


def down(folder: Path, say: Say = print, delete: bool = False) -> None:
    if not (folder / "stack.json").exists():
        say(f"no stack runs in {shown(folder)}")
        return
    with locked(folder):
        stack = Stack.read(folder)
        if delete or not stack.can_start_again():
            stack.delete()
            say(f"the stack in {shown(folder)} is down, its data are gone; its logs are still there")
            return
        stack.stop()
        stack.stopped = True
        stack.write()
    say(f"the stack in {shown(folder)} is down; its database and bucket are kept: `rowferry up` starts it again")


@contextmanager
def running(folder: Path, say: Say = print, keeps: bool = False) -> Iterator[Stack]:
    """A stack for as long as a test needs it."""
    stack = up(folder, say, keeps=keeps)
    try:
        yield stack
    finally:
        down(folder, say, delete=True)


class Start:
    """The way up. A part that is there already is left alone."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self.stack = stack
        self.say = say
        self.clock = time.monotonic()

    def carry_out(self, allow_stand_in: bool) -> None:
        program = find(allow_stand_in)
        self.stack.release = fingerprint()
        with ThreadPoolExecutor(max_workers=1) as pool:  # the build needs nothing that the others bring
            building = pool.submit(build, self.stack.folder)
            self.start_database(program)
            self.start_emulator()
            template = building.result()
        self.deploy(template, choose_port())
        self.start_api()

    def database_again(self) -> None:
        server = self.stack.mysql
        assert server
        if server.process.alive() and server.answers():
            return
        server.stop()  # where it does not answer
        self.stack.mysql = server.start_again()
        self.stack.write()
        self.done(f"{server.program} started again on its data")

    def emulator_again(self) -> bool:
        """Whether it did not run."""
        emulator = self.stack.emulator
        assert emulator
        if emulator.alive():
            return False
        emulator.stop()
        self.stack.emulator = emulator.start_again()
        self.stack.write()
        self.done("MiniStack started again with its bucket")
        return True

    def update(self) -> None:
        """The code of now: new tables are made, a changed one is told in words. The template is deployed again.

        Raises: LocalError before anything is changed.
        """
        mysql, emulator = self.stack.mysql, self.stack.emulator
        assert mysql and emulator
        self.say("the code has changed: taking it in")
        release = fingerprint()
        check_tables()
        mysql.make_ready()
        self.stack.deployment = deploy(build(self.stack.folder), emulator, self.stack.parameters, self.stack.folder)
        emulator.save()
        self.stack.release = release
        self.stack.write()
        self.done("template.yaml built and deployed by SAM")

    def go_on(self) -> None:
        """Runs whose executions ended with the emulator are free again, and the sweep starts them and lost uploads."""
        mysql, emulator, deployment = self.stack.mysql, self.stack.emulator, self.stack.deployment
        assert mysql and emulator and deployment
        with closing(mysql.connect()) as conn, conn.cursor() as cursor:
            cursor.execute("UPDATE rowferry_runs SET lease_until = '2000-01-01' WHERE status = 'running'")
            conn.commit()
            under_way = cursor.rowcount
        with closing(boto3.client("stepfunctions", **emulator.client_options())) as states:
            states.start_execution(stateMachineArn=deployment.sweep_arn, input='{"older_than_minutes": 0}')
        if under_way:
            self.say(f"{under_way} runs were under way: they go on where they stopped")

    def start_database(self, program: Program) -> None:
        server = self.stack.mysql = MySQLServer.start(self.stack.folder, program)
        self.stack.write()
        stand_in = ", a stand-in for MySQL: what passes here is not proven" if program.is_mariadb else ""
        self.done(f"{server.program} on port {server.port}{stand_in}")

    def start_emulator(self) -> None:
        self.stack.emulator = Emulator.start(self.stack.folder, keeps=self.stack.keeps)
        self.stack.write()
        self.done(f"MiniStack, the emulated AWS, on port {self.stack.emulator.port}")

    def deploy(self, template: Path, api_port: int) -> None:
        mysql, emulator = self.stack.mysql, self.stack.emulator
        assert mysql and emulator
        parameters = {
            "ApiUrl": url_of(api_port),
            "ApiTokenSecretArn": make_secret(emulator, "local-validator-token", password=self.stack.validator_token),
            "DbHost": mysql.host,
            "DbPort": str(mysql.port),
            "DbUser": mysql.user,
            "DbUserSecretArn": make_secret(emulator, "local-database-user", password=mysql.password),
            "DbName": mysql.database,
            "DbTlsCa": str(mysql.ca),
        }
        self.stack.deployment = deploy(template, emulator, parameters, self.stack.folder)
        self.stack.parameters = parameters
        self.stack.write()
        if self.stack.keeps:
            emulator.save()
        self.api_port = api_port
        self.done(f"template.yaml built and deployed by SAM, bucket {self.stack.deployment.bucket}")

    def start_api(self) -> None:
        port = self.stack.api.port if self.stack.api else self.api_port
        if self.stack.api:
            self.stack.api.stop()
        self.stack.api = Api.start(self.stack.folder, self.stack.api_environment(), port)
        self.stack.write()
        self.done(f"the validator API at {self.stack.api.url}")

    def done(self, what: str) -> None:
        now = time.monotonic()
        self.say(f"{now - self.clock:5.1f} s  {what}")
        self.clock = now


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One command at a time on a stack."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)
