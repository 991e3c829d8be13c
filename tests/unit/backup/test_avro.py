"""Lines of rows into Avro's container files and back: what Apache's reader finds, and what is refused."""

import io
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import avro.datafile
import avro.io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry.backup.avro import BLOCK_BYTES, Reader, written, written_beside
from rowferry.backup.record import Checksum, Field, Schema
from rowferry.errors import BackupDamaged, DatabaseUnavailable, StorageUnavailable, WorkerDied

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
        st.none() | st.text() | st.text(alphabet="\\\t\nNtn"),
        st.integers(1, 2**31 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.integers(-(10**10) + 1, 10**10 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
        st.none() | st.integers(-MANY, MANY).map(lambda atoms: Decimal(atoms).scaleb(-18)),
        st.integers(-MANY, MANY).map(Decimal),
    )
)
Person = tuple[Any, ...]


def line(person: Person) -> bytes:
    """As MySQL writes it."""
    return b"\t".join(map(escaped, person))


def escaped(value: object) -> bytes:
    if value is None:
        return b"\\N"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.encode().replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


def file_of(people: list[Person], schema: Schema = SCHEMA) -> bytes:
    return b"".join(written(schema, [list(map(line, people))] if people else []))


def read(file: bytes) -> list[bytes]:
    return [line for lines in Reader(io.BytesIO(file)).batches() for line in lines]


@given(PEOPLE)
def test_lines_come_back_as_they_were(people: list[Person]) -> None:
    file = file_of(people)
    assert Reader(io.BytesIO(file)).schema == SCHEMA
    assert read(file) == list(map(line, people))


@given(PEOPLE)
def test_apaches_reader_finds_the_values(people: list[Person]) -> None:
    with avro.datafile.DataFileReader(io.BytesIO(file_of(people)), avro.io.DatumReader()) as reader:
        found: list[Any] = list(reader)
    names = ("id", "name", "wide", "price", "share", "total")
    assert [tuple(row[name] for name in names) for row in found] == [(*one[:2], *one[3:]) for one in people]
    assert [int(row["since"].timestamp()) for row in found] == [one[2] for one in people]


def test_another_process_writes_the_same_and_the_checksum_is_that_of_the_lines() -> None:
    people = [(i, f"name\\\n{i}", i + 1, None, Decimal(i).scaleb(-2), None, Decimal(-i)) for i in range(5_000)]
    lines, checksum, wanted = list(map(line, people)), Checksum(), Checksum()
    with written_beside(SCHEMA, [lines[:3], lines[3:]], checksum) as pieces:
        assert read(b"".join(pieces)) == lines
    wanted.add(reversed(lines))
    assert (checksum.rows, checksum.digits) == (5_000, wanted.digits)


def test_what_goes_wrong_with_the_rows_is_said_before_the_file_ends() -> None:
    def batches() -> Iterator[list[bytes]]:
        yield [b"1"]
        raise DatabaseUnavailable("gone")

    with (
        written_beside(Schema("t", (Field("a", "int"),)), batches(), Checksum()) as pieces,
        pytest.raises(DatabaseUnavailable),
    ):
        list(pieces)


def test_a_process_that_dies_is_said_and_one_that_nobody_reads_ends() -> None:
    schema = Schema("t", (Field("a", "int"),))
    with written_beside(schema, [[b"no number"]], Checksum()) as pieces, pytest.raises(WorkerDied):
        list(pieces)
    with written_beside(schema, ([b"1"] * 100 for _ in range(10**9)), Checksum()):
        pass  # it is given up; without end it would hang here


def test_a_file_comes_in_pieces_while_its_rows_are_read() -> None:
    taken = list[int]()

    def batches() -> Iterator[list[bytes]]:
        for number in range(20):
            taken.append(number)
            yield [b"x" * 1_000] * 100

    pieces = written(Schema("t", (Field("a", "string"),)), batches())
    next(pieces)
    next(pieces)
    assert len(taken) <= 1 + 2 * BLOCK_BYTES // 100_000 + 1


@given(st.data())
def test_any_file_that_is_cut_or_changed_is_refused_or_read_as_something_else_but_never_breaks(
    data: st.DataObject,
) -> None:
    whole = bytearray(file_of([(i, f"name {i}", i + 1, -i, Decimal(i), None, Decimal(-i)) for i in range(300)]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_if_possible(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(junk: bytes) -> None:
    read_if_possible(b"Obj\x01" + junk)
    with pytest.raises(BackupDamaged):
        read(b"x" + junk)


def read_if_possible(file: bytes) -> None:
    with suppress(BackupDamaged):
        read(file)


def test_another_codec_and_a_part_that_is_too_large_are_refused() -> None:
    with pytest.raises(BackupDamaged, match="the codec is null"):
        read(file_of([]).replace(b"\x0edeflate", b"\x08null"))
    with pytest.raises(BackupDamaged, match="no part of 5000000 bytes"):
        read(file_of([]) + b"\x02" + varint(5_000_000))


def varint(size: int) -> bytes:
    """Avro's form of a number that is not negative."""
    parts, rest = bytearray(), size << 1
    while rest > 127:
        parts.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*parts, rest])


def test_a_failing_stream_is_not_taken_for_a_damaged_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise StorageUnavailable("S3 is out of reach")

    with pytest.raises(StorageUnavailable):
        Reader(Failing())


@pytest.mark.parametrize(
    ("type", "texts"),
    [
        ("double", ["0", "-0", "1", "0.1", "-1.5e300", "1e15", "1.2345678901234568e17", "0.000000000000001"]),
        (
            "double",
            ["5e-324", "1.7976931348623157e308", "100000000000000", "12345.678", "1.2345678901234567e-20", "1e-16"],
        ),
        ("boolean", ["0", "1"]),
        ("date", ["1000-01-01", "9999-12-31"]),
        ("time-micros", ["00:00:00.000000", "23:59:59.999999"]),
        ("timestamp-micros", ["1.000000", "2147483647.999999"]),
        ("local-timestamp-micros", ["1000-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"]),
        ("uuid", ["0b5c12f4-9d34-4e7a-8f3e-1f2a3b4c5d6e"]),
        ("bytes", ["", "00", "00ff5c090a"]),
        ("decimal(65,30)", [f"-{'9' * 35}.{'9' * 30}", f"0.{'0' * 29}1"]),
    ],
)
def test_each_type_comes_back_as_it_was(type: str, texts: list[str]) -> None:
    lines = [text.encode() for text in [*texts, "\\N"]]
    file = b"".join(written(Schema("t", (Field("a", type, nullable=True),)), [lines]))
    assert read(file) == lines


@pytest.mark.parametrize(("type", "text"), [("boolean", "2"), ("uuid", "0B5C12F4-9D34-4E7A-8F3E-1F2A3B4C5D6E")])
def test_what_would_come_back_otherwise_is_not_written(type: str, text: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        b"".join(written(Schema("t", (Field("a", type),)), [[text.encode()]]))
