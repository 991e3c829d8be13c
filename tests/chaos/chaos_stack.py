"""A stack whose parts can be hurt: proxies before its database, its API and its S3, and every process within reach."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import boto3
import psutil
import pymysql

from local.api import Api
from local.processes import wait_until
from local.stack import Stack, running
from rowferry.setup.bootstrap import APP_RIGHTS
from rowferry.storage.s3 import Bucket
from tests.chaos.proxies import HttpProxy, Loop, Peers, TcpProxy
from tests.support.stack_client import World

BATCH_CHUNKS = "1"
"""A batch of 1,000 records, so that small files have several."""


class Arena:
    """The stack, what its functions reach it through, and the ways to break and mend it."""

    def __init__(self, stack: Stack, dice: random.Random) -> None:
        assert stack.mysql and stack.api and stack.emulator
        self.stack = stack
        self.mysql, self.api, self.emulator = stack.mysql, stack.api, stack.emulator
        self.world = World(stack)
        self.bucket = Bucket(self.world.bucket, self.world.s3)
        self._loop = Loop()
        self.database = TcpProxy(self._loop, self.mysql.port)
        self.storage = HttpProxy(self._loop, self.emulator.port, dice)
        self.validator = HttpProxy(self._loop, self.api.port, dice)
        self._peers = Peers(self.workers)
        self._lock = threading.Lock()
        self._lambda = boto3.client("lambda", **self.emulator.client_options())
        self._point_functions_at_proxies()

    def _point_functions_at_proxies(self) -> None:
        changed = {
            "DB_PORT": str(self.database.port),
            "API_URL": f"http://127.0.0.1:{self.validator.port}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.storage.port}",
            "BATCH_CHUNKS": BATCH_CHUNKS,
        }
        for function in self._lambda.list_functions()["Functions"]:
            kept = function.get("Environment", {}).get("Variables", {})
            if "DB_PORT" in kept:
                name = function["FunctionName"]
                self._lambda.update_function_configuration(
                    FunctionName=name, Environment={"Variables": {**kept, **changed}}
                )

    def close(self) -> None:
        self.heal()
        self._lambda.close()
        self.world.close()
        for proxy in (self.database, self.storage, self.validator):
            proxy.close()
        self._loop.close()

    # --- what faults do

    def kill_database(self, how: signal.Signals, down: float) -> None:
        """Ends the server, by SIGKILL or properly, and starts it again on its data."""
        with self._lock:
            pid = self.mysql.process.pid
            os.kill(pid, how)
            wait_until(lambda: not self.mysql.process.alive() and not psutil.pid_exists(pid), 60)
            time.sleep(down)
            self._keep(mysql=self.mysql.start_again())

    def kill_api(self, down: float) -> None:
        with self._lock:
            for pid in self.api.process.group():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.api.process.group(), 30)
            time.sleep(down)
            self._keep(api=Api.start(self.stack.folder, self.stack.api_environment(), self.api.port))

    def restart_emulator(self) -> None:
        """What it holds stays; every execution that goes on dies with it."""
        with self._lock:
            self.emulator.stop()
            self._keep(emulator=self.emulator.start_again())

    def start_sweep(self) -> None:
        """As its schedule does; where the emulator is just on its way up, one time is left out."""
        with suppress(Exception):
            world = self.world
            world.states.start_execution(stateMachineArn=world.sweep_machine, input='{"older_than_minutes": 0}')

    def _keep(self, **parts: object) -> None:
        for name, part in parts.items():
            setattr(self, name, part)
            setattr(self.stack, name, part)
        self.stack.write()

    def kill_client(self, port: int) -> bool:
        """Ends the function whose connection has this port at its end."""
        process = self._peers.of(port)
        if process:
            with suppress(psutil.Error):
                process.kill()
        return process is not None

    def freeze_client(self, port: int, seconds: float) -> bool:
        """Stops that function for a while, as a machine does that moves or swaps."""
        process = self._peers.of(port)
        if not process:
            return False
        process.suspend()

        def thaw() -> None:
            with suppress(psutil.Error):
                process.resume()

        threading.Timer(seconds, thaw).start()
        return True

    def workers(self) -> list[psutil.Process]:
        """The emulator's processes that run functions."""
        with suppress(psutil.Error):
            return psutil.Process(self.emulator.process.pid).children(recursive=True)
        return []

    @contextmanager
    def session(self, user: str) -> Iterator["pymysql.cursors.Cursor"]:
        """Straight to the server, past the proxy."""
        with closing(self.mysql.connect(user)) as conn, conn.cursor() as cursor:
            yield cursor

    def take_rights(self) -> None:
        """The application's user may read and write the runs, and nothing else."""
        with suppress(pymysql.MySQLError), self.session("root") as cursor:  # another fault may have it down
            cursor.execute("GRANT ALL PRIVILEGES ON `rowferry`.rowferry_runs TO 'rowferry'@'%'")
            cursor.execute("REVOKE ALL PRIVILEGES ON `rowferry`.* FROM 'rowferry'@'%'")

    def give_rights(self) -> None:
        with self.session("root") as cursor:
            cursor.execute(f"GRANT {APP_RIGHTS} ON `rowferry`.* TO 'rowferry'@'%'")

    def heal(self) -> None:
        """No fault goes on."""
        for proxy in (self.database, self.storage, self.validator):
            proxy.heal()


@contextmanager
def arena(folder: Path, dice: random.Random, say: Callable[[str], None] = print) -> Iterator[Arena]:
    with running(folder, say, keeps=True) as stack:
        made = Arena(stack, dice)
        try:
            yield made
        finally:
            made.close()
