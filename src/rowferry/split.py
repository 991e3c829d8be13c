"""One pass over a file: how it is written, and where each chunk and batch begins and ends.

The batches are byte ranges with their first line, so that every later step reads just its own range and knows its
lines. Their numbers are what the ledger stands on: the same bytes and options always give the same batches.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from rowferry.errors import BadRequest, Refused
from rowferry.parse import CHUNK_BYTES, CHUNK_RECORDS, DELIMITERS, Dialect, Quoting, Record, records
from rowferry.tables import Table
from rowferry.values import shown

BLOCK_BYTES = 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024
_HEAD_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 1,000 records: bytes [`start`, `end`) of the file; `line` is the first byte's line, from 1."""

    start: int
    end: int
    line: int
    records: int


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


def split(fp: BinaryIO, table: Table, batch_chunks: int) -> Layout:
    """Reads a file from its beginning, in blocks, in bounded memory.

    Raises: Refused where the file can never load, with line or byte.
    """
    blocks = _checked(fp)
    head = next(blocks, b"")
    bom = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    found = find_dialect(head[bom:], table, whole=len(head) < BLOCK_BYTES)
    splitter = Splitter(found.dialect.delimiter, found.bytes + bom, found.lines + 1)
    chunks = list(splitter.split(_from(found.bytes + bom, head, blocks)))
    batches = tuple(_batches(chunks, batch_chunks))
    return Layout(found.dialect, batches, sum(chunk.records for chunk in chunks))


def _from(skip: int, head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield head[skip:]
    yield from blocks


def _checked(fp: BinaryIO) -> Iterator[bytes]:
    """The file's blocks, known to be UTF-8 without NUL."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    while True:
        block = fp.read(BLOCK_BYTES)
        if at == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise Refused("not_utf8", "the file is UTF-16 (byte 0 is its byte order mark); save it as UTF-8")
        if (nul := block.find(0)) >= 0:
            raise Refused("not_text", f"byte {at + nul} is NUL: the file is not text")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            where = at - pending + error.start
            raise Refused("not_utf8", f"byte {where} is not UTF-8 ({error.reason}); save the file as UTF-8") from None
        if not block:
            return
        yield block
        at += len(block)


# --- dialect and header ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A dialect, and the header's size: bytes and lines to skip (0 without a header)."""

    dialect: Dialect
    bytes: int = 0
    lines: int = 0


def find_dialect(head: bytes, table: Table, whole: bool) -> Found:
    """Delimiter and header, from a file's first bytes (`whole`: all of it).

    Raises: Refused where the first record names some of the table's columns, but not exactly these.
    """
    text = head.decode("utf-8", errors="ignore")
    if not whole:
        text = text[: text.rfind("\n") + 1] or text
    samples = {delimiter: _sample(text, delimiter) for delimiter in DELIMITERS}
    for delimiter, sample in samples.items():
        if sample and _is_header(sample[0].fields or [], table):
            return _with_header(delimiter, sample[0], text)
    delimiter = max(DELIMITERS, key=lambda candidate: _fitting(samples[candidate], table))
    if first := samples[delimiter][:1]:
        _refuse_near_header(first[0], table)
    return Found(Dialect(delimiter))


def _sample(text: str, delimiter: str) -> list[Record]:
    sample: list[Record] = []
    try:
        for record in records(text, delimiter, 1):
            sample.append(record)
            if len(sample) == _HEAD_RECORDS:
                break
    except BadRequest:
        pass  # a quote left open under this delimiter; if it is the file's, the splitter says so with the line
    return sample


def _fitting(sample: Sequence[Record], table: Table) -> int:
    return sum(record.fields is not None and len(record.fields) == len(table.columns) for record in sample)


def _names(fields: Iterable[str]) -> list[str]:
    return [field.strip().casefold() for field in fields]


def _is_header(fields: Sequence[str], table: Table) -> bool:
    names = [name for name in _names(fields) if not name.startswith("_")]
    return sorted(names) == sorted(table.names)


def _with_header(delimiter: str, header: Record, text: str) -> Found:
    lines = header.line + header.raw.count("\n")  # blank lines before the header are skipped with it
    size = sum(len(line.encode()) + 1 for line in text.split("\n")[:lines])
    columns = tuple("_" if name.startswith("_") else name for name in _names(header.fields or []))
    return Found(Dialect(delimiter, columns), min(size, len(text.encode())), lines)


def _refuse_near_header(first: Record, table: Table) -> None:
    names = [name for name in _names(first.fields or []) if not name.startswith("_")]
    if not set(names) & set(table.names) or _is_row(first, table):
        return
    problems = []
    if missing := [name for name in table.names if name not in names]:
        problems.append(f"lacks {', '.join(missing)}")
    if unknown := [shown(name) for name in names if name not in table.names]:
        problems.append(f"has {', '.join(unknown)}, which {table.name} does not have")
    if twice := sorted({name for name in names if names.count(name) > 1 and name in table.names}):
        problems.append(f"names {', '.join(twice)} more than once")
    raise Refused(
        "header", f"line {first.line}: the header {'; '.join(problems)}. The columns are {', '.join(table.names)}"
    )


def _is_row(record: Record, table: Table) -> bool:
    try:
        table.rows.validate_python([record.fields])
    except ValidationError:
        return False
    return True


# --- records, chunks, batches ---------------------------------------------------------------------------------------


class Splitter:
    """Cuts a file's bytes into chunks of whole records."""

    def __init__(self, delimiter: str, start: int, line: int) -> None:
        self._quoting = Quoting(delimiter.encode())
        self._begin = self._at = start
        self._begin_line = self._line = line
        self._records = 0
        self._record_start = start
        self._record_line = line

    def split(self, blocks: Iterable[bytes]) -> Iterator[Chunk]:
        """Raises: Refused at a record over the cap, a quote never closed or in doubt, a stray carriage return."""
        rest = b""
        for block in blocks:
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from self._take(lines)
            if self._at + len(rest) - self._record_start > CHUNK_BYTES:
                raise self._too_long()
        if rest:
            yield from self._take_lines([rest], end=0)
        if self._quoting.inside:
            raise Refused(
                "open_quote", f"line {self._record_line}: a quoted field begins in this record and never ends"
            )
        yield from self._close()

    def _take(self, lines: list[bytes]) -> Iterator[Chunk]:
        """Whole lines: many at once where each is a record, else one by one."""
        plain = not self._quoting.inside and b"" not in lines and _all_plain(lines)
        while plain and lines:
            part = lines[: CHUNK_RECORDS - self._records]
            size = sum(map(len, part)) + len(part)
            if self._at + size - self._begin > CHUNK_BYTES:
                break
            lines = lines[len(part) :]
            self._advance(size, len(part))
            self._records += len(part)
            self._record_start, self._record_line = self._at, self._line
            if self._records == CHUNK_RECORDS:
                yield from self._close()
        yield from self._take_lines(lines)

    def _take_lines(self, lines: Iterable[bytes], end: int = 1) -> Iterator[Chunk]:
        for line in lines:
            self._quoting.read(line)
            self._refuse_doubt()
            is_blank = line in (b"", b"\r") and self._record_start == self._at and not self._quoting.inside
            self._advance(len(line) + end, 1)
            if self._quoting.inside:
                continue
            yield from self._record_ends(is_blank)

    def _record_ends(self, is_blank: bool) -> Iterator[Chunk]:
        if self._at - self._record_start > CHUNK_BYTES:
            raise self._too_long()
        if self._records and self._at - self._begin > CHUNK_BYTES:
            yield from self._close(self._record_start, self._record_line)
        self._records += not is_blank
        self._record_start, self._record_line = self._at, self._line
        if self._records in (0, CHUNK_RECORDS):  # 0: blank lines ahead of a chunk do not belong to it
            yield from self._close()

    def _advance(self, size: int, lines: int) -> None:
        self._at += size
        self._line += lines

    def _close(self, end: int | None = None, line: int | None = None) -> Iterator[Chunk]:
        """The chunk so far, up to `end`, by default to where the splitter stands."""
        end, line = (self._at, self._line) if end is None or line is None else (end, line)
        if self._records:
            yield Chunk(self._begin, end, self._begin_line, self._records)
        self._begin, self._begin_line, self._records = end, line, 0

    def _refuse_doubt(self) -> None:
        if self._quoting.doubtful:
            raise Refused(
                "doubtful_quote",
                f"line {self._line}: text behind a quoted field that began on line {self._record_line}; one of its"
                " quotes is a slip, so it is in doubt where the records end",
            )
        if self._quoting.stray_return:
            raise Refused(
                "line_end", f"line {self._line}: a carriage return that ends no line; lines end in LF or CRLF"
            )

    def _too_long(self) -> Refused:
        return Refused("record_too_long", f"line {self._record_line}: a record of more than {CHUNK_BYTES} bytes")


def _all_plain(lines: Sequence[bytes]) -> bool:
    """No quote, no blank line, no stray carriage return: each line is a record. Looks at all at once."""
    joined = b"\n".join(lines)
    if b'"' in joined:
        return False
    return b"\r" not in joined or (b"\r" not in lines and _returns_end_lines(joined + b"\n"))


def _returns_end_lines(joined: bytes) -> bool:
    return joined.count(b"\r") == joined.count(b"\r\n")


def _batches(chunks: Iterable[Chunk], batch_chunks: int) -> Iterator[Batch]:
    number, batch = 0, list[Chunk]()
    for chunk in chunks:
        if batch and (len(batch) == batch_chunks or chunk.end - batch[0].start > BATCH_BYTES):
            yield Batch(number, tuple(batch))
            number, batch = number + 1, []
        batch.append(chunk)
    if batch:
        yield Batch(number, tuple(batch))
