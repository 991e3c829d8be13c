"""Avro's container files: what we write we read, and what we did not write is refused."""

import io
import json
from typing import Any

import avro.datafile
import avro.io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry.avro import Contents, Field, Reader, Schema, blocks, differences, file_of, lines
from rowferry.errors import BackupDamaged

SYNC = b"0123456789abcdef"
SCHEMA = Schema(
    "people",
    (
        Field("id", "int"),
        Field("name", "string", nullable=True),
        Field("since", "timestamp-millis"),
        Field("wide", "long", nullable=True),
    ),
)

NUMBERS = st.integers(-(2**31), 2**31 - 1)
PEOPLE = st.lists(
    st.tuples(NUMBERS, st.none() | st.text(), st.integers(1, 2**31 - 1), st.none() | st.integers(-(2**63), 2**63 - 1))
)


def encoded(people: list[tuple[Any, ...]]) -> list[bytes]:
    """By Apache's own writer, without its container."""
    plain = json.dumps(SCHEMA.as_json()).replace('{"type": "long", "logicalType": "timestamp-millis"}', '"long"')
    writer = avro.io.DatumWriter(avro.schema.parse(plain))
    records = []
    for id, name, since, wide in people:
        buffer = io.BytesIO()
        record = {"id": id, "name": name, "since": since * 1000, "wide": wide}
        writer.write(record, avro.io.BinaryEncoder(buffer))
        records.append(buffer.getvalue())
    return records


def written(records: list[bytes]) -> bytes:
    return b"".join(file_of(SCHEMA, SYNC, blocks([records])))


def escaped(value: object) -> bytes:
    if value is None:
        return b"\\N"
    return str(value).encode().replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


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
    assert [(row["id"], row["name"], row["wide"]) for row in found] == [
        (id, name, wide) for id, name, _, wide in people
    ]


def test_a_block_is_closed_when_it_is_large_enough_however_many_records_come_at_once() -> None:
    found = list(blocks([[b"x" * 40_000] * 5, [b"y"] * 3]))
    assert [(count, len(data)) for count, data in found] == [(2, 80_000), (2, 80_000), (4, 40_003)]


@given(st.data())
def test_any_file_that_is_cut_or_changed_is_refused_or_read_as_something_else_but_never_breaks(
    data: st.DataObject,
) -> None:
    whole = bytearray(written(encoded([(i, f"name {i}", i + 1, -i) for i in range(300)])))
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


@pytest.mark.parametrize("found", [{}, {"name": "t"}, {"name": "t", "fields": [{"name": "a", "type": "bytes"}]}, []])
def test_a_schema_that_is_none_of_ours_is_refused(found: Any) -> None:
    with pytest.raises(BackupDamaged):
        Schema.of_json(found)
