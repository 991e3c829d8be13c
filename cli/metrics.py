"""`rowferry hires`, `departments`."""

from typing import Annotated

import typer

from cli.commands import history
from cli.options import shared

Year = Annotated[int, typer.Option("--year", min=1000, max=9999, help="Of the hires.")]
DEFAULT_YEAR = 2021
"""The year that the metrics were first asked for."""


def hires(context: typer.Context, year: Year = DEFAULT_YEAR) -> None:
    """Show how many people each department hired for each job, per quarter of a year.

    Example:

      rowferry hires --year 2021
    """
    _show(context, "employees_hired_per_quarter", year)


def departments(context: typer.Context, year: Year = DEFAULT_YEAR) -> None:
    """Show the departments that hired more people in a year than the mean of all departments.

    Example:

      rowferry departments --year 2021
    """
    _show(context, "departments_above_mean_hires", year)


def _show(context: typer.Context, name: str, year: int) -> None:
    options = shared(context)
    found = history(options).metric(name, year)
    if not found and not options.output.json:
        options.output.say(f"nobody was hired in {year}")
        return
    options.output.show(found, tuple(found[0]) if found else ())
