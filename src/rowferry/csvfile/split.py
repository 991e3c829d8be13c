"""One pass over a file: how it is written, and where each chunk and batch begins and ends.

The batches are byte ranges with their first line, so that every later step reads just its own range and knows its
lines. Their numbers are what the ledger stands on: the same bytes and options always give the same batches.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from rowferry.csvfile.records import CHUNK_BYTES, CHUNK_RECORDS, DELIMITERS, Dialect, Quoting, Record, records
from rowferry.declare.definition import TableDefinition
from rowferry.declare.types import shown
from rowferry.errors import BadRequest, Refused

BLOCK_BYTES = 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024
_HEAD_BYTES = 1024 * 1024
_HEAD_RECORDS = 100

HEADER_FIELDS = 1_000
"""A header may have so many columns: they go to the validator with each chunk."""


@dataclass(frozen=True)
class Limits:
    """How much is held at once: records and bytes of a chunk, bytes of a batch, bytes of one read.

    Where a glance does not tell, so few bytes as `careful_bytes` are read line by line.
    """

    chunk_records: int = CHUNK_RECORDS
    chunk_bytes: int = CHUNK_BYTES
    batch_bytes: int = BATCH_BYTES
    block_bytes: int = BLOCK_BYTES
    careful_bytes: int = 1024


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


def split(fp: BinaryIO, table: TableDefinition, batch_chunks: int, limits: Limits = Limits()) -> Layout:
    """Reads a file from its beginning, in blocks, in bounded memory.

    Raises: Refused where the file can never load, with line or byte.
    """
    blocks = _checked(fp, limits.block_bytes)
    head = b""
    while len(head) < _HEAD_BYTES and (block := next(blocks, b"")):
        head += block
    bom = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    found = find_dialect(head[bom:], table, whole=len(head) < _HEAD_BYTES)
    splitter = Splitter(found.dialect.delimiter, found.bytes + bom, found.lines + 1, limits)
    chunks = list(splitter.split(chain([head[found.bytes + bom :]], blocks)))
    batches = tuple(_batches(chunks, batch_chunks, limits.batch_bytes))
    return Layout(found.dialect, batches, sum(chunk.records for chunk in chunks))


def _checked(fp: BinaryIO, size: int) -> Iterator[bytes]:
    """The file's blocks, known to be UTF-8 without NUL."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    while True:
        block = fp.read(size)
        if at == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise Refused("not_utf8", "the file is UTF-16 (byte 0 is its byte order mark); save it as UTF-8")
        pending = len(decoder.getstate()[0])
        text = block.partition(b"\0")[0]
        try:
            decoder.decode(text, final=len(text) < len(block) or not block)
        except UnicodeDecodeError as error:
            where = at - pending + error.start
            raise Refused("not_utf8", f"byte {where} is not UTF-8 ({error.reason}); save the file as UTF-8") from None
        if len(text) < len(block):
            raise Refused("not_text", f"byte {at + len(text)} is NUL: the file is not text")
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


def find_dialect(head: bytes, table: TableDefinition, whole: bool) -> Found:
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
    delimiter = max(DELIMITERS, key=lambda candidate: _evidence(samples[candidate], table))
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


def _evidence(sample: Sequence[Record], table: TableDefinition) -> tuple[int, int, int]:
    """What speaks for a delimiter: rows that the table takes, then names in the first, then records as wide as it."""
    fitting = [record for record in sample if record.fields is not None and len(record.fields) == len(table.columns)]
    named = set(_names(sample[0].fields or [])) & set(table.names) if sample else ()
    return sum(_is_row(record, table) for record in fitting), len(named), len(fitting)


def _names(fields: Iterable[str]) -> list[str]:
    return [field.strip().casefold() for field in fields]


def _is_header(fields: Sequence[str], table: TableDefinition) -> bool:
    names = [name for name in _names(fields) if not name.startswith("_")]
    return sorted(names) == sorted(table.names)


def _with_header(delimiter: str, header: Record, text: str) -> Found:
    lines = header.line + header.raw.count("\n")  # blank lines before the header are skipped with it
    size = sum(len(line.encode()) + 1 for line in text.split("\n")[:lines])
    if len(header.fields or []) > HEADER_FIELDS:
        words = f"the header has {len(header.fields or [])} columns; at most {HEADER_FIELDS} are read"
        raise Refused("header", f"line {header.line}: {words}")
    columns = tuple("_" if name.startswith("_") else name for name in _names(header.fields or []))
    return Found(Dialect(delimiter, columns), min(size, len(text.encode())), lines)


def _refuse_near_header(first: Record, table: TableDefinition) -> None:
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


def _is_row(record: Record, table: TableDefinition) -> bool:
    try:
        table.rows.validate_python([record.fields])
    except ValidationError:
        return False
    return True


# --- records, chunks, batches ---------------------------------------------------------------------------------------


_BLANK_LINES = re.compile(rb"(?:\r?\n)+")


class Splitter:
    """Cuts a file's bytes into chunks of whole records."""

    def __init__(self, delimiter: str, start: int, line: int, limits: Limits) -> None:
        self._limits = limits
        self._quoting = Quoting(delimiter.encode())
        self._quotes_close = _quotes_close(delimiter.encode())
        self._at = self._record_start = self._begin = self._end = start
        self._line = self._record_line = self._begin_line = line
        self._records = 0

    def split(self, blocks: Iterable[bytes]) -> Iterator[Chunk]:
        """Raises: Refused at a record over the cap, a quote never closed or in doubt, a stray carriage return."""
        rest = b""
        for block in blocks:
            text = rest + block
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            yield from self._take(text[:end])
            if self._at + len(rest) - self._record_start > self._limits.chunk_bytes:
                self._quoting.read(rest)
                raise self._too_long()
        if rest:
            yield from self._take_line(rest, 0)
        if self._quoting.inside:
            raise Refused(
                "open_quote", f"line {self._record_line}: a quoted field begins in this record and never ends"
            )
        yield from self._close()

    def _take(self, text: bytes) -> Iterator[Chunk]:
        """Whole lines: many at once where each is proven to be a record, else ever fewer, in the end one by one."""
        text = self._skip(text)
        if not text:
            return
        if not self._quoting.inside and self._each_line_a_record(text):
            yield from self._take_records(text.split(b"\n")[:-1])
        elif len(text) > self._limits.careful_bytes and (cut := _middle(text)) < len(text):
            yield from self._take(text[:cut])
            yield from self._take(text[cut:])
        else:
            for line in text.split(b"\n")[:-1]:
                yield from self._take_line(line, 1)

    def _skip(self, text: bytes) -> bytes:
        """What is left behind the lines in which no record begins or ends: blank, or wholly within quotes."""
        if self._quoting.inside:
            quote = text.find(b'"')
            size = text.rfind(b"\n", 0, quote) + 1 if quote >= 0 else len(text)
            self._advance(size, text.count(b"\n", 0, size))
        else:
            blank = _BLANK_LINES.match(text)
            size = blank.end() if blank else 0
            self._advance(size, text.count(b"\n", 0, size))
            self._begin_record()
        return text[size:]

    def _each_line_a_record(self, text: bytes) -> bool:
        """False where it takes more than a glance to know."""
        if text.startswith((b"\n", b"\r\n")) or b"\n\n" in text:
            return False
        if b"\r" in text and (b"\n\r\n" in text or text.count(b"\r") != text.count(b"\r\n")):
            return False
        return b'"' not in text or self._quotes_close.fullmatch(text) is not None

    def _take_records(self, lines: Sequence[bytes]) -> Iterator[Chunk]:
        done = 0
        while done < len(lines):
            part = lines[done : done + self._limits.chunk_records - self._records]
            size = sum(map(len, part)) + len(part)
            if self._at + size - (self._begin if self._records else self._at) > self._limits.chunk_bytes:
                part = part[:1]
                yield from self._take_line(part[0], 1)
            else:
                self._advance(size, len(part))
                yield from self._end_records(len(part))
            done += len(part)

    def _take_line(self, line: bytes, end: int) -> Iterator[Chunk]:
        """One line, without its line feed, which is `end` bytes long."""
        if line in (b"", b"\r") and not self._quoting.inside:
            self._advance(len(line) + end, 1)
            self._begin_record()
            return
        self._quoting.read(line)
        if self._quoting.doubtful or self._quoting.stray_return:
            raise self._in_doubt()
        self._advance(len(line) + end, 1)
        if not self._quoting.inside:
            if self._at - self._record_start > self._limits.chunk_bytes:
                raise self._too_long()
            if self._records and self._at - self._begin > self._limits.chunk_bytes:
                yield from self._close()
            yield from self._end_records(1)

    def _advance(self, size: int, lines: int) -> None:
        self._at += size
        self._line += lines

    def _begin_record(self) -> None:
        self._record_start, self._record_line = self._at, self._line

    def _end_records(self, count: int) -> Iterator[Chunk]:
        """So many records go from where one began to here; blank lines ahead of a chunk or behind it are not in it."""
        if not self._records:
            self._begin, self._begin_line = self._record_start, self._record_line
        self._records += count
        self._end = self._at
        self._begin_record()
        if self._records == self._limits.chunk_records:
            yield from self._close()

    def _close(self) -> Iterator[Chunk]:
        if self._records:
            yield Chunk(self._begin, self._end, self._begin_line, self._records)
        self._records = 0

    def _in_doubt(self) -> Refused:
        if self._quoting.stray_return:
            words = f"line {self._line}: a carriage return that ends no line; lines end in LF or CRLF"
            return Refused("line_end", words)
        return Refused(
            "doubtful_quote",
            f"line {self._line}: text behind a closing quote, in a record that begins on line {self._record_line}"
            " and runs on; one of its quotes is a slip, so it is in doubt where the records end",
        )

    def _too_long(self) -> Refused:
        if self._quoting.stray_return:  # a file of an old Mac is all one line
            return self._in_doubt()
        return Refused(
            "record_too_long", f"line {self._record_line}: a record of more than {self._limits.chunk_bytes} bytes"
        )


def _quotes_close(delimiter: bytes) -> re.Pattern[bytes]:
    """Matches whole lines if no quoted field runs on behind its line's end; by `Quoting`'s rules, many lines at once.

    A quote opens a field at a line's start or behind a delimiter, and is a character like any other elsewhere. There is
    one way at most to match a text, so possessive quantifiers would change nothing; early Python 3.11 has them wrong.
    """
    elsewhere = rb"[^%s\n]" % re.escape(delimiter)
    field = rb'[^"\n]*"(?:"[^"\n]*")*(?!")'  # behind the quote that opens it
    return re.compile(rb'(?:[^"]*"(?:(?<!%b")%b|(?<=%b")))*[^"]*' % (elsewhere, field, elsewhere))


def _middle(text: bytes) -> int:
    """Where a line ends near the middle of whole lines."""
    return text.rfind(b"\n", 0, len(text) // 2) + 1 or text.find(b"\n") + 1


def _batches(chunks: Iterable[Chunk], batch_chunks: int, batch_bytes: int) -> Iterator[Batch]:
    number, batch = 0, list[Chunk]()
    for chunk in chunks:
        if batch and (len(batch) == batch_chunks or chunk.end - batch[0].start > batch_bytes):
            yield Batch(number, tuple(batch))
            number, batch = number + 1, []
        batch.append(chunk)
    if batch:
        yield Batch(number, tuple(batch))
