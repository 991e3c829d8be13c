import os
import signal
import sys
from pathlib import Path

import pytest

from local.processes import LocalError, Process, bare_environment, spawn, tail, wait_until, wait_until_ready

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STAT = Path("/proc/self/stat")
IGNORES_SIGTERM = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('started', flush=True); time.sleep(60)",
]


def start(folder: Path, command: list[str]) -> Process:
    return spawn(command, folder / "log", bare_environment(), folder)


def test_a_process_lives_until_it_is_stopped(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    assert process.alive()
    process.stop()
    assert not process.alive()
    process.stop()


@pytest.mark.skipif(not STAT.exists(), reason="only Linux has /proc")
def test_a_process_is_identified_by_its_start_in_clock_ticks_since_boot_as_in_earlier_releases(tmp_path: Path) -> None:
    """Unlike a time of day they stay the same when the clock is set. Older stack.json files contain them."""
    process = start(tmp_path, SLEEP)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    process.stop()
    assert process.started == fields[19]


def test_another_process_with_the_same_pid_is_not_ended(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    earlier = process.model_copy(update={"started": "another time"})
    earlier.stop()
    assert not earlier.alive()
    assert process.alive()
    process.stop()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, IGNORES_SIGTERM)
    wait_until_ready("it", process, tmp_path / "log", lambda: "started" in tail(tmp_path / "log"))
    process.stop(timeout=0.2)
    assert not process.alive()


def test_children_of_a_killed_process_are_ended(tmp_path: Path) -> None:
    parent = start(tmp_path, ["sh", "-c", "sleep 60 & echo up; wait"])
    log = tmp_path / "log"
    wait_until_ready("it", parent, log, lambda: "up" in tail(log))
    os.kill(parent.pid, signal.SIGKILL)
    assert wait_until(lambda: not parent.alive(), 5)
    assert parent.group()
    parent.stop()
    assert not parent.group()


def test_a_server_that_ends_during_its_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = start(tmp_path, [sys.executable, "-c", "raise SystemExit('no such disk')"])
    with pytest.raises(LocalError, match=r"(?s)the server ended while it started.*no such disk"):
        wait_until_ready("the server", process, tmp_path / "log", lambda: False)


def test_a_server_that_does_not_become_ready_is_ended(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    with pytest.raises(LocalError, match="was not ready after 0 s"):
        wait_until_ready("the server", process, tmp_path / "log", lambda: False, timeout=0.1)
    assert not process.alive()


def test_only_this_user_can_read_a_log(tmp_path: Path) -> None:
    start(tmp_path, SLEEP).stop()
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
