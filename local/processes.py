"""Processes that outlive the command that started them: their identity, their log, their end.

A pid alone may belong to somebody else by the time we come back for it; pid and start time together do not.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

LOG_TAIL = 2_000
"""Characters of a log that a failure shows."""


class LocalError(Exception):
    """The local stack cannot go on; the message says why and what to do."""


class Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    pid: int
    started: str
    """As the system tells it, compared and never interpreted."""

    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def stop(self, patience: float = 30) -> None:
        """Ends it and whatever is left of its session; comes back when it is gone."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        if not self.alive():
            return
        os.kill(self.pid, signal.SIGTERM)
        if not wait_until(lambda: not self.alive(), patience):
            os.killpg(self.pid, signal.SIGKILL)
            wait_until(lambda: not self.alive(), 5)


def start_time(pid: int) -> str | None:
    """When the process started; None if there is none, or only its remains that nobody has collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if not Path("/proc/self/stat").exists():
        return start_time_by_ps(pid)
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else fields[18]


def start_time_by_ps(pid: int) -> str | None:
    """The same where there is no /proc, as on macOS."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, started = said.partition(" ")
    return started.strip() if said and not state.startswith("Z") else None


def spawn(command: Sequence[str | Path], log: Path, env: Mapping[str, str], cwd: Path) -> Process:
    """Starts it in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    with private(log) as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    child.returncode = 0  # it stays on purpose: Popen need not warn that it is still running
    return Process(pid=child.pid, started=start_time(child.pid) or "ended at once")


def private(log: Path) -> BinaryIO:
    """A new log that only we can read: servers and tools write down what they were told, passwords too."""
    log.unlink(missing_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def wait_until_ready(name: str, process: Process, log: Path, ready: Callable[[], bool], patience: float = 60) -> None:
    """Comes back when it is ready; otherwise, interrupted too, the process is ended first."""
    try:
        wait_until(lambda: ready() or not process.alive(), patience)
        if process.alive() and ready():
            return
        reason = f"was not ready after {patience:.0f} s" if process.alive() else "ended while it started"
    except BaseException:
        process.stop()
        raise
    process.stop()
    raise LocalError(f"{name} {reason}; {log} ends with:\n{tail(log)}")


def wait_until(condition: Callable[[], bool], patience: float) -> bool:
    end = time.monotonic() + patience
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:].strip() if log.exists() else "(nothing)"


def bare_environment(**more: str) -> dict[str, str]:
    """What a server needs of this shell, and nothing that could change what it does."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **more}


def chosen_port(variable: str) -> int:
    """The port that this environment variable names, or a free one."""
    wanted = os.environ.get(variable, "")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(wanted or 0)))
        except (OSError, ValueError, OverflowError) as error:
            raise LocalError(f"{variable}={wanted}: {error}; choose another port, or none for a free one") from error
        port: int = probe.getsockname()[1]
    return port
