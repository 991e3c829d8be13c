"""Lines of rows (`record`) into Avro's object container files and back; fastavro writes and reads those.

https://avro.apache.org/docs/1.12.0/specification/
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from uuid import UUID

import fastavro
from fastavro.write import Writer

from rowferry.backup import record
from rowferry.backup.record import Checksum, Schema
from rowferry.errors import BackupDamaged, RowferryError, WorkerDied

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CODEC = "deflate"
LEVEL = 4
BLOCK_BYTES = 64 * 1024
"""A block is closed when its records have so many bytes, before compression."""
MAX_READ_BYTES = 4 * 1024**2
"""No part of a file that Rowferry writes is larger: a block closes at 64 KiB and the record that reaches that."""
_LINES_AT_ONCE = 1_000
_PIPED_BYTES = 1024**2

Convert = Callable[[str], Any]


class _Sink(io.RawIOBase):
    """What fastavro writes to: not a file, as the bytes go on to S3 before it has written its last."""

    def __init__(self) -> None:
        self._pieces = list[bytes]()

    def write(self, piece: "ReadableBuffer") -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole


@contextmanager
def written_beside(schema: Schema, batches: Iterable[Sequence[bytes]], checksum: Checksum) -> Iterator[Iterator[bytes]]:
    """A file in pieces as `written` gives it, made by a second process: fastavro takes as long as all else together.

    The iterator raises what `batches` raised, before its end. Lines are put into `checksum`.

    Raises: WorkerDied.
    """
    command = [sys.executable, "-m", "rowferry.backup.avro", json.dumps(schema.as_json())]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as worker,  # noqa: S603 (ours)
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            yield _pieces(worker, pool.submit(_feed, worker, batches, checksum))
        finally:
            worker.kill()  # for a file that is given up: the feeding thread then gets BrokenPipeError, and ends


def _pieces(worker: "subprocess.Popen[bytes]", fed: "Future[None]") -> Iterator[bytes]:
    assert worker.stdout
    while piece := worker.stdout.read(_PIPED_BYTES):
        yield piece
    fed.result()
    if worker.wait():
        raise WorkerDied(f"the process that wrote a backup's file ended with {worker.returncode}")


def _feed(worker: "subprocess.Popen[bytes]", batches: Iterable[Sequence[bytes]], checksum: Checksum) -> None:
    assert worker.stdin
    try:
        for lines in batches:
            checksum.add(lines)
            worker.stdin.write(b"\n".join(lines) + b"\n")
    except BrokenPipeError:  # the worker has ended, and `_pieces` reports its exit code
        return
    finally:
        with suppress(BrokenPipeError):
            worker.stdin.close()


def written(schema: Schema, batches: Iterable[Sequence[bytes]]) -> Iterator[bytes]:
    """A file in pieces, of batches of rows' lines without their line feeds."""
    sink = _Sink()
    parsed = fastavro.parse_schema(schema.as_json())
    writer = Writer(cast(BinaryIO, sink), parsed, CODEC, BLOCK_BYTES, compression_level=LEVEL)
    for lines in batches:
        for values in _records(schema, lines):
            writer.write(values)
        if piece := sink.taken():
            yield piece
    writer.flush()
    yield sink.taken()


def _records(schema: Schema, lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    columns = record.columns(lines, len(schema.fields))
    values = [_values(field.type, texts) for field, texts in zip(schema.fields, columns, strict=True)]
    names = [field.name for field in schema.fields]
    return map(dict, map(zip, repeat(names), zip(*values, strict=True)))  # no Python code for each row


def _values(type: str, texts: Sequence[str]) -> Sequence[Any]:
    """A column's fields as fastavro takes them: a TIMESTAMP as a number of milli- or microseconds."""
    convert = _CONVERT.get(type, Decimal)
    if type == "string" and "\\" not in "".join(texts):
        return texts
    if "\\N" in texts:
        return [None if text == "\\N" else convert(text) for text in texts]
    return list(map(convert, texts))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANT[found[1]], text) if "\\" in text else text


_ESCAPE = re.compile(r"\\([\\tn])")
_MEANT = {"\\": "\\", "t": "\t", "n": "\n"}


def _uuid(text: str) -> str:
    """Raises: ValueError for a spelling that reading would not give back."""
    if str(UUID(text)) != text:
        raise ValueError(f"{text!r} is not a UUID in its usual spelling")
    return text


_CONVERT: Mapping[str, Convert] = {
    "double": float,
    "boolean": {"0": False, "1": True}.__getitem__,
    "bytes": bytes.fromhex,
    "uuid": _uuid,
    "date": date.fromisoformat,
    "time-micros": time.fromisoformat,
    "timestamp-micros": lambda seconds: int(seconds.replace(".", "")),
    "local-timestamp-micros": datetime.fromisoformat,
    "int": int,
    "long": int,
    "string": _unescaped,
    "timestamp-millis": lambda seconds: int(seconds) * 1000,
}


# --- reading ---------------------------------------------------------------------------------------------------------


class Reader:
    """A file that Rowferry wrote, read as a stream.

    Every method raises BackupDamaged where the bytes are not what Rowferry writes.
    """

    def __init__(self, fp: BinaryIO) -> None:
        with _errors_as_ours():
            self._records = fastavro.reader(cast(BinaryIO, _Bounded(fp)))
        if self._records.codec != CODEC:
            raise BackupDamaged(f"the codec is {self._records.codec}, not {CODEC}")
        with _errors_as_ours():
            self.schema = Schema.of_json(self._records.writer_schema)

    def batches(self) -> Iterator[list[bytes]]:
        """Lines without their line feed, a thousand at a time, in the order of the file."""
        formats = [(field.name, _FORMATS.get(field.type, _digits)) for field in self.schema.fields]
        while records := self._next():
            with _errors_as_ours():
                columns = [_texts(convert, [row[name] for row in records]) for name, convert in formats]
                lines = ["\t".join(fields).encode() for fields in zip(*columns, strict=True)]
            yield lines

    def _next(self) -> list[Any]:
        with _errors_as_ours():
            return list(islice(self._records, _LINES_AT_ONCE))


class _Bounded:
    """A stream that gives no part larger than Rowferry writes."""

    def __init__(self, fp: BinaryIO) -> None:
        self._fp = fp

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise BackupDamaged(f"Rowferry writes no part of {size} bytes")
        return self._fp.read(size)


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    try:
        yield
    except RowferryError:  # the stream's own
        raise
    except Exception as error:  # fastavro has no error of its own: zlib's, EOFError, KeyError, OverflowError and others
        raise BackupDamaged(f"this is no Avro file, or it is damaged ({type(error).__name__})") from error


def _texts(convert: Callable[[Any], str], values: Sequence[Any]) -> list[str]:
    if None in values:
        return ["\\N" if value is None else convert(value) for value in values]
    return list(map(convert, values))


def _escaped(text: str) -> str:
    if "\\" in text or "\t" in text or "\n" in text:
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return text


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> str:
    seconds, micros = divmod((moment - _EPOCH) // timedelta(microseconds=1), 10**6)
    return f"{seconds}.{micros:06}"


_POINTS = range(-14, 16)
"""Where the point may stand, counted from a double's first digit, for MySQL to write it without an exponent."""
_WIDTH = 24
"""How long MySQL writes a double at most."""


def double_text(value: float) -> str:
    """As MySQL writes it: the fewest digits that read back as the same double."""
    negative, digits, exponent = Decimal(repr(value)).as_tuple()
    sign, text = "-" if negative else "", "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent) if value else 1
    if point <= 0:
        plain = f"{sign}0.{'0' * -point}{text}"
        is_plain = point in _POINTS and len(plain) <= _WIDTH
    else:
        plain = f"{sign}{text[:point].ljust(point, '0')}{'.' if len(text) > point else ''}{text[point:]}"
        is_plain = point in _POINTS or len(text) > point
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return plain if is_plain else f"{sign}{text[0]}{fraction}e{point - 1}"


def _digits(value: Decimal) -> str:
    return f"{value:f}"


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "double": double_text,
    "boolean": lambda value: "1" if value else "0",
    "bytes": bytes.hex,
    "uuid": str,
    "date": date.isoformat,
    "time-micros": lambda value: value.isoformat("microseconds"),
    "timestamp-micros": _micros,
    "local-timestamp-micros": lambda value: value.isoformat(" ", "microseconds"),
    "int": str,
    "long": str,
    "string": _escaped,
    "timestamp-millis": _seconds,
}


def main(schema: str) -> None:
    """Lines of rows from standard input into a file to standard output: the other end of `written_beside`."""
    lines = iter(lambda: sys.stdin.buffer.readlines(BLOCK_BYTES), [])
    batches = ([line[:-1] for line in some] for some in lines)
    for piece in written(Schema.of_json(json.loads(schema)), batches):
        sys.stdout.buffer.write(piece)


if __name__ == "__main__":
    main(sys.argv[1])
