"""Follows runs until they end: bars on a terminal, elsewhere a line whenever something changed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.history import History, Run
from cli.output import INTERRUPTED, CommandError, Output

PAUSES = (0.3, 0.5, 1.0, 2.0)
"""Seconds between two looks: growing, as long runs change slowly."""
LOOKS_PER_PAUSE = 20
LATE_SECONDS = 60
"""After that long without a run, it is said that none has begun."""


def follow(history: History, keys: Mapping[str, str], output: Output) -> list[Run]:
    """`keys`: by a run's id the key that is shown for it. Answers the runs in the same order, all of them ended."""
    with display(output, keys) as show:
        over = dict[str, Run]()
        begun = time.monotonic()
        late_said = False
        for looks in _counted():
            for id in keys:
                if id in over:
                    continue
                run = history.run(id)
                if run is not None:
                    show(run)
                    if run.is_over:
                        over[id] = run
            if len(over) == len(keys):
                return [over[id] for id in keys]
            if not late_said and looks and time.monotonic() - begun > LATE_SECONDS and not over:
                late_said = True
                output.say("still waiting; `rowferry runs` in another terminal shows what is under way")
            time.sleep(PAUSES[min(looks // LOOKS_PER_PAUSE, len(PAUSES) - 1)])
    raise AssertionError("unreachable")


def _counted() -> Iterator[int]:
    looks = 0
    while True:
        yield looks
        looks += 1


@contextmanager
def until_interrupted(command: str) -> Iterator[None]:
    """Around what follows runs and shows how they ended: Ctrl-C says how to go on with `command`.

    Raises: CommandError where Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(f"no longer following; the runs go on: {command}", INTERRUPTED) from None


@contextmanager
def display(output: Output, keys: Mapping[str, str]) -> Iterator[Callable[[Run], None]]:
    if not output.is_terminal:
        yield _line_by_line(output)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn()
    with Progress(*columns, console=output.console, transient=True) as bars:
        tasks = {id: bars.add_task(_short(key), total=None, said="waiting") for id, key in keys.items()}

        def show(run: Run) -> None:
            done = (run.batches or 1) if run.is_over else run.batches_done
            bars.update(tasks[run.run], total=run.batches or 1, completed=done, said=state_of(run))

        yield show


def _line_by_line(output: Output) -> Callable[[Run], None]:
    last = dict[str, str]()

    def show(run: Run) -> None:
        said = state_of(run)
        if last.get(run.run) != said:
            last[run.run] = said
            output.say(f"{_short(run.key)}: {said}")

    return show


def state_of(run: Run) -> str:
    """A run's state in a few words: step, batches, speed, time left, what it waits for."""
    if run.is_over:
        return run.status
    parts = [run.stage or "begins"]
    if run.batches:
        parts.append(f"{run.batches_done} of {run.batches} batches")
    if run.read and run.seconds:
        parts.append(f"{run.read / run.seconds:,.0f} rows/s")
    if run.batches and 0 < run.batches_done < run.batches and run.seconds:
        left = run.seconds / run.batches_done * (run.batches - run.batches_done)
        parts.append(f"about {left:,.0f} s left")
    if run.reason:
        parts.append(run.reason)
    return ", ".join(parts)


def _short(key: str) -> str:
    return key.partition("/")[2]


def worst(runs: Sequence[Run]) -> int:
    """The exit code for several runs: that of the one that went worst."""
    return max((run.exit_code for run in runs), default=0)
