from pathlib import Path

import pytest

from local.demo import Report, complaints
from local.samples import Samples

SAMPLES = Samples(
    departments=Path("departments.csv"),
    jobs=Path("jobs.csv"),
    hired_employees=Path("hired_employees.csv"),
    records={"departments": 3, "jobs": 2, "hired_employees": 10},
    rejected={"missing": 2, "no_parent": 1},
)
EMPLOYEES = Report(
    run="r",
    table="hired_employees",
    key="raw/hired_employees.csv",
    status="done",
    read=10,
    inserted=7,
    rejected=3,
    rejected_by_code={"missing": 2, "no_parent": 1},
)
DEPARTMENTS = Report(run="d", table="departments", key="raw/departments.csv", status="done", read=3, unchanged=3)


@pytest.mark.parametrize("report", [EMPLOYEES, DEPARTMENTS])
def test_nothing_is_wrong_where_just_the_bad_rows_were_rejected(report: Report) -> None:
    assert list(complaints(report, SAMPLES)) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": "failed"}, "ended as failed"),
        ({"read": 9, "inserted": 6}, "9 read"),
        ({"inserted": 6}, "don't balance"),
        ({"inserted": 8, "rejected": 2, "rejected_by_code": {"missing": 2}}, "bad rows were"),
        ({"rejected_by_code": {"missing": 1, "no_parent": 2}}, "bad rows were"),
    ],
)
def test_what_differs_from_the_samples_is_told(changes: dict[str, object], complaint: str) -> None:
    (told,) = complaints(EMPLOYEES.model_copy(update=changes), SAMPLES)
    assert complaint in told
