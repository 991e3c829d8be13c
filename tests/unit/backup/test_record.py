"""A row's record: its schema, its differences from a table's, its line."""

import json
from typing import Any

import pytest

from rowferry.backup.record import TYPES, Checksum, Field, Schema, differences
from rowferry.errors import BackupDamaged


@pytest.mark.parametrize(
    ("file", "table", "words"),
    [
        (Field("a", "int"), Field("a", "int"), []),
        (Field("a", "int"), Field("a", "long"), []),
        (Field("a", "int"), Field("a", "long", True), []),
        (Field("a", "timestamp-millis"), Field("a", "timestamp-micros"), []),
        (
            Field("a", "timestamp-micros"),
            Field("a", "timestamp-millis"),
            ["a is timestamp-micros in the backup, timestamp-millis in the table"],
        ),
        (Field("a", "string", True), Field("a", "string"), ["a may be null in the backup, not in the table"]),
        (Field("a", "long"), Field("a", "int"), ["a is long in the backup, int in the table"]),
        (Field("a", "int"), Field("a", "string", True), ["a is int in the backup, string or null in the table"]),
        (
            Field("a", "long"),
            Field("a", "timestamp-millis"),
            ["a is long in the backup, timestamp-millis in the table"],
        ),
        (Field("a", "decimal(10,2)"), Field("a", "decimal(10,2)", True), []),
        *(
            (Field("a", was), Field("a", now), [f"a is {was} in the backup, {now} in the table"])
            for was, now in (
                ("decimal(10,2)", "decimal(12,2)"),
                ("decimal(10,2)", "decimal(10,3)"),
                ("decimal(10,0)", "long"),
                ("int", "decimal(10,0)"),
            )
        ),
        (Field("a", "int"), Field("b", "int", True), ["a is in the backup, and the table has no such column"]),
    ],
)
def test_a_schema_that_differs_is_taken_where_nothing_is_lost_and_else_said_in_words(
    file: Field, table: Field, words: list[str]
) -> None:
    same = Field("id", "int")
    assert differences(Schema("t", (same, file)), Schema("t", (table, same))) == words


def test_a_new_column_may_be_null_or_is_said() -> None:
    same = Field("id", "int")
    assert differences(Schema("t", (same,)), Schema("t", (same, Field("b", "int", True)))) == []
    assert differences(Schema("t", (same,)), Schema("t", (same, Field("b", "int")))) == [
        "b is not in the backup, and may not be null in the table"
    ]


def test_the_checksum_is_that_of_the_lines_in_any_order() -> None:
    first, second = Checksum(), Checksum()
    first.add([b"a", b"b", b"c"])
    second.add([b"c"])
    second.add([b"b", b"a"])
    assert (first.rows, first.digits) == (second.rows, second.digits)
    assert first.digits != Checksum().digits


def decimal_of(**told: Any) -> dict[str, Any]:
    return {"name": "t", "fields": [{"name": "a", "type": {"type": "bytes", "logicalType": "decimal", **told}}]}


def test_each_schema_of_ours_is_read_as_what_it_was() -> None:
    schema = Schema("t", tuple(Field(f"c{at}", type, at % 2 == 0) for at, type in enumerate(TYPES)))
    assert Schema.of_json(json.loads(json.dumps(schema.as_json()))) == schema


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"name": "t"},
        {"name": "t", "fields": [{"name": "a", "type": "float"}]},
        [],
        decimal_of(),
        decimal_of(precision=66, scale=2),
        decimal_of(precision=4, scale=5),
        decimal_of(precision=4),
        decimal_of(precision=4, scale=2, size=8),
    ],
)
def test_a_schema_that_is_none_of_ours_is_refused(found: Any) -> None:
    with pytest.raises(BackupDamaged):
        Schema.of_json(found)
