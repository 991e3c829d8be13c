"""The validator API under uvicorn, two workers."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from local.emulator import ROOT, answers
from local.processes import Process, bare_environment, chosen_port, spawn, wait_until_ready

WORKERS = 2


class Api(BaseModel):
    model_config = ConfigDict(frozen=True)

    process: Process
    port: int

    @property
    def url(self) -> str:
        return url_of(self.port)

    @classmethod
    def start(cls, folder: Path, env: Mapping[str, str], port: int | None = None) -> Self:
        port = port or choose_port()
        server = [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            "api_ec2.main:from_env",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        log = folder.resolve() / "api.log"
        command = [*server, "--workers", str(WORKERS), "--no-access-log", "--no-server-header", "--no-proxy-headers"]
        api = cls(process=spawn(command, log, bare_environment(**env), ROOT), port=port)
        wait_until_ready("the API", api.process, log, lambda: answers(f"{api.url}/livez"))
        return api

    def alive(self) -> bool:
        return self.process.alive() and answers(f"{self.url}/livez")

    def stop(self) -> None:
        self.process.stop()


def choose_port() -> int:
    return chosen_port("ROWFERRY_API_PORT")


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"
