"""A run's rejects a page at a time, read from its rejects.csv by byte ranges, whatever the size of the file."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rowferry.declare.catalog import TABLES
from rowferry.storage.s3 import Bucket

WINDOW = 256 * 1024
LONGEST = 8 * 1024 * 1024
"""A record has 4 MiB at most, and quotes may double it."""

SAMPLES = 3


@dataclass(frozen=True)
class Shown:
    """One fault of a rejected record. `column`: empty where the fault is not of one column."""

    line: str
    code: str
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class Page:
    """`next`: the byte where the next page begins; None on the last page."""

    rejects: Sequence[Shown]
    next: int | None


def read_page(bucket: Bucket, key: str, table: str, start: int = 0, limit: int = 50) -> Page:
    """Raises: NotFound, StorageUnavailable; BadRequest never: a start within a record shows a broken first record."""
    header = _header(bucket, key)
    shown, position = list[Shown](), max(start, header.end)
    count, last = 0, True
    for cells, end, more in _records(bucket, key, position):
        shown += _faults(table, dict(zip(header.names, cells, strict=False)))
        position, last, count = end, not more, count + 1
        if count == limit:
            break
    return Page(shown, None if last else position)


def samples(bucket: Bucket, key: str, table: str) -> dict[str, Sequence[Shown]]:
    """The first three faults of each code in the first records of the file."""
    found = dict[str, list[Shown]]()
    for shown in read_page(bucket, key, table, limit=2_000).rejects:
        of_code = found.setdefault(shown.code, [])
        if len(of_code) < SAMPLES:
            of_code.append(shown)
    return dict(found)


@dataclass(frozen=True)
class _Header:
    names: Sequence[str]
    end: int


def _header(bucket: Bucket, key: str) -> _Header:
    names, end, _ = next(_records(bucket, key, 0), ([], 0, False))
    return _Header([name.removeprefix("\ufeff") for name in names], end)


def _records(bucket: Bucket, key: str, start: int) -> Iterator[tuple[list[str], int, bool]]:
    """Each whole record within a window: its cells, the byte behind it, and whether more follows."""
    for size in (WINDOW, LONGEST):
        block = bucket.read_range(key, start, start + size)
        found = list(_whole(block, start, cut=len(block) == size))
        if found or len(block) < size:
            yield from found
            return


def _whole(block: bytes, start: int, cut: bool) -> Iterator[tuple[list[str], int, bool]]:
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in block.splitlines(keepends=True):
            read += len(line)
            yield line.decode(errors="replace")

    csv.field_size_limit(LONGEST)
    for cells in csv.reader(lines()):
        if cut and read == len(block):
            return
        yield cells, start + read, cut or read < len(block)


def _faults(table: str, record: dict[str, str]) -> Iterator[Shown]:
    line, message = record.get("_line", ""), record.get("_message", "")
    words = message.removeprefix(f"line {line}: ").split("; ")
    names = TABLES[table].names if table in TABLES else ()
    for place, code in enumerate(record.get("_codes", "").split(";")):
        reason = words[place] if place < len(words) else message
        column = next((name for name in names if reason.startswith(f"{name} ")), "")
        yield Shown(line, code, column, record.get(column, record.get("_raw", "")), reason)
