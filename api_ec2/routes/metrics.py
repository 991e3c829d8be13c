"""The two metrics, for GET and for POST."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from api_ec2.deps import Session
from rowferry.reports import metrics
from rowferry.reports.metrics import DepartmentHires, HiredPerQuarter

router = APIRouter(tags=["metrics"])
Year = Annotated[int, Query(ge=1970, le=2038, description="A calendar year in UTC")]


@router.get("/employees_hired_per_quarter")
@router.post("/employees_hired_per_quarter")
def employees_hired_per_quarter(conn: Session, year: Year = 2021) -> Sequence[HiredPerQuarter]:
    """How many employees each job in each department hired in each quarter, by department, then job."""
    return metrics.employees_hired_per_quarter(conn, year)


@router.get("/departments_above_mean_hires")
@router.post("/departments_above_mean_hires")
def departments_above_mean_hires(conn: Session, year: Year = 2021) -> Sequence[DepartmentHires]:
    """Departments that hired more than the mean over all departments, most first."""
    return metrics.departments_above_mean_hires(conn, year)
