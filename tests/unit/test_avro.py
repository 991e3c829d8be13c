"""Avro's container files: what we write we read, and what we did not write is refused."""

import io
import json
import re
from decimal import Decimal
from typing import Any

import avro.datafile
import avro.io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry.avro import TYPES, Contents, Field, Reader, Schema, blocks, differences, file_of, lines
from rowferry.errors import BackupDamaged

SYNC = b"0123456789abcdef"
SCHEMA = Schema(
    "people",
    (
        Field("id", "int"),
        Field("name", "string", nullable=True),
        Field("since", "timestamp-millis"),
        Field("wide", "long", nullable=True),
        Field("price", "decimal(10,2)"),
        Field("share", "decimal(18,18)", nullable=True),
        Field("total", "decimal(18,0)"),
    ),
)
MANY = 10**18 - 1

NUMBERS = st.integers(-(2**31), 2**31 - 1)
PEOPLE = st.lists(
    st.tuples(
        NUMBERS,
        st.none() | st.text(),
        st.integers(1, 2**31 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.integers(-(10**10) + 1, 10**10 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
        st.none() | st.integers(-MANY, MANY).map(lambda atoms: Decimal(atoms).scaleb(-18)),
        st.integers(-MANY, MANY).map(Decimal),
    )
)


def encoded(people: list[tuple[Any, ...]]) -> list[bytes]:
    """By Apache's own writer, without its container and without logical types: a decimal is eight bytes there."""
    plain = re.sub(r'\{"type": "(long|bytes)", "logicalType": [^}]*\}', r'"\1"', json.dumps(SCHEMA.as_json()))
    writer = avro.io.DatumWriter(avro.schema.parse(plain))
    records = []
    for id, name, since, wide, price, share, total in people:
        buffer = io.BytesIO()
        record = {"id": id, "name": name, "since": since * 1000, "wide": wide}
        record |= {"price": in_bytes(price, 2), "share": in_bytes(share, 18), "total": in_bytes(total, 0)}
        writer.write(record, avro.io.BinaryEncoder(buffer))
        records.append(buffer.getvalue())
    return records


def in_bytes(value: Decimal | None, scale: int) -> bytes | None:
    return None if value is None else int(value.scaleb(scale)).to_bytes(8, signed=True)


def written(records: list[bytes]) -> bytes:
    return b"".join(file_of(SCHEMA, SYNC, blocks([records])))


def escaped(value: object) -> bytes:
    if value is None:
        return b"\\N"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.encode().replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


@given(PEOPLE)
def test_records_that_apache_writes_are_read_as_load_data_takes_them(people: list[tuple[Any, ...]]) -> None:
    reader = Reader(io.BytesIO(written(encoded(people))))
    assert reader.schema == SCHEMA
    read = [line for count, block in reader.blocks() for line in lines(SCHEMA, count, block)]
    assert read == [b"\t".join(map(escaped, person)) + b"\n" for person in people]


@given(PEOPLE)
def test_apache_reads_what_we_frame(people: list[tuple[Any, ...]]) -> None:
    with avro.datafile.DataFileReader(io.BytesIO(written(encoded(people))), avro.io.DatumReader()) as reader:
        found: list[Any] = list(reader)
    names = ("id", "name", "wide", "price", "share", "total")
    assert [tuple(row[name] for name in names) for row in found] == [(*person[:2], *person[3:]) for person in people]


def test_a_decimal_of_other_than_eight_bytes_is_refused() -> None:
    schema = Schema("t", (Field("a", "decimal(10,2)"),))
    assert list(lines(schema, 1, b"\x10" + bytes(7) + b"\x05")) == [b"0.05\n"]
    with pytest.raises(BackupDamaged, match="a decimal is not of 8 bytes"):
        list(lines(schema, 1, b"\x02\x05"))
    with pytest.raises(BackupDamaged, match="a block holds other than so many records"):
        list(lines(schema, 1, b"\x10" + bytes(7)))


def test_a_number_without_end_is_refused() -> None:
    schema = Schema("t", (Field("a", "int"),))
    with pytest.raises(BackupDamaged, match="a block holds other records than it says"):
        list(lines(schema, 1, b"\xff" * 3000 + b"\x01"))


def test_a_block_is_closed_when_it_is_large_enough_however_many_records_come_at_once() -> None:
    found = list(blocks([[b"x" * 40_000] * 5, [b"y"] * 3]))
    assert [(count, len(data)) for count, data in found] == [(2, 80_000), (2, 80_000), (4, 40_003)]


@given(st.data())
def test_any_file_that_is_cut_or_changed_is_refused_or_read_as_something_else_but_never_breaks(
    data: st.DataObject,
) -> None:
    whole = bytearray(
        written(encoded([(i, f"name {i}", i + 1, -i, Decimal(i), None, Decimal(-i)) for i in range(300)]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_all(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(junk: bytes) -> None:
    read_all(b"Obj\x01" + junk)
    with pytest.raises(BackupDamaged):
        Reader(io.BytesIO(b"x" + junk))


def read_all(file: bytes) -> None:
    try:
        reader = Reader(io.BytesIO(file))
        for count, block in reader.blocks():
            list(lines(SCHEMA, count, block))
    except BackupDamaged:
        pass


def test_another_codec_and_a_block_that_inflates_without_end_are_refused() -> None:
    with pytest.raises(BackupDamaged, match="the codec is null"):
        Reader(io.BytesIO(written([]).replace(b"\x0edeflate", b"\x08null")))
    bomb = b"".join(file_of(SCHEMA, SYNC, [(1, bytes(65 * 1024**2))]))
    with pytest.raises(BackupDamaged, match="more than 67108864 bytes"):
        list(Reader(io.BytesIO(bomb)).blocks())


@pytest.mark.parametrize(
    ("file", "table", "words"),
    [
        (Field("a", "int"), Field("a", "int"), []),
        (Field("a", "int"), Field("a", "long"), []),
        (Field("a", "int"), Field("a", "long", True), []),
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


def test_the_checksum_is_that_of_the_records_in_any_order() -> None:
    first, second = Contents(), Contents()
    first.add([b"a", b"b", b"c"])
    second.add([b"c"])
    second.add([b"b", b"a"])
    assert first.checksum == second.checksum != Contents().checksum


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
        {"name": "t", "fields": [{"name": "a", "type": "bytes"}]},
        [],
        decimal_of(),
        decimal_of(precision=19, scale=2),
        decimal_of(precision=4, scale=5),
        decimal_of(precision=4),
        decimal_of(precision=4, scale=2, size=8),
    ],
)
def test_a_schema_that_is_none_of_ours_is_refused(found: Any) -> None:
    with pytest.raises(BackupDamaged):
        Schema.of_json(found)
