"""What modules of commands share: the stack that was asked for, and its history."""

import typer

from cli.api_history import ApiHistory
from cli.bucket_history import BucketHistory
from cli.history import History, Run
from cli.options import Shared
from cli.output import CommandError
from cli.stack import Stack, find

RUN_ID_SIZE = 32


def history_of(stack: Stack) -> History:
    by_bucket = BucketHistory(stack)
    return ApiHistory(stack.api, by_bucket) if stack.api else by_bucket


def history(shared: Shared) -> History:
    return history_of(find(shared))


def run_named(history: History, name: str) -> Run:
    """The run with this id, with an id that begins so, or the newest: `last`.

    Raises: CommandError.
    """
    if len(name) == RUN_ID_SIZE:
        found = history.run(name)
        if found is None:
            raise CommandError(f"there is no run {name}; `rowferry runs` lists them")
        return found
    listed = history.runs(1 if name == "last" else 200)
    fitting = [run for run in listed if name == "last" or run.run.startswith(name)]
    if len(fitting) != 1:
        words = (
            "no run has been started yet" if name == "last" else f"{len(fitting)} of the newest runs begin with {name}"
        )
        raise CommandError(f"{words}; `rowferry runs` lists them")
    return history.run(fitting[0].run) or fitting[0]


def confirm(shared: Shared, question: str) -> None:
    """Asks on a terminal. Raises: CommandError where nobody can answer or the answer is no."""
    if shared.yes:
        return
    if not shared.output.is_terminal:
        raise CommandError(f"{question} Nobody is there to ask: add --yes", 2)
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was done")
