"""What loading would do to MySQL, by reading only: for a file under `check/`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from rowferry.declare.table import Column, Table
from rowferry.ledger import Would
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

Fate = Literal["new", "same", "differs"]

_LOOKUP = 5_000


def fates(conn: Connection, table: Table, rows: Iterable[bytes]) -> Iterator[tuple[int, int, Fate]]:
    """Of rows in normal form: line, key, and how each compares with the row of its key in MySQL, byte for byte."""
    rest = iter(rows)
    while part := list(islice(rest, _LOOKUP)):
        fields = [row.rstrip(b"\n").decode().split("\t") for row in part]
        there = _stored(conn, table, [int(row[table.key_index + 1]) for row in fields])
        for row in fields:
            key = int(row[table.key_index + 1])
            yield int(row[0]), key, _fate(there.get(key), row[1:])


def _fate(stored: Sequence[str | None] | None, row: Sequence[str]) -> Fate:
    return "new" if stored is None else "same" if stored == row else "differs"


def _stored(conn: Connection, table: Table, keys: Sequence[int]) -> Mapping[int, list[str | None]]:
    """The rows of these keys in normal form, by key; None where a database's own column is NULL."""
    names = ", ".join(f"`{name}`" for name in table.names)
    found = mysql.rows_in(conn, f"SELECT {names} FROM `{table.name}` WHERE `{table.key}` IN ({{}})", keys)
    return {row[table.key]: [_normal(column, row[column.name]) for column in table.columns] for row in found}


def _normal(column: Column, value: Any) -> str | None:
    return None if value is None else column.kind.stored(value)


def would_do(counts: Counter[Fate], on_conflict: str) -> Would:
    """What loading would do to so many rows of each fate; under `reject` rows that differ are rejects, not counted."""
    updated = counts["differs"] if on_conflict == "update" else 0
    unchanged = counts["same"] + (counts["differs"] if on_conflict == "skip" else 0)
    return Would(counts["new"], updated, unchanged)
