"""The stack on this machine keeps its data: through a kill of every process, `down` and `up`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROWFERRY = Path(sys.executable).with_name("rowferry")
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rowferry(tmp_path: Path) -> Iterator[Call]:
    env = {**os.environ, "ROWFERRY_STATE": str(tmp_path / "state"), "NO_COLOR": "1"}

    def call(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(ROWFERRY), *map(str, arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    call("up")
    try:
        yield call
    finally:
        call("down", "--delete")


def kill_everything(state: Path) -> None:
    """As a power cut does."""
    described = json.loads((state / "stack.json").read_bytes())
    groups = {described[part]["process"]["pid"] for part in ("mysql", "emulator", "api")}
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) in groups:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 30
    while any(_is_alive(pid) for pid in groups):
        assert time.monotonic() < deadline


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_up_finds_rows_runs_and_bucket_after_everything_was_killed_and_a_run_goes_on(
    rowferry: Call, tmp_path: Path
) -> None:
    small, large = tmp_path / "jobs.csv", tmp_path / "departments.csv"
    small.write_text("1,Cook\n2,\n", encoding="utf-8")
    large.write_text("".join(f"{number},Name {number}\n" for number in range(1, 60_001)), encoding="utf-8")
    rowferry("load", small, code=3)
    left = json.loads(rowferry("load", "--no-wait", "--json", large).stdout)

    kill_everything(tmp_path / "state")
    assert "DEAD" in rowferry("status", code=1).stdout
    rowferry("up")

    (followed,) = [json.loads(line) for line in rowferry("show", left["run"], "--follow", "--json").stdout.splitlines()]
    assert (followed["status"], followed["read"]) == ("done", 60_000)
    assert {json.loads(line)["key"] for line in rowferry("runs", "--json").stdout.splitlines()} == {
        "raw/jobs.csv",
        "raw/departments.csv",
    }

    assert "are kept" in rowferry("down").stdout
    assert "data are kept" in rowferry("status").stdout
    rowferry("up")
    small.write_text("1,Cook\n2,Purser\n", encoding="utf-8")
    assert "1 inserted + 1 unchanged" in rowferry("load", small).stdout

    assert "its data are gone" in rowferry("down", "--delete").stdout
    assert not (tmp_path / "state" / "mysql" / "data").exists()
    assert "no stack runs" in rowferry("status").stdout
