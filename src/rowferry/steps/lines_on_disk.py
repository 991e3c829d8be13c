"""What is wrong with lines of a file, in a temporary SQLite file: there may be as many as the file has."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

_AT_ONCE = 10_000
_CACHE_KIB = 32 * 1024


class LinesOnDisk:
    """Values that parent tables do not have, lines that refer to them, and lines whose key another line takes.

    A value is text: the fields of a reference in normal form, tabs between.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {setting}")
        for statement in _TABLES:
            self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def clear_missing(self) -> None:
        self._db.execute("DELETE FROM missing")

    def add_missing(self, reference: int, values: Iterable[str]) -> None:
        self._add("INSERT OR IGNORE INTO missing VALUES (?, ?)", ((reference, value) for value in values))

    def missing(self) -> Sequence[int]:
        """The references that have missing values."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT reference FROM missing ORDER BY 1")]

    def missing_among(self, reference: int, values: Sequence[str]) -> set[str]:
        """Which of these values are missing."""
        sql = "SELECT m.value FROM json_each(?) j CROSS JOIN missing m ON m.reference = ? AND m.value = j.value"
        return {row[0] for row in self._db.execute(sql, (json.dumps(values, ensure_ascii=False), reference))}

    def add_orphans(self, orphans: Iterable[tuple[int, int, str]]) -> None:
        """Line, reference and value."""
        self._add("INSERT INTO orphans VALUES (?, ?, ?)", orphans)

    def has_orphans(self) -> bool:
        return self._db.execute("SELECT 1 FROM orphans LIMIT 1").fetchone() is not None

    def is_orphan(self, line: int) -> bool:
        return self._db.execute("SELECT 1 FROM orphans WHERE line = ?", (line,)).fetchone() is not None

    def orphan_lines(self) -> Iterator[int]:
        for (line,) in self._db.execute("SELECT DISTINCT line FROM orphans ORDER BY line"):
            yield line

    def orphans(self, low: int, high: int | None) -> Iterator[tuple[int, int, str]]:
        """Those of these lines, without the last; None: to the end. By line and reference."""
        sql = "SELECT line, reference, value FROM orphans WHERE line >= ? AND line < ? ORDER BY line, reference"
        yield from self._db.execute(sql, (low, high or 2**62))

    def add_losers(self, losers: Iterable[tuple[int, int]]) -> None:
        """A line that loses its key, and the line that takes it."""
        self._add("INSERT INTO losers VALUES (?, ?)", losers)

    def losers(self, low: int, high: int | None) -> dict[int, int]:
        """Those of these lines, without the last; None: to the end."""
        sql = "SELECT line, winner FROM losers WHERE line >= ? AND line < ? ORDER BY line"
        return dict(self._db.execute(sql, (low, high or 2**62)))

    def _add(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        rest = iter(rows)
        while part := list(islice(rest, _AT_ONCE)):
            self._db.execute("BEGIN")
            self._db.executemany(sql, part)
            self._db.execute("COMMIT")


_TABLES = (
    "CREATE TABLE missing (reference INTEGER, value TEXT, PRIMARY KEY (reference, value)) WITHOUT ROWID",
    "CREATE TABLE orphans (line INTEGER, reference INTEGER, value TEXT, PRIMARY KEY (line, reference)) WITHOUT ROWID",
    "CREATE TABLE losers (line INTEGER PRIMARY KEY, winner INTEGER)",
)
