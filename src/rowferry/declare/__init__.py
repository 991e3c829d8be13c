"""What a declaration of a table may say, and what follows from it: types, keys, references, DDL, comparison.

May import: errors, storage. (rowferry/tables.py holds the declarations themselves and belongs to this package.)
Never knows: files, records, runs, steps.
"""

from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.table_class import Id, Key, References, Table
from rowferry.declare.types import (
    Binary,
    Boolean,
    Choice,
    Date,
    DateTime,
    Decimal,
    Double,
    Integer,
    Json,
    Text,
    Time,
    Timestamp,
    Uuid,
    Varchar,
)

__all__ = [
    "Binary",
    "Boolean",
    "Choice",
    "CsvFormat",
    "Date",
    "DateTime",
    "Decimal",
    "Double",
    "Id",
    "Integer",
    "Json",
    "Key",
    "References",
    "Table",
    "Text",
    "Time",
    "Timestamp",
    "Uuid",
    "Varchar",
]
