"""Ranges of a table's keys, of one column or several, as conditions of a statement."""

import datetime as dt
import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Bound = tuple[str, ...]
"""A key, each column as a literal of SQL (`literal`)."""


@dataclass(frozen=True)
class Range:
    """Keys above `low` up to `high`; None: no bound."""

    low: Bound | None
    high: Bound | None

    def sql(self, key: Sequence[str], alias: str = "") -> str:
        """A condition about the key's columns, perhaps of an alias."""
        columns = [f"{alias}.`{name}`" if alias else f"`{name}`" for name in key]
        bounds = [_beyond(columns, self.low, ">")] if self.low else []
        bounds += [_beyond(columns, self.high, "<=")] if self.high else []
        return " AND ".join(bounds) or "TRUE"


def _beyond(columns: Sequence[str], bound: Bound, sign: str) -> str:
    """MySQL looks up `(a, b) > (1, 2)` in no index; of this it does, by the first column."""
    column, value = columns[0], bound[0]
    if len(columns) == 1:
        return f"{column} {sign} {value}"
    rest = _beyond(columns[1:], bound[1:], sign)
    return f"({column} {sign[0]}= {value} AND ({column} {sign[0]} {value} OR {rest}))"


def literal(value: Any) -> str:
    """A value as MySQL gave it, for a statement."""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, dt.timedelta):
        return f"'{_time(value)}'"
    return f"_utf8mb4 x'{str(value).encode().hex()}'"


def _time(value: dt.timedelta) -> str:
    sign, rest = ("-", -value) if value < dt.timedelta(0) else ("", value)
    seconds = rest.days * 86_400 + rest.seconds
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest.microseconds:06}"
