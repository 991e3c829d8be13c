"""A large file: the totals equal a count in SQL, and memory does not grow with the file."""

import re
from pathlib import Path

from tests.support.stack_client import World, counts

MEGABYTE = 1024


def peaks(world: World) -> dict[str, int]:
    """Peak resident memory in kilobytes by function, over its workers that live now."""
    assert world.stack.emulator
    found: dict[str, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().decode(errors="replace")
            working = str((status.parent / "cwd").resolve())
            environment = (status.parent / "environ").read_bytes().decode(errors="replace")
            peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        except OSError:  # ended meanwhile
            continue
        if str(world.stack.folder) not in command + working + environment:
            continue
        name = re.search(r"rowferry-(\w+Function)-", command + working + environment)
        if name and peak:
            found[name[1]] = max(found.get(name[1], 0), int(peak[1]))
    return found


def employees(count: int, first: int) -> str:
    return "".join(
        f"{i},Somebody Number {i},2021-{i % 12 + 1:02}-{i % 28 + 1:02}T02:48:42Z,{i % 3 + 1},{i % 2 + 1}\n"
        if i % 100
        else f"{i},,2021-01-01T00:00:00Z,1,1\n"
        for i in range(first, first + count)
    )


def test_300_000_rows_go_through_in_the_memory_that_30_000_need(world: World) -> None:
    world.migrate("raw/departments.csv", "1,A\n2,B\n3,C\n")
    world.migrate("raw/jobs.csv", "1,A\n2,B\n")
    small = world.migrate("raw/hired_employees-small.csv", employees(30_000, 1))
    assert counts(small) == (30_000, 29_700, 0, 0, 300)
    before = peaks(world)
    large = world.migrate("raw/hired_employees-large.csv", employees(300_000, 100_001))
    after = peaks(world)

    assert counts(large) == (300_000, 297_000, 0, 0, 3_000)
    assert world.rows("SELECT COUNT(*) FROM hired_employees WHERE id > 100000") == [(large["inserted"],)]
    assert len(world.rejects(large)) == large["rejected"]
    steps = {"PlanFunction", "ValidateFunction", "ReconcileFunction", "LoadFunction", "SummariseFunction"}
    assert steps <= set(before), f"no worker was found for {steps - set(before)}"
    grown = {name: after[name] - before[name] for name in steps}
    assert all(kilobytes < 20 * MEGABYTE for kilobytes in grown.values()), f"grown by {grown} kB from {before}"
