"""Stops a MySQL server's process by a signal, so that it takes connections and answers nothing."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.mysql import MySQLServer


def freeze(pid: int) -> None:
    """Comes back when no thread of the process runs any more: each stops when it is next scheduled."""
    os.kill(pid, signal.SIGSTOP)
    while any(_state(thread) != "T" for thread in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.01)


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(") ")[2][0]


@contextmanager
def frozen(server: MySQLServer) -> Iterator[None]:
    freeze(server.process.pid)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
