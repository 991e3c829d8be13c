"""The emulated AWS: MiniStack on one port of 127.0.0.1, in an environment of its own."""

import os
import shutil
import signal
import urllib.request
from pathlib import Path
from typing import Any, Self

from botocore.config import Config
from pydantic import BaseModel, ConfigDict

from local.ministack import saved_mark
from local.processes import LocalError, Process, bare_environment, chosen_port, spawn, wait_until, wait_until_ready

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".tools" / "ministack" / "bin" / "python"
MINISTACK = ROOT / "local" / "ministack.py"
REGION = "us-east-1"
FUNCTIONS_AT_ONCE = 16
"""Above that it throttles, as an account does; each function at work is a process of some 60 MB."""


class Emulator(BaseModel):
    model_config = ConfigDict(frozen=True)

    process: Process
    port: int
    folder: Path
    keeps: bool = False
    """What it holds outlasts a clean end: `start_again`."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def start(cls, folder: Path, port: int | None = None, keeps: bool = False) -> Self:
        """Starts an empty one; what it leaves behind is under folder/aws, which is emptied first."""
        home = folder.resolve() / "aws"
        shutil.rmtree(home, ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        return cls._spawn(home, port or chosen_port("ROWFERRY_AWS_PORT"), keeps)

    def start_again(self) -> Self:
        """With what one that `keeps` held when it was stopped; executions that were going on have failed."""
        return self._spawn(self.folder, self.port, self.keeps)

    @classmethod
    def _spawn(cls, home: Path, port: int, keeps: bool) -> Self:
        env = bare_environment(
            TMPDIR=str(home / "tmp"),
            GATEWAY_PORT=str(port),
            BIND_HOST="127.0.0.1",
            MINISTACK_HOST="127.0.0.1",
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
            LAMBDA_ACCOUNT_CONCURRENCY=str(FUNCTIONS_AT_ONCE),
            PERSIST_STATE=str(int(keeps)),
            STATE_DIR=str(home / "state"),
            S3_PERSIST=str(int(keeps)),
            S3_DATA_DIR=str(home / "s3"),
        )
        log = home / "ministack.log"
        emulator = cls(process=spawn([PYTHON, "-P", MINISTACK], log, env, home), port=port, folder=home, keeps=keeps)
        wait_until_ready("MiniStack", emulator.process, log, lambda: answers(f"{emulator.url}/_ministack/health"))
        return emulator

    def save(self) -> None:
        """Writes what it holds to disk, so that it outlasts a kill too. Raises: LocalError."""
        mark = saved_mark(self.folder / "state")
        mark.unlink(missing_ok=True)
        os.kill(self.process.pid, signal.SIGUSR1)
        if not wait_until(mark.exists, 30):
            raise LocalError(f"MiniStack did not write its state to {mark.parent}")

    def environment(self) -> dict[str, str]:
        """What makes the AWS SDKs and tools use the emulator and nothing else, whatever this machine has configured."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client_options(self) -> dict[str, Any]:
        """For boto3.client("s3", **…)."""
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "config": Config(proxies={}, retries={"max_attempts": 3, "mode": "standard"}),
        }

    def alive(self) -> bool:
        return self.process.alive() and answers(f"{self.url}/_ministack/health")

    def stop(self) -> None:
        self.process.stop()


def answers(url: str) -> bool:
    """Whether a GET is answered with success within two seconds; proxies of this machine are passed by."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
