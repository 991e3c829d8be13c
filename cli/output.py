"""What a command prints, and with which status it ends.

Without --json, results and words go to stdout. With --json, stdout has one JSON object a line and nothing else.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

LOADED = 0
OTHER = 1
USAGE = 2
WITH_REJECTS = 3
REFUSED = 4
FAILED = 5
INTERRUPTED = 130
WIDTH_OFF_A_TERMINAL = 160


class CommandError(Exception):
    """A command can't do what was asked. The message says why and what to do."""

    def __init__(self, message: str, code: int = OTHER) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Output:
    """Where a command prints. `json`: one object a line on stdout. `quiet`: no words but errors."""

    json: bool = False
    quiet: bool = False

    @property
    def console(self) -> Console:
        return console(stderr=self.json)

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal and not self.quiet

    def say(self, words: str, style: str = "") -> None:
        """Words for people; on stderr with --json, nowhere with --quiet."""
        if not self.quiet:
            self.console.print(words, style=style, markup=False, soft_wrap=True)

    def emit(self, value: Mapping[str, Any]) -> None:
        """One object on stdout, with --json only."""
        if self.json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()

    def show(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
        """Rows as a table, or as objects with --json; these have every field, not only the columns."""
        if self.json:
            for row in rows:
                self.emit(row)
            return
        table = Table(title=title, title_justify="left", pad_edge=False)
        for name in columns:
            right = bool(rows) and isinstance(rows[0].get(name), int | float)
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(as_text(row.get(name)) for name in columns))
        self.console.print(table, markup=False)


def console(stderr: bool = False) -> Console:
    """Without colours where NO_COLOR is set or no terminal is there; then it is wide, as a pipe has no width."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_OFF_A_TERMINAL)


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
