"""Avro's object container files for flat records: schema, blocks, and records that MySQL itself encodes.

A record's bytes come out of a SQL expression, so that the client neither decodes nor encodes a row of a backup, and the
checksum of what a table holds is the same expression's in either direction: the XOR of each record's SHA-256.
https://avro.apache.org/docs/1.12.0/specification/
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from rowferry.errors import BackupDamaged
from rowferry.values import DECIMAL_DIGITS

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
CODEC = "deflate"
LEVEL = 4
BLOCK_BYTES = 64 * 1024
"""Of records before compression, from which on a block is closed."""
MAX_BLOCK_BYTES = 64 * 1024**2
"""What a reader takes; the longest record is far below it."""

DECIMALS: Mapping[str, tuple[int, int]] = {
    f"decimal({precision},{scale})": (precision, scale)
    for precision in range(1, DECIMAL_DIGITS + 1)
    for scale in range(precision + 1)
}
"""By name: how many digits, and how many of them behind the point."""

TYPES: Mapping[str, Any] = {
    "int": "int",
    "long": "long",
    "string": "string",
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
    **{
        name: {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        for name, (precision, scale) in DECIMALS.items()
    },
}
"""By the name that a `Kind` gives it, a type as a schema spells it."""

WIDENED = {("int", "long")}
"""What Avro lets a reader take for another type without losing anything, as far as our types go.

Decimals are not among them: Avro takes one for another only where precision and scale are the same.
"""


@dataclass(frozen=True)
class Field:
    """One field. `type` is a key of TYPES; a field that may be null is a union of null and it."""

    name: str
    type: str
    nullable: bool = False

    def as_json(self) -> dict[str, Any]:
        spelt = TYPES[self.type]
        return {"name": self.name, "type": ["null", spelt] if self.nullable else spelt}

    @property
    def words(self) -> str:
        return f"{self.type}{' or null' if self.nullable else ''}"


@dataclass(frozen=True)
class Schema:
    """A record of a table's row."""

    name: str
    fields: tuple[Field, ...]

    def as_json(self) -> dict[str, Any]:
        return {"type": "record", "name": self.name, "fields": [field.as_json() for field in self.fields]}

    @classmethod
    def of_json(cls, found: Any) -> "Schema":
        """Raises: BackupDamaged where it is no schema of ours."""
        try:
            return cls(str(found["name"]), tuple(map(_field, found["fields"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BackupDamaged("the schema is none that Rowferry writes") from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of Avro's parsing canonical form, which leaves logical types out."""
        fields = [{"name": field.name, "type": _canonical(field)} for field in self.fields]
        form = {"name": self.name, "type": "record", "fields": fields}
        return hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()


def _canonical(field: Field) -> Any:
    spelt = TYPES[field.type]
    plain = spelt if isinstance(spelt, str) else spelt["type"]
    return ["null", plain] if field.nullable else plain


def _field(found: Any) -> Field:
    name, spelt = str(found["name"]), found["type"]
    nullable = isinstance(spelt, list)
    if nullable:
        null, spelt = spelt
        if null != "null":
            raise ValueError(name)
    (type,) = [type for type, known in TYPES.items() if known == spelt]  # ValueError where it is none of them
    return Field(name, type, nullable)


def differences(file: Schema, table: Schema) -> list[str]:
    """In words, why a file's records can't become a table's rows without losing something; nothing where they can.

    They can where fields are the same, or an int has become a long, or a field may now be null, or a new one may be.
    """
    there = {field.name: field for field in table.fields}
    had = {field.name for field in file.fields}
    words = []
    for field in file.fields:
        now = there.get(field.name)
        if now is None:
            words.append(f"{field.name} is in the backup, and the table has no such column")
        elif field.type != now.type and (field.type, now.type) not in WIDENED:
            words.append(f"{field.name} is {field.words} in the backup, {now.words} in the table")
        elif field.nullable and not now.nullable:
            words.append(f"{field.name} may be null in the backup, not in the table")
    words += [
        f"{field.name} is not in the backup, and may not be null in the table"
        for field in table.fields
        if field.name not in had and not field.nullable
    ]
    return words


# --- records, encoded by MySQL ---------------------------------------------------------------------------------------


def record_sql(schema: Schema, alias: str) -> str:
    """An expression of a row's record, as bytes; NULL where a value is none that Avro can hold (a zero date)."""
    return f"CONCAT({', '.join(_field_sql(field, f'{alias}.`{field.name}`') for field in schema.fields)})"


def checksum_sql(schema: Schema, alias: str) -> str:
    """An aggregate of rows in any order: the XOR of their records' SHA-256, as hexadecimal digits."""
    return f"LOWER(HEX(BIT_XOR(UNHEX(SHA2({record_sql(schema, alias)}, 256)))))"


def _field_sql(field: Field, column: str) -> str:
    if not field.nullable:
        return _SQL[field.type](column)
    return f"IF({column} IS NULL, CHAR(0), CONCAT(CHAR(2), {_SQL[field.type](column)}))"


def _number_sql(value: str, bits: int) -> str:
    """Zigzag, then seven bits to a byte, the lowest first. MySQL's `~` and `>>` are those of unsigned 64 bits."""
    return f"IF({value} >= 0, {_varint_sql(value, 0, bits)}, {_varint_sql(f'~{value}', 1, bits)})"


def _varint_sql(half: str, lowest: int, bits: int) -> str:
    """Of twice `half` and the lowest bit: shifted once, so that it need not be computed for each byte."""
    most = -(-bits // 7)
    cases = [f"WHEN {half} < {1 << (7 * size - 1)} THEN {_bytes_sql(half, lowest, size)}" for size in range(1, most)]
    return f"CASE {' '.join(cases)} ELSE {_bytes_sql(half, lowest, most)} END"


def _bytes_sql(half: str, lowest: int, size: int) -> str:
    first = f"({half} << 1 & 127) | {lowest}"
    parts = [first, *(f"{half} >> {7 * at - 1} & 127" for at in range(1, size))]
    return f"CHAR({', '.join([*(f'{part} | 128' for part in parts[:-1]), parts[-1]])})"


def _string_sql(column: str) -> str:
    return f"CONCAT({_varint_sql(f'LENGTH({column})', 0, 32)}, CAST({column} AS BINARY))"


def _millis_sql(column: str) -> str:
    """UNIX_TIMESTAMP of a TIMESTAMP column is what is stored, whatever the session's time zone.

    Asks for six bytes first, which all moments after July 1970 have: each question reads the column anew. A zero date
    is 0 to it, and NULL here; CHAR() would pass over a NULL and give bytes all the same.
    """
    millis = f"(UNIX_TIMESTAMP({column}) * 1000)"
    early = f"IF({millis} > 0, {_varint_sql(millis, 0, 35)}, NULL)"
    return f"IF({millis} >= {1 << 34}, {_bytes_sql(millis, 0, 6)}, {early})"


def _decimal_sql(scale: int, column: str) -> str:
    """The number without its point, always in eight bytes: two's complement, the highest first."""
    digits = f"HEX(CAST({column} * {10**scale} AS SIGNED))"
    return f"CONCAT(CHAR({2 * _DECIMAL_BYTES}), UNHEX(LPAD({digits}, {2 * _DECIMAL_BYTES}, '0')))"


_DECIMAL_BYTES = 8

_SQL: Mapping[str, Callable[[str], str]] = {
    "int": lambda column: _number_sql(column, 32),
    "long": lambda column: _number_sql(column, 64),
    "string": _string_sql,
    "timestamp-millis": _millis_sql,
    **{name: partial(_decimal_sql, scale) for name, (_, scale) in DECIMALS.items()},
}


# --- writing ---------------------------------------------------------------------------------------------------------


class Contents:
    """What went by: how many records, and the checksum of them all, in any order."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, records: Sequence[bytes]) -> None:
        self.rows += len(records)
        for record in records:
            self._sum ^= int.from_bytes(hashlib.sha256(record).digest())

    @property
    def checksum(self) -> str:
        return f"{self._sum:064x}"


def blocks(records: Iterable[Sequence[bytes]]) -> Iterator[tuple[int, bytes]]:
    """Records, some at a time, as so many to a block and their bytes."""
    block, size = list[bytes](), 0
    for some in records:
        for record in some:
            block.append(record)
            size += len(record)
            if size >= BLOCK_BYTES:
                yield len(block), b"".join(block)
                block, size = [], 0
    if block:
        yield len(block), b"".join(block)


def file_of(schema: Schema, sync: bytes, blocks: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """An object container file in pieces: its header, then each block. `sync` are 16 random bytes."""
    told = {"avro.codec": CODEC.encode(), "avro.schema": json.dumps(schema.as_json()).encode()}
    pairs = b"".join(_bytes(name.encode()) + _bytes(value) for name, value in told.items())
    yield MAGIC + _number(len(told)) + pairs + _number(0) + sync
    for count, data in blocks:
        squeezer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        yield _number(count) + _bytes(squeezer.compress(data) + squeezer.flush()) + sync


def _number(value: int) -> bytes:
    """A number that is not negative."""
    rest, parts = value << 1, bytearray()
    while rest > 127:
        parts.append(rest & 127 | 128)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def _bytes(value: bytes) -> bytes:
    return _number(len(value)) + value


# --- reading ---------------------------------------------------------------------------------------------------------


class Reader:
    """A container file of ours, read as a stream.

    Every method raises BackupDamaged where the bytes are not what Rowferry writes.
    """

    def __init__(self, fp: BinaryIO) -> None:
        self._fp = fp
        told = self._header()
        self._sync = self._take(SYNC_BYTES)
        if told.get("avro.codec") != CODEC.encode():
            raise BackupDamaged(f"the codec is {told.get('avro.codec', b'null').decode(errors='replace')}, not {CODEC}")
        try:
            self.schema = Schema.of_json(json.loads(told.get("avro.schema", b"")))
        except ValueError as error:
            raise BackupDamaged("the header's schema is no JSON") from error

    def _header(self) -> dict[str, bytes]:
        if self._take(len(MAGIC)) != MAGIC:
            raise BackupDamaged("this is no Avro file")
        told = dict[str, bytes]()
        while count := self._long():
            for _ in range(count):
                name = self._take(self._long()).decode(errors="replace")
                told[name] = self._take(self._long())
        return told

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """How many records, and their bytes."""
        while first := self._fp.read(1):
            count, size = self._long(first), self._long()
            data = self._take(size)
            if self._take(SYNC_BYTES) != self._sync:
                raise BackupDamaged("a block does not end where it should")
            yield count, _inflated(data)

    def _long(self, first: bytes = b"") -> int:
        parts = first or self._take(1)
        while parts[-1] & 128:
            if len(parts) == 10:
                raise BackupDamaged("a number has more than 64 bits")
            parts += self._take(1)
        return _long(parts, 0)[0]

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= MAX_BLOCK_BYTES:
            raise BackupDamaged(f"a part of {size} bytes is none that Rowferry writes")
        data = self._fp.read(size)
        if len(data) < size:
            raise BackupDamaged("the file ends too early")
        return data


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        whole = inflater.decompress(data, MAX_BLOCK_BYTES)
    except zlib.error as error:
        raise BackupDamaged("a block can't be inflated") from error
    if not inflater.eof:
        raise BackupDamaged(f"a block is cut off, or holds more than {MAX_BLOCK_BYTES} bytes")
    return whole


def lines(schema: Schema, count: int, block: bytes) -> Iterator[bytes]:
    """A block's records as LOAD DATA reads them: fields between tabs, a moment as seconds since 1970.

    Raises: BackupDamaged where the block does not hold just so many records.
    """
    reads = [_nullable(_READS[field.type]) if field.nullable else _READS[field.type] for field in schema.fields]
    at = 0
    try:
        for _ in range(count):
            fields = []
            for read in reads:
                text, at = read(block, at)
                fields.append(text)
            yield b"\t".join(fields) + b"\n"
    except (IndexError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise BackupDamaged("a block holds other records than it says") from error
    if at != len(block):
        raise BackupDamaged("a block holds other than so many records as it says")


_SMALL = [b"%d" % ((value >> 1) ^ -(value & 1)) for value in range(128)]
"""Numbers of one byte, which is what most sizes, and many keys of small tables, are."""

Read = Callable[[bytes, int], tuple[bytes, int]]


def _long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    value, shift = byte & 127, 7
    while byte & 128:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), at


def _read_number(data: bytes, at: int) -> tuple[bytes, int]:
    if (byte := data[at]) < 128:
        return _SMALL[byte], at + 1
    value, at = _long(data, at)
    return b"%d" % value, at


def _read_seconds(data: bytes, at: int) -> tuple[bytes, int]:
    value, at = _long(data, at)
    return b"%d" % (value // 1000), at


def _read_string(data: bytes, at: int) -> tuple[bytes, int]:
    if (byte := data[at]) < 128:
        size, at = byte >> 1, at + 1
    else:
        size, at = _long(data, at)
        if size < 0:
            raise BackupDamaged("a text has a negative length")
    text = data[at : at + size]
    if b"\\" in text or b"\t" in text or b"\n" in text:
        text = text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")
    return text, at + size


def _read_decimal(scale: int, data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + _DECIMAL_BYTES
    if data[at] != 2 * _DECIMAL_BYTES:
        raise BackupDamaged(f"a decimal is not of {_DECIMAL_BYTES} bytes")
    value = int.from_bytes(data[at + 1 : end], signed=True)
    if not scale:
        return b"%d" % value, end
    digits = b"%0*d" % (scale + 1, abs(value))
    return b"%s%s.%s" % (b"-" if value < 0 else b"", digits[:-scale], digits[-scale:]), end


def _nullable(read: Read) -> Read:
    def read_or_null(data: bytes, at: int) -> tuple[bytes, int]:
        return read(data, at + 1) if data[at] else (b"\\N", at + 1)

    return read_or_null


_READS: Mapping[str, Read] = {
    "int": _read_number,
    "long": _read_number,
    "string": _read_string,
    "timestamp-millis": _read_seconds,
    **{name: partial(_read_decimal, scale) for name, (_, scale) in DECIMALS.items()},
}
