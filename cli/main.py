"""The command `rowferry`."""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from cli import backups, check, laptop, load, metrics, runs
from cli.options import ON_THIS_MACHINE, OPTIONS, with_format, with_shared
from cli.output import INTERRUPTED, OTHER, CommandError, console

EXIT_CODES = (
    "Exit codes: 0 all loaded, 3 loaded with rejects, 4 refused or not loaded because of too many rejects, 5 failed, "
    "2 wrong usage, 1 anything else."
)
app = typer.Typer(
    name="rowferry",
    help=f"Load CSV files into MySQL and account for every row.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
TOPICS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Files": (load.load, check.check),
    "Runs": (runs.runs, runs.show, runs.rejects, runs.retry, runs.abandon),
    "Backups": (backups.backup, backups.backups, backups.restore),
    "Reports": (metrics.hires, metrics.departments),
    "The stack on this machine": (laptop.up, laptop.down, laptop.status, laptop.demo, laptop.env, laptop.doctor),
}
LOCAL_ONLY = (check.check, laptop.up, laptop.down, laptop.status, laptop.demo, laptop.env)
OF_FILES = (load.load, check.check)
"""Commands with the options of file_options.py."""
for panel, commands in TOPICS.items():
    for command in commands:
        names = ON_THIS_MACHINE if command in LOCAL_ONLY else tuple(OPTIONS)
        extended = with_format(command) if command in OF_FILES else command
        app.command(rich_help_panel=panel)(with_shared(extended, names))


def main() -> None:
    try:
        app(standalone_mode=True)
    except CommandError as error:
        console(stderr=True).print(f"rowferry: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.code)
    except BrokenPipeError:  # the reader of a pipe, like head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OTHER)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
