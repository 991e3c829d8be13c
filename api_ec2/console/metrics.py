"""The page of the two metrics, and the same as CSV."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api_ec2.console.pages import HEADERS, page
from api_ec2.deps import Session
from rowferry.errors import NotFound
from rowferry.reports import metrics
from rowferry.reports.metrics import DepartmentHires, HiredPerQuarter
from rowferry.storage.mysql import Connection

router = APIRouter(include_in_schema=False)
Year = Annotated[int, Query(ge=1970, le=2038)]
FIRST_YEAR = 2015
QUERIES: Mapping[str, Callable[[Connection, int], Sequence[HiredPerQuarter] | Sequence[DepartmentHires]]] = {
    "hired-per-quarter": metrics.employees_hired_per_quarter,
    "departments-above-mean": metrics.departments_above_mean_hires,
}


@router.get("/console/metrics")
def show(request: Request, conn: Session, year: Year = 2021) -> Response:
    """Hires per quarter, and departments that hired more than the mean."""
    hired = metrics.employees_hired_per_quarter(conn, year)
    quarters = [(f"Q{place}", sum(getattr(row, f"q{place}") for row in hired)) for place in range(1, 5)]
    above = metrics.departments_above_mean_hires(conn, year)
    return page(
        request,
        "metrics.html",
        year=year,
        years=sorted({*range(FIRST_YEAR, dt.datetime.now(dt.UTC).year + 1), year}, reverse=True),
        hired=hired,
        quarters=quarters,
        above=[(row.department, row.hired) for row in above],
    )


@router.get("/console/metrics/{name}.csv")
def as_csv(conn: Session, name: str, year: Year = 2021) -> Response:
    if name not in QUERIES:
        raise NotFound(f"there is no metric {name}")
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{name}-{year}.csv"'}
    return Response(_csv(_rows(conn, name, year)), media_type="text/csv; charset=utf-8", headers=headers)


def _rows(conn: Connection, name: str, year: int) -> Sequence[dict[str, Any]]:
    return [asdict(row) for row in QUERIES[name](conn, year)]


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Names that a spreadsheet would take for a formula get an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
