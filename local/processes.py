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

PROC = Path("/proc")
LINUX = (PROC / "self" / "stat").exists()
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
        """Ends it and what it started; comes back when all are gone. Children may outlive one that was killed."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: not self.alive(), patience)
        for way in (signal.SIGTERM, signal.SIGKILL):
            if not self.family():
                return
            os.killpg(self.pid, way)
            wait_until(lambda: not self.family(), 5)

    def family(self) -> list[int]:
        """The pids of its group, its own too while it lives.

        The system gives no process a number that is still a group's, so they are ours unless a stranger has the pid.
        """
        if start_time(self.pid) not in (None, self.started):
            return []
        return group(self.pid)


def start_time(pid: int) -> str | None:
    """When the process started; None if there is none, or only its remains that nobody has collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if not LINUX:
        return said_by_ps("-o", "lstart=", "-p", str(pid)) or None
    state, *fields = stat(pid) or ["Z"]
    return None if state == "Z" else fields[18]


def group(leader: int) -> list[int]:
    """The pids of a process group, without those that have ended and nobody has collected."""
    if not LINUX:
        rows = [line.split() for line in said_by_ps("-A", "-o", "pid=,pgid=,stat=").splitlines()]
        return [int(pid) for pid, of, state in rows if int(of) == leader and not state.startswith("Z")]
    pids = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return [pid for pid in pids if (fields := stat(pid)) and fields[0] != "Z" and int(fields[2]) == leader]


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third, the state, on; see proc(5)."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def said_by_ps(*options: str) -> str:
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout.strip()


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
