"""`rowferry load`: uploads files, follows their runs, and ends with the account of every record."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli.commands import history_of
from cli.follow import follow, until_interrupted, worst
from cli.history import Run
from cli.options import shared
from cli.output import Output
from cli.rejects import first_messages, read_csv
from cli.stack import Stack, find
from cli.upload import Uploaded, Wanted, keys_of, upload

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="CSV files, also .csv.gz", show_default=False)]
TableOption = Annotated[
    str | None, typer.Option("--table", metavar="NAME", help="Their table. Default: by the name of each file.")
]


def load(
    context: typer.Context,
    files: Files,
    table: TableOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the runs until they end.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what loading would do on the stack. Writes nothing to tables.")
    ] = False,
) -> None:
    """Load files: upload them, follow their runs, show what became of every record.

    Ctrl-C stops following; the runs go on.

    Examples:

      rowferry load departments.csv jobs.csv

      rowferry load --table hired_employees export-2026-11.csv --no-wait

      rowferry load departments.csv --stack rowferry --profile work
    """
    options = shared(context)
    output = options.output
    wanted = keys_of(files, table, dry_run)
    stack = find(options)
    uploaded = _upload_all(stack, wanted, context.meta.get("metadata", {}), output)
    if not wait:
        for one in uploaded:
            output.emit({"file": str(one.path), "key": one.key, "run": one.run, "status": "uploaded"})
            output.say(f"{one.key}: uploaded; follow it with: rowferry show {one.run} --follow")
        return
    raise typer.Exit(_follow(stack, uploaded, output))


def _follow(stack: Stack, uploaded: Sequence[Uploaded], output: Output) -> int:
    files = {one.run: one for one in uploaded}
    with until_interrupted(f"rowferry show {' '.join(files)} --follow"):
        runs = follow(history_of(stack), {one.run: one.key for one in uploaded}, output)
        for run in runs:
            output.emit({"file": str(files[run.run].path), **run.model_dump(mode="json")})
            conclude(stack, run, output)
    if len(runs) > 1:
        read, accepted = sum(run.read for run in runs), sum(run.inserted + run.updated + run.unchanged for run in runs)
        output.say(f"{len(runs)} files: {read:,} records read, {accepted:,} are in their tables")
    return worst(runs)


def conclude(stack: Stack, run: Run, output: Output) -> None:
    """How a run ended, in words."""
    style = {0: "green", 3: "yellow"}.get(run.exit_code, "red")
    output.say(f"{run.key}: {ENDINGS.get(run.status, run.status)} ({run.seconds:.1f} s)", style)
    if run.read:
        output.say(f"  {run.account}")
    if run.why:
        output.say(f"  {run.why}")
    for key in filter(None, (run.rejects_key, run.duplicates_key)):
        for message in first_messages(read_csv(stack, key)):
            output.say(f"    {message}")
        output.say(f"  rejected rows, to correct and load again: s3://{stack.bucket}/{key}")
    if run.rejects_key:
        output.say(f"  to save them: rowferry rejects {run.run} --csv > rejects.csv")
    if run.status == "failed":
        output.say(f"  when the reason is mended: rowferry retry {run.run}")


ENDINGS: Mapping[str, str] = {
    "done": "loaded",
    "checked": "checked; nothing was written",
    "refused": "refused; nothing was loaded",
    "gated": "not loaded: too many of its records were rejected",
    "superseded": "not loaded: a newer version of the file has been loaded",
    "failed": "the run failed; the file stays in raw/",
    "abandoned": "abandoned",
}


def _upload_all(stack: Stack, wanted: Sequence[Wanted], metadata: Mapping[str, str], output: Output) -> list[Uploaded]:
    with _bars(output, wanted) as sent:
        return upload(stack, wanted, metadata, sent)


@contextmanager
def _bars(output: Output, wanted: Sequence[Wanted]) -> Iterator[Callable[[Wanted, int], None]]:
    if not output.is_terminal:
        yield lambda one, size: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=output.console, transient=True) as bars:
        tasks = {one.key: bars.add_task(one.path.name, total=one.path.stat().st_size) for one in wanted}
        lock = threading.Lock()

        def sent(one: Wanted, size: int) -> None:
            with lock:
                bars.advance(tasks[one.key], size)

        yield sent
