"""One pass over a file: how it is written, and where each chunk and batch begins and ends.

The batches are byte ranges with their first line, so that every later step reads just its own range and knows its
lines. Their numbers are what the ledger stands on: the same bytes and options always give the same batches.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import BinaryIO

from pydantic import TypeAdapter

from rowferry.csvfile.dialect import Dialect, Shape
from rowferry.csvfile.header import find_dialect
from rowferry.csvfile.quoting import MARK
from rowferry.csvfile.splitter import Chunk, Limits, Splitter
from rowferry.csvfile.text import checked
from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import TableDefinition

_HEAD_BYTES = 1024 * 1024
_LIMITS = Limits()


@dataclass(frozen=True)
class Batch:
    """Neighbouring chunks that are loaded in one transaction. `batch` counts from 0."""

    batch: int
    chunks: tuple[Chunk, ...]

    @property
    def start(self) -> int:
        return self.chunks[0].start

    @property
    def end(self) -> int:
        return self.chunks[-1].end

    @property
    def records(self) -> int:
        return sum(chunk.records for chunk in self.chunks)


BATCH = TypeAdapter(Batch)


@dataclass(frozen=True)
class Layout:
    """What one pass found: the dialect, the batches, and how many records there are, counted here and nowhere else."""

    dialect: Dialect
    batches: tuple[Batch, ...]
    records: int


def split(
    fp: BinaryIO, table: TableDefinition, batch_chunks: int, limits: Limits = _LIMITS, wanted: CsvFormat | None = None
) -> Layout:
    """Reads a file from its beginning, in blocks, in bounded memory. `wanted`: its format, where it is declared.

    Raises: Refused where the file can never load, with line or byte.
    """
    blocks = checked(fp, limits.block_bytes)
    head = b""
    while len(head) < _HEAD_BYTES and (block := next(blocks, b"")):
        head += block
    mark = len(MARK) if head.startswith(MARK) else 0
    found = find_dialect(head[mark:], table, len(head) < _HEAD_BYTES, wanted)
    before = mark + _size_of_lines(head[mark:], found.lines)
    splitter = Splitter(Shape(table, found.dialect), before, found.lines + 1, limits)
    chunks = list(splitter.split(chain([head[before:]], blocks)))
    batches = tuple(_batches(chunks, batch_chunks, limits.batch_bytes))
    left_out = +(splitter.left_out + Counter(byte_order_marks=bool(mark)))
    return Layout(replace(found.dialect, left_out=dict(left_out)), batches, sum(chunk.records for chunk in chunks))


def _size_of_lines(text: bytes, lines: int) -> int:
    """The bytes of so many lines from the beginning."""
    at = 0
    for _ in range(lines):
        end = text.find(b"\n", at)
        if end < 0:
            return len(text)
        at = end + 1
    return at


def _batches(chunks: Iterable[Chunk], batch_chunks: int, batch_bytes: int) -> Iterator[Batch]:
    number, batch = 0, list[Chunk]()
    for chunk in chunks:
        if batch and (len(batch) == batch_chunks or chunk.end - batch[0].start > batch_bytes):
            yield Batch(number, tuple(batch))
            number, batch = number + 1, []
        batch.append(chunk)
    if batch:
        yield Batch(number, tuple(batch))
