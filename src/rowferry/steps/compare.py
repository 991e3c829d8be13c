"""Rows of a file beside those of MySQL, by reading only."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from rowferry.declare import key
from rowferry.declare.definition import Column, TableDefinition
from rowferry.ledger import Would
from rowferry.steps.normal_rows import RowReader
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

Fate = Literal["new", "same", "differs"]
Key = tuple[bytes, ...]
"""A key's fields in normal form."""

_LOOKUP = 5_000


def fates(conn: Connection, table: TableDefinition, rows: Iterable[bytes]) -> Iterator[tuple[int, Key, Fate]]:
    """Of rows in normal form: line, key, and how each compares with the row of its key in MySQL, byte for byte."""
    reader, rest = RowReader(table), iter(rows)
    while part := list(islice(rest, _LOOKUP)):
        fields = [reader.fields(row) for row in part]
        keys = [reader.key(row) for row in fields]
        there = {} if table.generated else stored_rows(conn, table, keys, table.names)
        for row, own in zip(fields, keys, strict=True):
            yield int(row[0]), own, _fate(there.get(own), row[1:])


def _fate(stored: Sequence[bytes] | None, row: Sequence[bytes]) -> Fate:
    return "new" if stored is None else "same" if stored == row else "differs"


def stored_rows(
    conn: Connection, table: TableDefinition, keys: Sequence[Key], names: Sequence[str], lock: str = ""
) -> Mapping[Key, list[bytes]]:
    """The columns of these keys' rows, in normal form, by key. `lock`: FOR SHARE, or nothing."""
    key_columns = [table.column(name) for name in table.key]
    wanted = [table.column(name) for name in names]
    columns = ", ".join(f"`{name}`" for name in dict.fromkeys((*table.key, *names)))
    own = ", ".join(f"`{name}`" for name in table.key)
    sql = f"SELECT {columns} FROM `{table.name}` WHERE ({own}) IN ({{}}) ORDER BY {own} {lock}"
    values = [tuple(map(key.parameter, key_columns, fields)) for fields in keys]
    found = mysql.rows_in(conn, sql, [value[0] for value in values] if len(table.key) == 1 else values)
    return {_normal(key_columns, row): list(_normal(wanted, row)) for row in found}


def _normal(columns: Sequence[Column], row: Mapping[str, Any]) -> Key:
    return tuple(
        key.NULL if row[column.name] is None else column.kind.stored(row[column.name]).encode() for column in columns
    )


def would_do(counts: Counter[Fate], on_conflict: str) -> Would:
    """What loading would do to so many rows of each fate; under `reject` rows that differ are rejects, not counted."""
    updated = counts["differs"] if on_conflict == "update" else 0
    unchanged = counts["same"] + (counts["differs"] if on_conflict == "skip" else 0)
    return Would(counts["new"], updated, unchanged)
