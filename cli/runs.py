"""`rowferry runs`, `show`, `rejects`, `retry`, `abandon`."""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from cli import rejects as reject_files
from cli.commands import confirm, history, history_of, run_named
from cli.follow import follow, state_of, until_interrupted, worst
from cli.history import COUNTS, Run
from cli.load import conclude
from cli.options import shared
from cli.output import CommandError, Output
from cli.stack import Stack, find

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `last`", show_default=False)
]
RunIds = Annotated[
    list[str], typer.Argument(metavar="RUN", help="Ids of runs, beginnings of them, or `last`", show_default=False)
]
COLUMNS = ("run", "file", "table", "status", *COUNTS[:1], "inserted", "updated", "rejected", "started", "seconds")


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 20,
    status: Annotated[str | None, typer.Option("--status", help="Only those: done, failed, refused ...")] = None,
    table: Annotated[str | None, typer.Option("--table", metavar="NAME", help="Only those of a table.")] = None,
) -> None:
    """List runs, the newest first.

    Examples:

      rowferry runs

      rowferry runs --status failed --json
    """
    options = shared(context)
    found = [run for run in history(options).runs(limit) if status in (None, run.status) and table in (None, run.table)]
    if options.output.json:
        for run in found:
            options.output.emit(run.model_dump(mode="json"))
        return
    if not found:
        options.output.say("no run yet" if not (status or table) else "no such run among the newest")
        return
    options.output.show([_row(run) for run in found], COLUMNS)
    for run in found:
        if run.why:
            options.output.say(f"{run.run[:8]} {run.status}: {run.why}")


def _row(run: Run) -> dict[str, object]:
    shown = {"run": run.run[:8], "file": run.key.partition("/")[2], "started": (run.started_at or "")[:19]}
    return {**run.model_dump(), **shown, "seconds": f"{run.seconds:.1f}"}


def show(
    context: typer.Context,
    run: RunIds,
    until_end: Annotated[bool, typer.Option("--follow", help="Wait until the runs have ended.")] = False,
) -> None:
    """Show runs: state, account, attempts, where the files are.

    Examples:

      rowferry show last

      rowferry show 3f2a91c0 --follow
    """
    options = shared(context)
    stack = find(options)
    answers = history_of(stack)
    found = [_of_name(name, run_named(answers, name) if len(name) < 32 or not until_end else None) for name in run]
    with until_interrupted(f"rowferry show {' '.join(id for id, _ in found)} --follow"):
        if until_end:
            shown = follow(answers, dict(found), options.output)
        else:
            shown = [run_named(answers, id) for id, _ in found]
        for one in shown:
            options.output.emit(one.model_dump(mode="json"))
            _describe(one, options.output)
            if one.is_over:
                conclude(stack, one, options.output)
    raise typer.Exit(worst([one for one in shown if one.is_over]))


def _of_name(name: str, run: Run | None) -> tuple[str, str]:
    """A run's id and key; a full id may be followed before its run has begun."""
    return (run.run, run.key) if run else (name, f"/{name}")


def _describe(run: Run, output: Output) -> None:
    output.say(f"run {run.run}", "bold")
    output.say(f"  file {run.key}, table {run.table or 'unknown'}, started {run.started_at}")
    if not run.is_over:
        output.say(f"  {state_of(run)}")
    for attempt in run.attempts:
        reason = f": {attempt['reason']}" if attempt.get("reason") else ""
        output.say(f"  attempt of {attempt['started_at']}: {attempt['status']}{reason}")
    if run.rejected_by_code:
        by_code = ", ".join(f"{count:,} {code}" for code, count in run.rejected_by_code.items())
        output.say(f"  rejected: {by_code}")
    if run.moved_to and run.moved_to != run.key:
        output.say(f"  the file is now {run.moved_to}")


def rejects(
    context: typer.Context,
    run: RunId,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many rows.")] = 50,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="The whole reject file, to correct and load again, on stdout.")
    ] = False,
    by_code: Annotated[bool, typer.Option("--by-code", help="Only how many of each code.")] = False,
) -> None:
    """Show a run's rejected rows, each with its line and what is wrong with it.

    Examples:

      rowferry rejects last

      rowferry rejects last --csv > departments-corrected.csv
    """
    options = shared(context)
    output = options.output
    stack = find(options)
    found = run_named(history_of(stack), run)
    if as_csv:
        _copy_csv(context, stack, found)
    elif by_code:
        codes = found.rejected_by_code or _count(reject_files.of_run(stack, found))
        output.show([{"code": code, "rows": count} for code, count in sorted(codes.items())], ("code", "rows"))
    elif not found.rejected:
        output.say(f"run {found.run} rejected no row")
    else:
        rows = list(islice(reject_files.of_run(stack, found), limit))
        if output.json:
            output.show(rows, ())
        else:
            output.show([{**row, "codes": ", ".join(row["codes"])} for row in rows], ("line", "codes", "message"))
            if found.rejected > len(rows):
                output.say(f"{found.rejected - len(rows):,} more: --limit, or --csv for the whole file")


def _count(rows: Iterator[dict[str, Any]]) -> dict[str, int]:
    return Counter(code for row in rows for code in row["codes"])


def _copy_csv(context: typer.Context, stack: Stack, run: Run) -> None:
    if shared(context).output.json:
        raise CommandError("--csv and --json exclude each other", 2)
    if run.rejects_key is None:
        raise CommandError(f"run {run.run} has no rejects.csv: it rejected {run.rejected:,} rows")
    for block in reject_files.read_bytes(stack, run.rejects_key):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def retry(context: typer.Context, run: RunId) -> None:
    """Start a failed run again. It continues where it stopped; nothing is loaded twice.

    Example:

      rowferry retry last
    """
    options = shared(context)
    answers = history(options)
    found = run_named(answers, run)
    detail = answers.retry(found)
    options.output.emit({"run": found.run, "detail": detail})
    options.output.say(f"run {found.run}: {detail}")
    options.output.say(f"follow it with: rowferry show {found.run} --follow")


def abandon(
    context: typer.Context,
    run: RunId,
    reason: Annotated[str, typer.Option("--reason", help="Why; the history shows it.")] = "",
) -> None:
    """Give up a run for good: nothing starts it again, and other files may load its keys.

    Rows that it has loaded stay in the table. The upload stays where it is.

    Example:

      rowferry abandon 3f2a91c0 --reason "wrong file" --yes
    """
    options = shared(context)
    answers = history(options)
    found = run_named(answers, run)
    confirm(options, f"Abandon run {found.run} of {found.key}?")
    ended = answers.abandon(found.run, reason)
    options.output.emit(ended.model_dump(mode="json"))
    options.output.say(f"run {ended.run} is {ended.status}; {ended.reason or ''}")
