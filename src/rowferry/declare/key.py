"""A row's key as bytes and as words, from its fields in normal form.

The bytes of two keys compare as the keys do: numbers by value, text byte by byte, moments by time, several columns one
after the other. So keys are sorted, compared and put into ranges without knowing their types.
"""

import decimal
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

NULL = b"\\N"
"""A field of the normal form that is NULL."""

INTEGER_BYTES = 8
TOKEN_BYTES = 16
RANGE_BYTES = 255
"""Of an end of a range of keys, in the ledger."""

_OFFSET = 2**63
_DECIMAL_OFFSET = 10**65  # MySQL's DECIMAL has at most 65 digits
_DECIMAL_BYTES = 28
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"t": b"\t", b"n": b"\n", b"0": b"\0", b"r": b"\r", b"Z": b"\x1a", b"b": b"\b"}
_SHOWN = 60


class _Typed(Protocol):
    @property
    def ddl(self) -> str: ...


class KeyColumn(Protocol):
    """What is asked of a column here."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> _Typed: ...


Encode = Callable[[Sequence[bytes]], bytes]
"""The key's fields in normal form, into bytes."""


def encoder(columns: Sequence[KeyColumn]) -> Encode:
    """A function for keys of these columns."""
    kinds = [_encoder(column.kind.ddl) for column in columns]
    if len(kinds) == 1:
        (single,) = kinds
        return lambda fields: single(fields[0])
    return lambda fields: b"".join(encode(field) for encode, field in zip(kinds, fields, strict=True))


def encoded_integer(value: int) -> bytes:
    """A whole number of at most 64 bits."""
    return (value + _OFFSET).to_bytes(INTEGER_BYTES)


def is_integer(column: KeyColumn) -> bool:
    return re.match(r"(tiny|small|medium|big)?int\b", column.kind.ddl) is not None


def _encoder(ddl: str) -> Callable[[bytes], bytes]:
    if re.match(r"(tiny|small|medium|big)?int\b", ddl):
        return lambda field: (int(field) + _OFFSET).to_bytes(INTEGER_BYTES)
    if ddl.startswith("decimal"):
        return lambda field: (int(field.replace(b".", b"")) + _DECIMAL_OFFSET).to_bytes(_DECIMAL_BYTES)
    if ddl.startswith("time") and not ddl.startswith("timestamp"):
        return _encode_time
    return _encode_bytes


def _encode_bytes(field: bytes) -> bytes:
    """Ends with two zeros, so that a text sorts before a longer one that begins with it, whatever column follows."""
    return unescaped(field).replace(b"\0", b"\0\xff") + b"\0\0"


def _encode_time(field: bytes) -> bytes:
    """A TIME has hours of two or three digits and may be negative: whole microseconds."""
    hours, minutes, seconds = field.lstrip(b"-").split(b":")
    whole, _, fraction = seconds.partition(b".")
    total = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 10**6 + int(fraction.ljust(6, b"0"))
    return encoded_integer(-total if field.startswith(b"-") else total)


def unescaped(field: bytes) -> bytes:
    """A field of the normal form, as LOAD DATA reads it."""
    if b"\\" not in field:
        return field
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), field)


def has_short_keys(columns: Sequence[KeyColumn]) -> bool:
    """The encoded keys themselves are their tokens."""
    return len(columns) * INTEGER_BYTES <= TOKEN_BYTES and all(map(is_integer, columns))


def token_bytes(columns: Sequence[KeyColumn]) -> int:
    """The length of each token of keys of these columns."""
    return len(columns) * INTEGER_BYTES if has_short_keys(columns) else TOKEN_BYTES


def token(encoded: bytes, is_short: bool) -> bytes:
    """A few bytes that stand for a key, the same for the same key and different for different ones.

    Of a key that is not `is_short` it is a hash of 128 bits: among a hundred million keys, two that differ have the
    same with a probability of one in 10^22.
    """
    return encoded if is_short else hashlib.blake2b(encoded, digest_size=TOKEN_BYTES).digest()


def low_end(encoded: bytes) -> bytes:
    """At most `RANGE_BYTES`, and not above the key."""
    return encoded[:RANGE_BYTES]


def high_end(encoded: bytes) -> bytes:
    """At most `RANGE_BYTES`, and not below the key."""
    if len(encoded) <= RANGE_BYTES:
        return encoded
    begin = encoded[:RANGE_BYTES].rstrip(b"\xff")
    return begin[:-1] + bytes([begin[-1] + 1]) if begin else b"\xff" * RANGE_BYTES


def parameter(column: KeyColumn, field: bytes) -> Any:
    """A field in normal form as an argument that MySQL compares with the column by the column's own type."""
    if is_integer(column):
        return int(field)
    if column.kind.ddl.startswith("decimal"):
        return decimal.Decimal(field.decode())
    text = unescaped(field).decode()
    return bytes.fromhex(text) if "binary" in column.kind.ddl else text


def words(columns: Sequence[KeyColumn], fields: Sequence[bytes]) -> str:
    """A key for people: `order_id 5, line 2`; text in quotes."""
    return ", ".join(f"{column.name} {_shown(column, field)}" for column, field in zip(columns, fields, strict=True))


def _shown(column: KeyColumn, field: bytes) -> str:
    text = unescaped(field).decode()
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return repr(short) if "char" in column.kind.ddl else short
