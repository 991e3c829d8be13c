import os
import signal
import sys
from pathlib import Path

import pytest

from local.processes import LocalError, Process, bare_environment, spawn, tail, wait_until, wait_until_ready

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]


def start(folder: Path, command: list[str]) -> Process:
    return spawn(command, folder / "log", bare_environment(), folder)


def test_a_process_lives_until_it_is_stopped(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    assert process.alive()
    process.stop()
    assert not process.alive()
    process.stop()


def test_a_pid_that_somebody_else_got_is_not_ours_to_end(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    earlier = process.model_copy(update={"started": "another time"})
    earlier.stop()
    assert not earlier.alive()
    assert process.alive()
    process.stop()


def test_one_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    process = start(tmp_path, STUBBORN)
    wait_until_ready("it", process, tmp_path / "log", lambda: "deaf" in tail(tmp_path / "log"))
    process.stop(patience=0.2)
    assert not process.alive()


def test_children_that_outlive_a_killed_parent_are_ended_too(tmp_path: Path) -> None:
    parent = start(tmp_path, ["sh", "-c", "sleep 60 & echo up; wait"])
    log = tmp_path / "log"
    wait_until_ready("it", parent, log, lambda: "up" in tail(log))
    os.kill(parent.pid, signal.SIGKILL)
    assert wait_until(lambda: not parent.alive(), 5)
    assert parent.family()
    parent.stop()
    assert not parent.family()


def test_a_server_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    process = start(tmp_path, [sys.executable, "-c", "raise SystemExit('no such disk')"])
    with pytest.raises(LocalError, match=r"(?s)the server ended while it started.*no such disk"):
        wait_until_ready("the server", process, tmp_path / "log", lambda: False)


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    with pytest.raises(LocalError, match="was not ready after 0 s"):
        wait_until_ready("the server", process, tmp_path / "log", lambda: False, patience=0.1)
    assert not process.alive()


def test_a_log_is_for_our_eyes_only(tmp_path: Path) -> None:
    start(tmp_path, SLEEP).stop()
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
