"""The local stack as a whole: what runs where, kept in one private file of its state directory.

`up` starts what is missing, `down` ends what it started and drops the data: each stack begins with an empty database
and an empty bucket. Several run side by side, one to a state directory (ROWFERRY_STATE, by default .local).
"""

import fcntl
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field

from local.api import Api, choose_port, url_of
from local.deploy import Deployment, build, deploy, make_secret
from local.emulator import ROOT, Emulator
from local.mysql import MySQLServer
from local.mysqld import Program, find
from local.processes import LocalError

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

    def bring_database_up_to_date(self) -> None:
        """The tables of this release, where the stack was started by an older one."""
        assert self.mysql
        self.mysql.make_ready()

    def stop(self) -> None:
        """Ends the parts, last one first, and drops their data; the logs stay."""
        for part in (self.api, self.emulator, self.mysql):
            if part:
                part.stop()
        for data in ("mysql/data", "aws/tmp"):
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
            raise LocalError(f"no stack runs in {self.folder}: make up")
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
        }


def state_folder() -> Path:
    return Path(os.environ.get("ROWFERRY_STATE") or ROOT / ".local").absolute()


def up(folder: Path, say: Say = print, allow_stand_in: bool = False, keeps: bool = False) -> Stack:
    """A running stack: the one that is there, or a new one. About half a minute, a quarter with a warm build cache.

    Raises: LocalError, and whatever was started for it is ended again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        stack = Stack.read(folder)
        if stack.runs():
            stack.bring_database_up_to_date()
            say(f"the stack in {shown(folder)} is already running")
            return stack
        if stack.holds_data():
            say("the API is down: starting it again")
            stack.bring_database_up_to_date()
        else:
            begin_afresh(stack, say)
            stack = Stack(folder=folder, started=datetime.now(UTC), keeps=keeps)
        try:
            Start(stack, say).carry_out(allow_stand_in)
        except BaseException:
            stack.stop()
            raise
        return stack


def down(folder: Path, say: Say = print) -> None:
    if not (folder / "stack.json").exists():
        say(f"no stack runs in {shown(folder)}")
        return
    with locked(folder):
        Stack.read(folder).stop()
    say(f"the stack in {shown(folder)} is down, its data are gone; its logs are still there")


@contextmanager
def running(folder: Path, say: Say = print, keeps: bool = False) -> Iterator[Stack]:
    """A stack for as long as a test needs it."""
    stack = up(folder, say, keeps=keeps)
    try:
        yield stack
    finally:
        down(folder, say)


def begin_afresh(stack: Stack, say: Say) -> None:
    if stack.started:
        say("a part of the stack has died: ending the rest, then a fresh start")
        stack.stop()


class Start:
    """The way up. A part that is there already is left alone."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self.stack = stack
        self.say = say
        self.clock = time.monotonic()

    def carry_out(self, allow_stand_in: bool) -> None:
        if not self.stack.deployment:
            program = find(allow_stand_in)
            with ThreadPoolExecutor(max_workers=1) as pool:  # the build needs nothing that the others bring
                building = pool.submit(build, self.stack.folder)
                self.start_database(program)
                self.start_emulator()
                template = building.result()
            self.deploy(template, choose_port())
        self.start_api()

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


def status(folder: Path) -> tuple[list[str], bool]:
    """A line per part, and whether all is well: every part of a stack runs, or there is no stack."""
    stack = Stack.read(folder)
    if not stack.started:
        return [f"no stack runs in {shown(folder)}: make up"], True
    mysql, emulator, api = stack.mysql, stack.emulator, stack.api
    parts = [
        ("database", mysql and mysql.answers(), mysql and f"{mysql.program}, {mysql.host}:{mysql.port}"),
        ("AWS", emulator and emulator.alive(), emulator and f"MiniStack, {emulator.url}"),
        ("API", api and api.alive(), api and api.url),
    ]
    lines = [f"stack in {shown(folder)}, started {stack.started:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [f"  {name:9} {'runs' if alive else 'DEAD':5} {where or ''}" for name, alive, where in parts]
    if stack.deployment:
        lines.append(f"  bucket          {stack.deployment.bucket}")
    runs = stack.runs()
    return lines if runs else [*lines, "repair it by: make up"], runs


def exports(folder: Path) -> str:
    environment = Stack.read(folder).environment()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


def shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)
