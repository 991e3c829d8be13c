"""The two questions that the business asks of the tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from rowferry.storage import mysql
from rowferry.storage.mysql import Connection


@dataclass(frozen=True)
class HiredPerQuarter:
    """How many employees one job in one department hired in each quarter of a year."""

    department: str
    job: str
    q1: int
    q2: int
    q3: int
    q4: int


@dataclass(frozen=True)
class DepartmentHires:
    """How many employees a department hired in a year."""

    id: int
    department: str
    hired: int


def employees_hired_per_quarter(conn: Connection, year: int) -> Sequence[HiredPerQuarter]:
    """Every department and job with a hire in the year, by department, then job; quarters are in UTC."""
    quarters = ", ".join(f"SUM(QUARTER(e.datetime) = {quarter}) AS q{quarter}" for quarter in range(1, 5))
    found = mysql.rows(
        conn,
        f"SELECT d.name AS department, j.name AS job, {quarters} FROM hired_employees e"
        " JOIN departments d ON d.id = e.department_id JOIN jobs j ON j.id = e.job_id"
        f" WHERE {_IN_YEAR} GROUP BY d.id, j.id ORDER BY department, job, d.id, j.id",
        (year, year + 1),
    )
    return [
        HiredPerQuarter(row["department"], row["job"], *(int(row[f"q{quarter}"]) for quarter in range(1, 5)))
        for row in found
    ]


def departments_above_mean_hires(conn: Connection, year: int) -> Sequence[DepartmentHires]:
    """Departments that hired more in the year than the mean over all departments, most first.

    A department that hired nobody counts in the mean.
    """
    found = mysql.rows(
        conn,
        "SELECT d.id, d.name AS department, COUNT(*) AS hired FROM hired_employees e"
        f" JOIN departments d ON d.id = e.department_id WHERE {_IN_YEAR} GROUP BY d.id"
        " HAVING hired * (SELECT COUNT(*) FROM departments) >"
        f" (SELECT COUNT(*) FROM hired_employees e WHERE {_IN_YEAR}) ORDER BY hired DESC, d.id",
        (year, year + 1, year, year + 1),
    )
    return [DepartmentHires(int(row["id"]), row["department"], int(row["hired"])) for row in found]


_IN_YEAR = "e.datetime >= MAKEDATE(%s, 1) AND e.datetime < MAKEDATE(%s, 1)"
