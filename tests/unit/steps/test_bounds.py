"""Sorted runs, distinct values and lines, on disk."""

import random
from pathlib import Path
from unittest.mock import patch

from rowferry.steps import distinct_values, sorted_runs
from rowferry.steps.distinct_values import DistinctValues
from rowferry.steps.lines_on_disk import LinesOnDisk
from rowferry.steps.sorted_runs import SortedRuns


def test_sorted_runs_come_out_in_order_in_parts_of_about_one_size(tmp_path: Path) -> None:
    some = random.Random(7)
    runs = [sorted(some.randbytes(12) for _ in range(some.randrange(1, 900))) for _ in range(40)]
    sorter = SortedRuns(tmp_path / "runs", 12)
    for run in runs:
        sorter.add(b"".join(run))
    with patch.object(sorted_runs, "PART_RECORDS", 1_000):
        parts = list(sorter.parts())
        back = list(sorter.parts(descending=True))
    whole = sorted(record for run in runs for record in run)
    assert [record for part in parts for record in part] == whole
    assert [record for part in back for record in part] == whole[::-1]
    assert len(parts) > 10
    assert max(map(len, parts)) < 2_500


def test_distinct_values_are_each_given_once_from_memory_or_from_disk(tmp_path: Path) -> None:
    values = [str(number % 3_000).encode() for number in range(9_000)]
    for most in (10_000, 100):
        with patch.object(distinct_values, "_IN_MEMORY", most):
            found = DistinctValues(tmp_path / str(most))
            for begin in range(0, len(values), 500):
                found.add(values[begin : begin + 500])
            for _ in range(2):
                given = [value for portion in found.portions() for value in portion]
                assert sorted(given) == sorted(set(values))


def test_lines_on_disk_are_found_by_their_range(tmp_path: Path) -> None:
    lines = LinesOnDisk(tmp_path / "lines")
    lines.add_missing(1, ["7", "ü\t8"])
    assert lines.missing() == [1]
    assert lines.missing_among(1, ["6", "7", "ü\t8"]) == {"7", "ü\t8"}
    lines.add_orphans([(5, 1, "7"), (9, 0, "x"), (9, 1, "7")])
    lines.add_losers([(6, 5), (11, 5)])
    assert list(lines.orphans(6, None)) == [(9, 0, "x"), (9, 1, "7")]
    assert list(lines.orphan_lines()) == [5, 9]
    assert lines.is_orphan(5)
    assert not lines.is_orphan(6)
    assert lines.losers(1, 11) == {6: 5}
    lines.close()
