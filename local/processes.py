"""Server processes that go on running after the command that started them has ended.

The system may give the pid of an ended process to another one. So a process is identified by its pid and start time.
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

import psutil
from pydantic import BaseModel, ConfigDict

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LOG_TAIL = 2_000
"""Characters of a log that a failure shows."""


class LocalError(Exception):
    """A local command cannot continue. The message says why and what to do."""


class Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    pid: int
    started: str
    """As `start_time` gives it."""

    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def stop(self, timeout: float = 30) -> None:
        """Ends the process and its group, and returns when all of them are gone.

        The members of the group may still run when the process itself was killed.
        """
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: not self.alive(), timeout)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.group():
                return
            os.killpg(self.pid, number)
            wait_until(lambda: not self.group(), 5)

    def group(self) -> list[int]:
        """The pids of its process group, which include its own while it lives.

        The system gives no new process a pid that is still the id of a group. So the group is ours, unless another
        process has the pid.
        """
        if start_time(self.pid) not in (None, self.started):
            return []
        return [pid for pid in psutil.pids() if is_in_group(pid, self.pid)]


def start_time(pid: int) -> str | None:
    """Clock ticks from the system's boot to the process's start. None if there is no such process, or a zombie only.

    The ticks do not change when the system's time of day is set.
    """
    with contextlib.suppress(ChildProcessError):  # collects an ended child, so that it does not stay a zombie
        os.waitpid(pid, os.WNOHANG)
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return str(round((process.create_time() - psutil.boot_time()) * TICKS_PER_SECOND))
    except psutil.NoSuchProcess:
        return None


def is_in_group(pid: int, group: int) -> bool:
    """Zombies do not count."""
    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.NoSuchProcess):
        return False


def spawn(command: Sequence[str | Path], log: Path, env: Mapping[str, str], cwd: Path) -> Process:
    """Starts the command in its own session, so that Ctrl-C in the terminal does not end it."""
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
    child.returncode = 0  # so Popen does not warn that the child is still running
    return Process(pid=child.pid, started=start_time(child.pid) or "ended at once")


def private(log: Path) -> BinaryIO:
    """Opens a new log that only this user can read: servers and tools log their options, which include passwords."""
    log.unlink(missing_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def wait_until_ready(name: str, process: Process, log: Path, ready: Callable[[], bool], timeout: float = 60) -> None:
    """Returns when the process is ready. If it does not become ready, or on an interrupt, the process is stopped.

    Raises: LocalError, with the end of the log.
    """
    try:
        wait_until(lambda: ready() or not process.alive(), timeout)
        if process.alive() and ready():
            return
        reason = f"was not ready after {timeout:.0f} s" if process.alive() else "ended while it started"
    except BaseException:
        process.stop()
        raise
    process.stop()
    raise LocalError(f"{name} {reason}; {log} ends with:\n{tail(log)}")


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:].strip() if log.exists() else "(nothing)"


def bare_environment(**more: str) -> dict[str, str]:
    """The few variables of this shell that a server needs, plus `more`. No other variable can change its behaviour."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **more}


def chosen_port(variable: str) -> int:
    """The port in this environment variable, or a free port if the variable is not set."""
    wanted = os.environ.get(variable, "")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(wanted or 0)))
        except (OSError, ValueError, OverflowError) as error:
            raise LocalError(
                f"{variable}={wanted}: {error}; choose another port, or unset the variable to get a free port"
            ) from error
        port: int = probe.getsockname()[1]
    return port
