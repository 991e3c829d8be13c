"""`make demo`: three sample files go through the running stack, and every row of theirs is accounted for."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local import stack
from local.processes import LocalError
from local.samples import Samples, write_samples

PATIENCE = 900
"""Seconds for all three files."""
SHOWN_REJECTS = 5
SHOWN_ROWS = 4


class Run(BaseModel):
    """A run as the API's list tells it."""

    run: str
    claim: int
    table: str
    key: str
    status: str
    stage: str
    execution_arn: str
    batches: int | None = None
    batches_done: int = 0

    @property
    def is_over(self) -> bool:
        return self.status != "running"


class Report(BaseModel):
    """What the demo reads of runs/<run>/report.json."""

    run: str
    table: str
    key: str
    status: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    withheld: int = 0
    rejected_by_code: dict[str, int] = {}
    seconds: float = 0
    rejects_key: str | None = None
    moved_to: str | None = None

    @property
    def accepted(self) -> int:
        return self.inserted + self.updated + self.unchanged

    @property
    def balances(self) -> bool:
        return self.read == self.accepted + self.rejected + self.withheld


def new_console() -> Console:
    """Plain and wide where nobody looks: a pipe or a log has no width of its own."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=120)


@dataclass
class Demo:
    stack: stack.Stack
    console: Console = field(default_factory=new_console)

    def __post_init__(self) -> None:
        emulator, deployment, api = self.stack.emulator, self.stack.deployment, self.stack.api
        assert emulator and deployment and api
        self.bucket = deployment.bucket
        self.url = api.url
        self.machine = deployment.state_machine_arn
        self.s3 = boto3.client("s3", **emulator.client_options())
        self.states = boto3.client("stepfunctions", **emulator.client_options())
        headers = {"Authorization": f"Bearer {self.stack.api_token}"} if self.stack.api_token else {}
        self.api = httpx.Client(base_url=api.url, headers=headers, timeout=30, trust_env=False)

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False, soft_wrap=True)

    def get(self, route: str) -> Any:
        return self.api.get(route).raise_for_status().json()

    def runs(self) -> list[Run]:
        return [Run.model_validate(item) for item in self.get("/runs?limit=200")["runs"]]

    def carry(self, samples: Samples) -> list[Report]:
        """Uploads the files, the child first, and waits until all are through."""
        last_claim = max((run.claim for run in self.runs()), default=0)
        last_executions = self.failed_executions()
        files = {f"raw/{path.name}": path for path in (samples.hired_employees, samples.departments, samples.jobs)}
        for key, path in files.items():
            self.s3.upload_file(str(path), self.bucket, key)
            self.say(f"uploaded {key}, {samples.records[path.stem]:,} records")
        self.say("hired_employees.csv names a department that nobody has, and waits for it until it is a minute old")
        with progress(self.console, list(files)) as show:
            over = self.wait(last_claim, last_executions, set(files), show)
        return [self.report(over[key]) for key in files]

    def wait(
        self, last_claim: int, last_executions: set[str], keys: set[str], show: Callable[[Run], None]
    ) -> dict[str, Run]:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            current = {run.key: run for run in self.runs() if run.claim > last_claim and run.key in keys}
            for run in current.values():
                show(run)
            if len(current) == len(keys) and all(run.is_over for run in current.values()):
                return current
            self.check_executions(last_executions, {run.execution_arn for run in current.values()})
            time.sleep(0.3)
        open_ones = ", ".join(sorted(keys - {key for key, run in current.items() if run.is_over}))
        raise LocalError(f"after {PATIENCE} s not through: {open_ones}; the logs are in {self.stack.folder}")

    def failed_executions(self) -> set[str]:
        found = self.states.list_executions(stateMachineArn=self.machine, statusFilter="FAILED", maxResults=1000)
        return {execution["executionArn"] for execution in found["executions"]}

    def check_executions(self, earlier: set[str], of_runs: set[str]) -> None:
        """A run that fails says so in the API's list; an execution that never got as far as a run does not."""
        for arn in self.failed_executions() - earlier - of_runs:
            cause = self.states.describe_execution(executionArn=arn).get("cause", "no cause given")
            log = self.stack.folder / "aws" / "ministack.log"
            raise LocalError(f"an execution failed before it had a run: {cause} The functions' errors are in {log}")

    def report(self, run: Run) -> Report:
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=f"runs/{run.run}/report.json")["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return Report(run=run.run, table=run.table, key=run.key, status=run.status)
        return Report.model_validate_json(body)

    def rows_in_mysql(self, table: str) -> int:
        assert self.stack.mysql
        with closing(self.stack.mysql.connect()) as conn, conn.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM `{table}`")
            (count,) = cursor.fetchone() or (0,)
        return int(count)

    def account(self, reports: list[Report]) -> None:
        columns = ("read", "inserted", "updated", "unchanged", "rejected", "withheld")
        table = Table(title="The account of every record", title_justify="left", pad_edge=False)
        table.add_column("file", overflow="fold")
        for name in (*columns, "seconds", "in MySQL"):
            table.add_column(name, justify="right")
        for report in reports:
            counts = [f"{getattr(report, name):,}" for name in columns]
            table.add_row(
                report.key.removeprefix("raw/"),
                *counts,
                f"{report.seconds:.1f}",
                f"{self.rows_in_mysql(report.table):,}",
            )
        self.console.print(table)
        for report in reports:
            if report.rejected:
                why = ", ".join(f"{count:,} {code}" for code, count in sorted(report.rejected_by_code.items()))
                self.say(f"{report.key}: {report.rejected:,} rejected: {why}")

    def whereabouts(self, reports: list[Report]) -> None:
        self.say(f"\nWhere the files are now, in s3://{self.bucket}/", "bold")
        for report in reports:
            self.say(f"  {report.key} → {report.moved_to or 'still there'}")
            if report.rejects_key:
                self.say(f"  its rejected rows, to correct and upload again: {report.rejects_key}")

    def first_rejects(self, reports: list[Report]) -> None:
        for report in reports:
            if report.rejects_key:
                self.say(f"\nThe first rejects of {report.key}", "bold")
                body = self.s3.get_object(Bucket=self.bucket, Key=report.rejects_key)["Body"].read()
                rows = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""))
                for row, _ in zip(rows, range(SHOWN_REJECTS), strict=False):
                    self.say(f"  {row['_message']}")

    def metrics(self) -> None:
        for route in ("/employees_hired_per_quarter", "/departments_above_mean_hires"):
            answer: list[Mapping[str, Any]] = self.get(f"{route}?year=2021")
            table = Table()
            for name in answer[0] if answer else ():
                table.add_column(name)
            for row in answer[:SHOWN_ROWS]:
                table.add_row(*map(str, row.values()))
            shown = f"; the first {SHOWN_ROWS}" if len(answer) > SHOWN_ROWS else ""
            self.say(f"\nGET {route}?year=2021: {len(answer):,} rows{shown}", "bold")
            self.console.print(table)


def run(folder: Path, rows: int) -> int:
    """The exit status: 0 where each record is accounted for and exactly the bad ones were rejected."""
    demo = Demo(stack.up(folder, allow_stand_in=True))
    samples = write_samples(folder / "samples", rows)
    reports = demo.carry(samples)
    demo.account(reports)
    demo.whereabouts(reports)
    demo.first_rejects(reports)
    demo.metrics()
    wrong = [complaint for report in reports for complaint in complaints(report, samples)]
    for complaint in wrong:
        demo.say(f"WRONG: {complaint}", "bold red")
    if not wrong:
        bad, good = sum(samples.rejected.values()), sum(samples.records.values()) - sum(samples.rejected.values())
        demo.say(f"\nThe books balance: {good:,} rows arrived, and just the {bad:,} bad ones were rejected.")
    further = f'make status, eval "$(make -s env)", the API at {demo.url} (README)'
    demo.say(f"The stack still runs: {further}; end it by: make down")
    return 1 if wrong else 0


def complaints(report: Report, samples: Samples) -> Iterator[str]:
    """What is not as the generator knows it must be."""
    expected = samples.rejected if report.key == f"raw/{samples.hired_employees.name}" else {}
    if report.status != "done":
        yield f"{report.key}: the run ended as {report.status}"
    if report.read != samples.records[report.table]:
        yield f"{report.key}: {samples.records[report.table]:,} records were written, {report.read:,} read"
    if not report.balances:
        yield f"{report.key}: the books don't balance: {json.dumps(report.model_dump())}"
    if report.rejected_by_code != expected or report.rejected != sum(expected.values()):
        yield f"{report.key}: bad rows were {expected}, rejected were {report.rejected_by_code}"


@contextmanager
def progress(console: Console, keys: list[str]) -> Iterator[Callable[[Run], None]]:
    """Something to call with what is known of a run: bars on a terminal, elsewhere a line when something changed."""
    if not console.is_terminal:
        yield line_by_line(console)
        return
    columns = TextColumn("{task.description:28}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn()
    with Progress(*columns, console=console) as bars:
        tasks = {key: bars.add_task(key, total=None, said="waiting") for key in keys}

        def show(run: Run) -> None:
            done = run.batches or 1 if run.is_over else run.batches_done
            bars.update(tasks[run.key], total=run.batches or 1, completed=done, said=said_of(run))

        yield show


def line_by_line(console: Console) -> Callable[[Run], None]:
    last: dict[str, str] = {}

    def show(run: Run) -> None:
        if last.get(run.key) != said_of(run):
            last[run.key] = said_of(run)
            console.print(f"{run.key}: {said_of(run)}")

    return show


def said_of(run: Run) -> str:
    if run.is_over:
        return run.status
    return f"{run.stage}, {run.batches_done} of {run.batches} batches" if run.batches else run.stage
