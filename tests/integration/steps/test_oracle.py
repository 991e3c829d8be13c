"""Random files with faults, duplicates, orphans and conflicts: the core against an oracle of thirty lines."""

import csv
import io
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import hypothesis
import pytest
from hypothesis import strategies as st

from rowferry.config import OnConflict, Settings
from rowferry.csvfile.split import Batch
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket
from tests.support.pipeline import Pipeline

EXAMPLES = int(os.environ.get("ROWFERRY_EXAMPLES", "15"))  # each is two whole runs
AT = "2021-07-27T16:02:08Z"
Fields = tuple[str, str, str, str]  # id, name, department_id, job_id
Row = tuple[str, int, int]

ids = st.sampled_from(["1", "2", "3", "4", "05", " 6 ", "0", "x", ""])
names = st.sampled_from(["Ann", "ann", "Änn", "Ann ", 'A "B"', "a,b", "a\nb", "", " "])
departments = st.sampled_from(["1", "1", "2", "9", "", "y"])
files = st.lists(st.tuples(ids, names, departments, st.sampled_from(["1", "1", "1", "7"])), max_size=12)
tables = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from(["Ann", "ann", "Zoe"]), st.just(1), st.just(1)))


@dataclass
class Expected:
    """The table afterwards, each line's codes, and the totals."""

    table: dict[int, Row]
    codes: dict[int, list[str]]
    totals: dict[str, int]


def oracle(before: dict[int, Row], rows: Sequence[Fields], lines: Sequence[int], policy: OnConflict) -> Expected:
    """What DESIGN says, said again without batches, SQL or files. Departments 1 and 2 and job 1 are there."""
    codes: dict[int, list[str]] = {}
    good: list[tuple[int, int, Row]] = []
    for line, (id, name, department, job) in zip(lines, rows, strict=True):
        faults = (
            ["missing" if not id.strip() else "int_format" if id == "x" else "out_of_range"]
            if id in ("", "x", "0")
            else []
        )
        faults += ["missing"] if not name.strip() else []
        faults += ["missing"] if department == "" else ["int_format"] if department == "y" else []
        if not faults:
            orphaned = (department == "9") + (job == "7")
            faults = ["no_parent"] if orphaned else []
        if faults:
            codes[line] = list(dict.fromkeys(faults))
        else:
            good.append((line, int(id), (name, int(department), int(job))))
    after, totals = dict(before), {"read": len(rows), "inserted": 0, "updated": 0, "unchanged": 0}
    winners: dict[int, tuple[int, Row]] = {}
    for line, key, row in good if policy == "update" else reversed(good):
        if key in winners:
            codes[winners[key][0]] = ["duplicate_in_file"]
        winners[key] = (line, row)
    for key, (line, row) in winners.items():
        if key not in before:
            after[key], totals["inserted"] = row, totals["inserted"] + 1
        elif before[key] == row or policy == "skip":
            totals["unchanged"] += 1
        elif policy == "update":
            after[key], totals["updated"] = row, totals["updated"] + 1
        else:
            codes[line] = ["key_exists"]
    totals["rejected"] = len(codes)
    return Expected(after, codes, totals)


def written(rows: Sequence[Fields]) -> tuple[str, list[int]]:
    """The rows as CSV, and the line that each begins on."""
    text, lines = io.StringIO(), []
    writer = csv.writer(text, lineterminator="\n")
    for id, name, department, job in rows:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow((id, name, AT, department, job))
    return text.getvalue(), lines


class Shuffled(Pipeline):
    """Batches in another order at every step, as concurrent Maps take them."""

    def batches(self, id: str) -> Sequence[Batch]:
        found = list(super().batches(id))
        random.Random(id).shuffle(found)
        return found


@pytest.fixture
def shuffled(settings: Settings, bucket: Bucket) -> Shuffled:
    pipeline = Shuffled(settings, bucket)
    pipeline.migrate("raw/departments.csv", "1,A\n2,B\n")
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    return pipeline


@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(
    before=tables,
    rows=files,
    policy=st.sampled_from(["update", "skip", "reject"]),
    chunk_records=st.sampled_from([1, 2, 5, 1000]),
    batch_chunks=st.sampled_from([1, 3]),
)
def test_tables_rejects_and_counts_are_the_oracles(
    shuffled: Shuffled,
    before: dict[int, Row],
    rows: list[Fields],
    policy: OnConflict,
    chunk_records: int,
    batch_chunks: int,
) -> None:
    with mysql.session(shuffled.settings) as conn:
        mysql.run(conn, "DELETE FROM hired_employees")
        sql = "INSERT INTO hired_employees VALUES (%s, %s, %s, %s, %s)"
        mysql.run_many(conn, sql, [(key, name, AT[:19], *parents) for key, (name, *parents) in before.items()])
    text, lines = written(rows)
    expected = oracle(before, rows, lines, policy)
    options = {"on_conflict": policy, "chunk_records": chunk_records, "batch_chunks": batch_chunks}
    checked = shuffled.migrate("check/hired_employees.csv", text, **options)
    report = shuffled.migrate("raw/hired_employees.csv", text, **options)

    assert {row[0]: (row[1], row[3], row[4]) for row in shuffled.table("hired_employees")} == expected.table
    rejects = shuffled.rejects(report) + shuffled.rejects(report, "duplicates")
    assert {int(row["_line"]): row["_codes"].split(";") for row in rejects} == expected.codes
    assert len(rejects) == len(expected.codes)
    assert {name: report[name] for name in expected.totals} == expected.totals
    assert checked["rejected_by_code"] == report["rejected_by_code"]
    if report["read"]:
        would = {name: checked[f"would_{name}"] for name in ("insert", "update", "unchanged")}
        did = {"insert": report["inserted"], "update": report["updated"], "unchanged": report["unchanged"]}
        assert would == did


def test_the_oracle_would_notice_a_row_too_many() -> None:
    rows: list[Fields] = [("1", "Ann", "1", "1"), ("1", "ann", "1", "1")]
    assert oracle({}, rows, [1, 2], "update").table == {1: ("ann", 1, 1)}
    assert oracle({}, rows, [1, 2], "skip").table == {1: ("Ann", 1, 1)}
    assert replace(oracle({}, rows, [1, 2], "update"), table={}).codes == {1: ["duplicate_in_file"]}
