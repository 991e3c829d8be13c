import csv
from collections import Counter
from pathlib import Path

import pytest

from local.samples import DEPARTMENTS, KINDS, write_samples


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as fp:
        return list(csv.reader(fp))


def code_of(row: list[str]) -> str | None:
    """Read with other eyes than the generator's and the validator's."""
    if len(row) != 5:
        return "field_count"
    if "" in row:
        return "missing"
    if "02-30" in row[2]:
        return "datetime_format"
    if not row[4].isdigit():
        return "int_format"
    return "no_parent" if int(row[3]) > len(DEPARTMENTS) else None


def test_the_counts_told_are_those_in_the_file(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, rows=25_000, bad_share=0.03)
    rows = rows_of(samples.hired_employees)
    found = Counter(filter(None, map(code_of, rows)))
    assert len(rows) == samples.records["hired_employees"] == 25_000
    assert found == samples.rejected
    assert found.keys() == {code for code, _ in KINDS}


def test_good_rows_have_their_parents_and_keys_of_their_own(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, rows=1_000)
    departments = {row[0] for row in rows_of(samples.departments)[1:]}
    jobs = {row[0] for row in rows_of(samples.jobs)}
    good = [row for row in rows_of(samples.hired_employees) if code_of(row) is None]
    assert {row[3] for row in good} <= departments
    assert {row[4] for row in good} <= jobs
    assert len({row[0] for row in good}) == len(good)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    once, again, other = (
        write_samples(tmp_path / name, rows=500, seed=seed) for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert once.hired_employees.read_bytes() == again.hired_employees.read_bytes()
    assert once.hired_employees.read_bytes() != other.hired_employees.read_bytes()


@pytest.mark.parametrize("rows", [0, 1])
def test_no_bad_rows_when_none_are_wanted(tmp_path: Path, rows: int) -> None:
    samples = write_samples(tmp_path, rows=rows, bad_share=0)
    assert len(rows_of(samples.hired_employees)) == rows
    assert samples.rejected == {}
