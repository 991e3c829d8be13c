"""The types that a column can have, each with its rule for text from a CSV field.

A rule is a Pydantic schema: where it can be, a fast choice that runs wholly in pydantic-core, and behind it one that is
called only for what the fast one did not take and gives the verdict in words. The verdict's code is the Pydantic
error's `type`, its text the error's `msg`, written to follow the column's name ("department_id" + " is empty").
"""

from rowferry.declare.types.base import VERDICT, Kind, shown
from rowferry.declare.types.dates import Date, Time
from rowferry.declare.types.encoded import Binary, Json, Uuid
from rowferry.declare.types.moments import TIMESTAMP_MAX, TIMESTAMP_MIN, DateTime, Timestamp
from rowferry.declare.types.numbers import BIGINT_MAX, DECIMAL_DIGITS, DECIMAL_SCALE, INT_MAX, Decimal, Double, Integer
from rowferry.declare.types.words import Boolean, Choice, Text, Varchar

KINDS = (
    *(Integer, Decimal, Double, Boolean, Varchar, Text, Choice),
    *(Date, Time, DateTime, Timestamp, Uuid, Json, Binary),
)
"""The classes of all types."""

__all__ = [
    "BIGINT_MAX",
    "DECIMAL_DIGITS",
    "DECIMAL_SCALE",
    "INT_MAX",
    "KINDS",
    "TIMESTAMP_MAX",
    "TIMESTAMP_MIN",
    "VERDICT",
    "Binary",
    "Boolean",
    "Choice",
    "Date",
    "DateTime",
    "Decimal",
    "Double",
    "Integer",
    "Json",
    "Kind",
    "Text",
    "Time",
    "Timestamp",
    "Uuid",
    "Varchar",
    "shown",
]
