"""A file's bytes cut into chunks of whole records: many lines at a glance, with care where a glance does not tell."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rowferry.csvfile.dialect import Shape
from rowferry.csvfile.doubts import Doubts
from rowferry.csvfile.quoting import MARK, Quoting, quotes_close
from rowferry.csvfile.records import CHUNK_BYTES, CHUNK_RECORDS
from rowferry.errors import Refused

BLOCK_BYTES = 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024
END_MARK = b"\x1a"
"""What programs of old systems write behind a file's last line."""


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


class Splitter:
    """Cuts a file's bytes into chunks of whole records."""

    def __init__(self, shape: Shape, start: int, line: int, limits: Limits) -> None:
        delimiter = shape.dialect.delimiter.encode()
        empty = _empty_record(delimiter)
        self.left_out = Counter[str]()
        self._limits = limits
        self._doubts = Doubts(shape)
        self._quoting = Quoting(delimiter)
        self._quotes_close = quotes_close(delimiter)
        self._empty_lines = re.compile(rb"(?:%s\n)+" % empty)
        self._empty_line = re.compile(empty)
        self._empty_between = re.compile(rb"\n%s\n" % empty)
        self._first_is_empty = (b"\n" + delimiter, b'\n"')
        self._at = self._record_start = self._begin = self._end = start
        self._line = self._record_line = self._begin_line = line
        self._delimiter = delimiter
        self._lines = list[tuple[int, bytes]]()  # of the record that is under way: those with a delimiter, and its ends
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
        if rest.endswith(END_MARK) and not self._quoting.inside:
            rest = rest[: -len(END_MARK)]
            self.left_out["end_of_file_mark"] += 1
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
            self._doubts.look_at_lines(text, self._line)
            yield from self._take_records(text.split(b"\n")[:-1])
        elif len(text) > self._limits.careful_bytes and (cut := _middle(text)) < len(text):
            yield from self._take(text[:cut])
            yield from self._take(text[cut:])
        else:
            for line in text.split(b"\n")[:-1]:
                yield from self._take_line(line, 1)

    def _skip(self, text: bytes) -> bytes:
        """What is left behind the lines in which no record begins or ends: empty, or wholly within quotes."""
        if self._quoting.inside:
            quote = text.find(b'"')
            size = text.rfind(b"\n", 0, quote) + 1 if quote >= 0 else len(text)
            if self._delimiter in text[:size]:
                lines = enumerate(text[:size].split(b"\n")[:-1], self._line)
                self._lines += [(number, line) for number, line in lines if self._delimiter in line]
            self._advance(size, text.count(b"\n", 0, size))
        else:
            empty = self._empty_lines.match(text)
            size = empty.end() if empty else 0
            for line in text[:size].split(b"\n")[:-1]:
                self._count_empty(line)
            self._advance(size, text.count(b"\n", 0, size))
            self._begin_record()
        return text[size:]

    def _count_empty(self, line: bytes) -> None:
        if line not in (b"", b"\r"):
            self.left_out["empty_records"] += 1

    def _each_line_a_record(self, text: bytes) -> bool:
        """False where it takes more than a glance to know."""
        if b"\n\n" in text or MARK in text or self._doubts.needs_care(text):
            return False
        if any(begin in text for begin in self._first_is_empty) and self._empty_between.search(text):
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
        if not self._quoting.inside and self._empty_line.fullmatch(line):
            self._count_empty(line)
            self._advance(len(line) + end, 1)
            self._begin_record()
            return
        self.left_out["byte_order_marks"] += not self._quoting.inside and line.startswith(MARK)
        self._quoting.read(line)
        if self._quoting.doubtful or self._quoting.stray_return:
            raise self._in_doubt()
        self._lines.append((self._line, line))
        self._advance(len(line) + end, 1)
        if not self._quoting.inside:
            if self._at - self._record_start > self._limits.chunk_bytes:
                raise self._too_long()
            self._doubts.look_at_record(self._lines)
            self._lines = []
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


def _empty_record(delimiter: bytes) -> bytes:
    """A pattern of a line in which all fields are empty."""
    return rb'(?:%s)?(?:"")?(?:%s(?:"")?)*\r?' % (MARK, re.escape(delimiter))


def _middle(text: bytes) -> int:
    """Where a line ends near the middle of whole lines."""
    return text.rfind(b"\n", 0, len(text) // 2) + 1 or text.find(b"\n") + 1
