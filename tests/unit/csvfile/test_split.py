import io
import re
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from rowferry.csvfile.dialect import DELIMITERS, Dialect, Shape
from rowferry.csvfile.header import find_dialect
from rowferry.csvfile.quoting import Quoting, quotes_close
from rowferry.csvfile.records import CHUNK_BYTES, records
from rowferry.csvfile.split import Batch, Layout, split
from rowferry.csvfile.splitter import Chunk, Limits, Splitter
from rowferry.declare.catalog import TABLES
from rowferry.errors import Refused
from tests.support.csv_files import SCRAPS, CsvFile, InDoubt, by_csv_module, by_letters, csv_files

DEPARTMENTS = TABLES["departments"]
EMPLOYEES = TABLES["hired_employees"]
BOM = b"\xef\xbb\xbf"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\0"
EMPLOYEE = "1,Harold Vogt,2021-11-07T02:48:42Z,2,96"

DEFAULT = Limits()
NOT_TEXT = "the file is not text, or it is UTF-16 without a byte order mark; save it as UTF-8"
CP1252 = (
    ' Save the file as UTF-8, or declare CsvFormat(encoding="cp1252"), or upload it with the S3 metadata'
    " rowferry-encoding=cp1252"
)
LIMITS = st.builds(
    Limits,
    chunk_records=st.integers(1, 5),
    chunk_bytes=st.integers(300, 600),
    batch_bytes=st.integers(1, 2000),
    block_bytes=st.integers(1, 80) | st.just(10_000),
    careful_bytes=st.integers(0, 80),
)


def laid_out(text: str | bytes, batch_chunks: int = 25, limits: Limits = DEFAULT) -> Layout:
    data = text.encode() if isinstance(text, str) else text
    return split(io.BytesIO(data), DEPARTMENTS, batch_chunks, limits)


def chunks_of(layout: Layout) -> list[Chunk]:
    return [chunk for batch in layout.batches for chunk in batch.chunks]


def refusal(text: str | bytes) -> tuple[str, str]:
    """A refusal's code and words."""
    with pytest.raises(Refused) as caught:
        laid_out(text)
    return caught.value.code, str(caught.value)


# --- records, chunks, batches ---------------------------------------------------------------------------------------


def test_a_file_becomes_chunks_of_a_thousand_records_in_batches() -> None:
    text = "".join(f"{number},name\n" for number in range(1000, 3500))
    layout = laid_out(text, batch_chunks=2)
    assert layout == Layout(
        Dialect(","),
        (
            Batch(0, (Chunk(0, 10_000, 1, 1000), Chunk(10_000, 20_000, 1001, 1000))),
            Batch(1, (Chunk(20_000, 25_000, 2001, 500),)),
        ),
        2500,
    )


def test_a_chunk_ends_before_the_record_that_would_carry_it_over_its_bytes() -> None:
    limits = Limits(chunk_bytes=20)
    layout = laid_out("1,aaaa\n2,bbbb\n3,cccccc\n4,d\n", limits=limits)
    assert chunks_of(layout) == [Chunk(0, 14, 1, 2), Chunk(14, 27, 3, 2)]


def test_a_record_of_exactly_the_cap_is_taken_and_one_byte_more_refuses_the_file() -> None:
    fits = "1," + "a" * (CHUNK_BYTES - 3) + "\n"
    assert chunks_of(laid_out("0,a\n" + fits)) == [Chunk(0, 4, 1, 1), Chunk(4, 4 + CHUNK_BYTES, 2, 1)]
    assert refusal("0,a\n1" + fits) == ("record_too_long", "line 2: a record of more than 4194304 bytes")


def test_a_record_of_many_lines_over_the_cap_is_refused_by_its_first_line() -> None:
    text = "0,a\n" + '1,"' + "a\n" * (CHUNK_BYTES // 2) + '"\n'
    assert refusal(text) == ("record_too_long", "line 2: a record of more than 4194304 bytes")


def test_a_batch_ends_before_the_chunk_that_would_carry_it_over_its_bytes() -> None:
    layout = laid_out("1,a\n2,b\n3,c\n", limits=Limits(chunk_records=1, batch_bytes=8))
    assert [len(batch.chunks) for batch in layout.batches] == [2, 1]


def test_blank_lines_belong_to_a_chunk_only_between_its_records() -> None:
    layout = laid_out("\n\n1,a\n\n2,b\n\n\n3,c\n\n", limits=Limits(chunk_records=2))
    assert chunks_of(layout) == [Chunk(2, 11, 3, 2), Chunk(13, 17, 8, 1)]


@pytest.mark.parametrize("text", ["", "\n\n\r\n", "id,name", "id,name\n", "\nid,name\r\n\r\n", BOM, BOM + b"id,name"])
def test_a_file_without_records_has_no_batch(text: str | bytes) -> None:
    layout = laid_out(text)
    assert (layout.batches, layout.records) == ((), 0)


@pytest.mark.parametrize("text", ["1,a", "1,a\n", "1,a\r\n", "1,a\r", '1,"a"'])
def test_one_record_is_a_file_with_its_end_or_without(text: str) -> None:
    assert chunks_of(laid_out(text)) == [Chunk(0, len(text), 1, 1)]


def not_utf8(byte: int, value: str, letter: str) -> str:
    """The words on a byte of the first line."""
    where = f"line 1: byte {byte} of the file, byte {byte + 1} of the line, is {value}"
    return f"{where}, which is not UTF-8; it looks like cp1252 ({letter}).{CP1252}"


@given(csv_files(DEPARTMENTS.names), LIMITS, st.integers(1, 3), st.booleans())
def test_any_file_is_cut_into_the_records_of_the_csv_module(
    file: CsvFile, limits: Limits, batch_chunks: int, with_bom: bool
) -> None:
    data = BOM * with_bom + file.text.encode()
    try:
        layout = split(io.BytesIO(data), DEPARTMENTS, batch_chunks, limits)
    except Refused as refusal:
        if refusal.code != "doubtful_quote":
            raise
        reject()  # a line of a text looked like a row
    assert layout.dialect.delimiter == file.delimiter
    assert [name for name in layout.dialect.columns if name != "_"] == _own_names(file)
    expected = by_csv_module(file.text, file.delimiter)[1:]
    assert list(_read(layout, data)) == expected
    assert layout.records == len(expected)
    _assert_well_cut(layout, data, limits, batch_chunks)


@given(csv_files(DEPARTMENTS.names), LIMITS)
def test_the_size_of_the_reads_and_of_what_is_read_with_care_changes_nothing(file: CsvFile, limits: Limits) -> None:
    whole = replace(limits, block_bytes=DEFAULT.block_bytes, careful_bytes=DEFAULT.careful_bytes)
    assert _laid_out_or_refused(file.text, limits) == _laid_out_or_refused(file.text, whole)


def _laid_out_or_refused(text: str, limits: Limits) -> Layout | str:
    try:
        return laid_out(text, 2, limits)
    except Refused as refusal:
        return str(refusal)


@settings(max_examples=2000)
@given(SCRAPS, LIMITS)
def test_broken_text_is_cut_by_the_rules_or_refused(text: str, limits: Limits) -> None:
    data = text.encode()
    blocks = [data[at : at + limits.block_bytes] for at in range(0, len(data), limits.block_bytes)]
    splitter = Splitter(Shape(DEPARTMENTS, Dialect()), 0, 1, limits)
    try:
        expected = by_letters(text, ",")
    except InDoubt:
        with pytest.raises(Refused):
            list(splitter.split(blocks))
        return
    chunks = list(splitter.split(blocks))
    found = [
        (record.line, record.raw, record.fields is None)
        for chunk in chunks
        for record in records(text[chunk.start : chunk.end], ",", chunk.line)
    ]
    assert found == expected
    assert sum(chunk.records for chunk in chunks) == len(expected)


@settings(max_examples=2000)
@given(SCRAPS, st.sampled_from(DELIMITERS))
def test_many_lines_at_a_glance_and_one_by_one_agree_on_their_quotes(scraps: str, delimiter: str) -> None:
    text = scraps.replace(",", delimiter).encode() + b"\n"
    quoting = Quoting(delimiter.encode())
    ran_on = False
    for line in text.split(b"\n")[:-1]:
        quoting.read(line)
        ran_on |= quoting.inside
    assert (quotes_close(delimiter.encode()).fullmatch(text) is None) == ran_on


def _own_names(file: CsvFile) -> list[str]:
    header = by_csv_module(file.text, file.delimiter)[0][1]
    return [name.strip().lower() for name in header if not name.strip().startswith("_")]


def _read(layout: Layout, data: bytes) -> Iterator[tuple[int, list[str] | None]]:
    for chunk in chunks_of(layout):
        text = data[chunk.start : chunk.end].decode()
        found = [(record.line, record.fields) for record in records(text, layout.dialect.delimiter, chunk.line)]
        assert len(found) == chunk.records
        yield from found


def _assert_well_cut(layout: Layout, data: bytes, limits: Limits, batch_chunks: int) -> None:
    chunks = chunks_of(layout)
    for chunk in chunks:
        assert 1 <= chunk.records <= limits.chunk_records
        assert chunk.end - chunk.start <= limits.chunk_bytes
        assert chunk.line == 1 + data.count(b"\n", 0, chunk.start)
    for before, after in pairwise(chunks):
        assert data[before.end : after.start].strip(b'\r\n",;\t|') == b""
    assert not chunks or data[chunks[-1].end :].strip(b'\r\n",;\t|') == b""
    assert [batch.batch for batch in layout.batches] == list(range(len(layout.batches)))
    for batch in layout.batches:
        assert len(batch.chunks) <= batch_chunks
        assert len(batch.chunks) == 1 or batch.end - batch.start <= limits.batch_bytes


# --- dialect and header ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_delimiter_is_found_without_a_header(delimiter: str, end: str) -> None:
    text = EMPLOYEE.replace(",", delimiter) + end
    assert split(io.BytesIO(text.encode() * 3), EMPLOYEES, 1).dialect == Dialect(delimiter)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("1;Research, Development\n", ";"),  # both make two fields; only one makes a row
        ("1,Research; Development\n", ","),
        ("1|a,b;c\n", "|"),
        ("1\ta|b\n2\tc,d\n", "\t"),
        ("x,a;b\ny,c\n", ","),  # no row at all: the one that fits more records
        ("x;a,b\ny;c\n", ";"),
        ("\n\n1;a\n", ";"),
        ('"1";"a;b"\n', ";"),
        ("a\n", ","),  # nothing speaks for any
    ],
)
def test_the_delimiter_that_makes_rows_is_taken(text: str, delimiter: str) -> None:
    assert laid_out(text).dialect == Dialect(delimiter)


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("id,name", ("id", "name")),
        ("NAME,Id", ("name", "id")),
        (" id , name ", ("id", "name")),
        ('"name","id"', ("name", "id")),
        ("_line,id,_x,name,_x", ("_", "id", "_", "name", "_")),
        ('"id\n",name', ("id", "name")),
    ],
)
@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize("blank", ["", "\n\r\n"])
def test_a_header_names_the_columns_and_is_skipped(
    delimiter: str, header: str, columns: tuple[str, ...], bom: bytes, blank: str
) -> None:
    before = bom + (blank + header.replace(",", delimiter)).encode() + b"\n"
    layout = laid_out(before + f"1{delimiter}a\n".encode())
    assert (layout.dialect.delimiter, layout.dialect.columns) == (delimiter, columns)
    assert chunks_of(layout) == [Chunk(len(before), len(before) + 4, 1 + before.count(b"\n"), 1)]


def test_without_a_header_the_first_record_counts_even_where_it_is_bad() -> None:
    assert laid_out("x,y,z\n1,a\n") == Layout(Dialect(","), (Batch(0, (Chunk(0, 10, 1, 2),)),), 2)
    assert laid_out('"x"y,z\n1,a\n').records == 2


def test_a_first_row_whose_text_is_a_column_s_name_is_a_row() -> None:
    assert laid_out("1,name\n2,id\n").records == 2


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("id", "lacks name"),
        ("id;title", "lacks name; has 'title', which departments does not have"),
        ("id|name|name", "names name more than once"),
        ("id\tname\tboss\tfloor", "has 'boss', 'floor', which departments does not have"),
        ("_line,ID,_name", "lacks name"),
        ("id;name;boss\n1;a,b;c\n2;d,e;f", "has 'boss', which departments does not have"),
    ],
)
def test_a_header_that_does_not_fit_refuses_the_file_and_says_the_difference(header: str, problem: str) -> None:
    code, words = refusal(f"\n{header}\n")
    assert code == "header"
    assert words.startswith(f"line 2: the header {problem}. The columns are id, name; put the header right, or declare")


def test_the_beginning_of_a_file_may_end_within_a_record() -> None:
    found = find_dialect(b'id;name\n1;"a\nb', DEPARTMENTS, whole=False)
    assert (found.dialect.delimiter, found.dialect.columns, found.lines) == (";", ("id", "name"), 1)


# --- what can never load --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('1,a\n2,"b\n3,c\n', "open_quote", "line 2: a quoted field begins in this record and never ends"),
        ('"id,name\n1,a\n', "open_quote", "line 1: a quoted field begins in this record and never ends"),
        (
            '1,a\n2,"b\n3,"c"\n',
            "doubtful_quote",
            "line 3: text behind a closing quote, in a record that begins on line 2 and runs on; one of its quotes is a"
            " slip, so it is in doubt where the records end",
        ),
        ("1,a\n2,b\rc\n", "line_end", "line 2: a carriage return that ends no line; lines end in LF or CRLF"),
        ("1,a\r2,b\r3,c\r", "line_end", "line 1: a carriage return that ends no line; lines end in LF or CRLF"),
        ("1,a\r\r\n", "line_end", "line 1: a carriage return that ends no line; lines end in LF or CRLF"),
        (
            b"1,a\n2,b\0\n",
            "not_text",
            "line 2, byte 7 is NUL: " + NOT_TEXT,
        ),
        (
            "1,a\n".encode("utf-16-le"),
            "not_text",
            "line 1, byte 1 is NUL: " + NOT_TEXT,
        ),
        (
            "1,a\n".encode("utf-16"),
            "not_utf8",
            "the file is UTF-16 (byte 0 is its byte order mark); save it as UTF-8",
        ),
        (
            "1,é\n".encode("latin-1"),
            "not_utf8",
            not_utf8(2, "0xE9", "é"),
        ),
        (
            b"1,a\xc3",
            "not_utf8",
            not_utf8(3, "0xC3", "Ã"),
        ),
        (
            b"1,\xc3\0",
            "not_utf8",
            not_utf8(2, "0xC3", "Ã"),
        ),
        (
            PNG,
            "not_utf8",
            not_utf8(0, "0x89", "‰"),
        ),
    ],
)
def test_a_file_that_can_never_load_is_refused_with_its_line_or_byte(text: str | bytes, code: str, words: str) -> None:
    assert refusal(text) == (code, words)


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 4, 5, 6, 7, 100])
@pytest.mark.parametrize(
    ("data", "code", "byte"),
    [
        ("1,😀".encode()[:-1], "not_utf8", 2),
        ("1,😀".encode()[:-1] + b"a", "not_utf8", 2),
        ("1,é\n2,".encode() + b"\xff\n", "not_utf8", 7),
        ("1,é\n2,".encode() + b"\0\xff\n", "not_text", 7),
        ("1,é\n2,".encode() + b"\xff\0\n", "not_utf8", 7),
    ],
)
def test_the_first_bad_byte_is_named_wherever_the_reads_fall(
    data: bytes, code: str, byte: int, block_bytes: int
) -> None:
    with pytest.raises(Refused, match=rf"byte {byte} (is|of the file)") as caught:
        laid_out(data, limits=Limits(block_bytes=block_bytes))
    assert caught.value.code == code


class Endless(io.RawIOBase):
    """A file that repeats a piece of text up to a size."""

    def __init__(self, begin: bytes, piece: bytes, size: int) -> None:
        self._begin = begin
        self._piece = piece * (2 * 1024 * 1024 // len(piece))
        self.left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = (self._begin + self._piece)[: min(size, self.left)]
        self._begin = b""
        self.left -= len(block)
        return block


@pytest.mark.parametrize(
    ("begin", "piece", "code"),
    [
        (b"1,", b"a", "record_too_long"),  # one line
        (b"", b"1,", "record_too_long"),  # a billion columns
        (b'1,"', b"a\n", "record_too_long"),  # one quoted field of a billion lines
        (b'1,"', b'""', "record_too_long"),
        (b"1,", b'"', "record_too_long"),
        (b"1,", b'x"', "record_too_long"),
        (b'1,"a"', b'x,"b"', "record_too_long"),
        (b"1,a\n", b"\r", "line_end"),
    ],
)
def test_two_gigabytes_that_never_load_are_refused_soon_and_in_little_memory(
    begin: bytes, piece: bytes, code: str
) -> None:
    file = Endless(begin, piece, 2 * 1024**3)
    started = time.process_time()
    with pytest.raises(Refused) as caught:
        split(file, DEPARTMENTS, 25)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert 2 * 1024**3 - file.left < 8 * 1024**2
    assert time.process_time() - started < 5


def test_memory_is_bounded_while_a_long_line_is_refused() -> None:
    file = Endless(b"1,", b"a", 2 * 1024**3)
    tracemalloc.start()
    with pytest.raises(Refused):
        split(file, DEPARTMENTS, 25)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 1024**2


def test_a_million_columns_are_one_record() -> None:
    assert laid_out("1," * 1_000_000 + "\n1,a\n").records == 2


@pytest.mark.parametrize(
    "text",
    [
        "1," + '"' * 100_000 + "\n",
        '1,"' + '""' * 50_000 + '"\n',
        "1,x" + '"' * 100_000 + "\n",
        "1," + '"a",' * 50_000 + "\n",
        '1,"a\n"\n' * 50_000,
        '"\n"\n' * 50_000,
        "\n1,a\n" * 50_000,
        "1,a\n" + "\r\n" * 2_000_000,
        '1,"' + "\n" * 2_000_000 + '"\n',
    ],
    ids=range(9),
)
def test_many_quotes_or_lines_cost_little_time(text: str) -> None:
    started = time.process_time()
    assert laid_out(text).records == len(re.findall(r"(?m)^1,|^\"\n\"", text))
    assert time.process_time() - started < 5
