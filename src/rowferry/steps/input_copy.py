"""The run's own copy of its upload: found out what it is, inflated, made UTF-8 and RFC 4180 where it is neither."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from rowferry.csvfile.convert import decoded, is_as_rfc_4180, is_utf8, requoted, utf16_of
from rowferry.csvfile.header import find_dialect
from rowferry.csvfile.quoting import MARK
from rowferry.csvfile.splitter import BLOCK_BYTES
from rowferry.csvfile.text import refuse_other_kinds
from rowferry.csvfile.wanted import with_metadata
from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import TableDefinition
from rowferry.errors import NotFound, Refused
from rowferry.ledger import Run
from rowferry.steps.work_files import REJECT_COLUMNS, RunFiles
from rowferry.storage.s3 import Bucket, Version

FILE_BYTES = 5 * 1000**3
"""A file has so many bytes at most, inflated where it is a .gz: what Plan and S3's copy bear (docs/architecture.md)."""

FILE_RECORDS = 20_000_000
"""A file has so many records at most: what Summarise bears where each of them is rejected."""

_SPLIT = "cut it between records into smaller files with names of their own, each with the header if it has one"

INFLATED_TIMES = 200
"""A .gz that grows by more is refused, once it is past 64 MiB: real CSV shrinks to a tenth, seldom to a fiftieth."""

_INFLATED_ANYWAY = 64 * 1024**2


def _uploaded(bucket: Bucket, run: Run) -> Version:
    """Raises: NotFound."""
    for version in bucket.versions_of(run.key):
        if version.id == run.version:
            return version
    raise NotFound(
        f"{run.key}, version {run.version}, was deleted before the run had copied it; nothing of it is loaded,"
        " and the file has to be uploaded again"
    )


def check_size(what: str, found: int, most: int) -> None:
    """Raises: Refused."""
    if found > most:
        raise Refused("too_large", f"the file has {found} {what} and may have {most}; {_SPLIT}")


_HEAD_BYTES = 64 * 1024


def take_copy(
    bucket: Bucket, run: Run, table: TableDefinition, files: RunFiles, progress: Callable[[], None]
) -> CsvFormat:
    """Makes the copy, where no earlier attempt has; answers the run's format, which the first attempt decided.

    Raises: Refused, NotFound.
    """
    if bucket.exists(files.input):
        return files.format() or table_format(table)
    version = _uploaded(bucket, run)
    if version.key.lower().endswith(".gz"):
        if not version.size:
            raise Refused("not_gzip", "the file is called .gz and is empty")
    else:
        check_size("bytes", version.size, FILE_BYTES)
    head = _head(bucket, version)
    wanted = files.keep_format(_wanted(bucket, version, table, head))
    _write(bucket, version, table, files, wanted, head, progress)
    return wanted


def table_format(table: TableDefinition) -> CsvFormat:
    """What the table's class declares of its files."""
    return table.csv


def _is_packed(version: Version) -> bool:
    return version.key.lower().endswith(".gz")


def _head(bucket: Bucket, version: Version) -> bytes:
    with bucket.read(version.key, version.id) as fp:
        head = b""
        if _is_packed(version):
            with gzip.GzipFile(fileobj=fp, mode="rb") as packed:
                head = _inflate(packed, _HEAD_BYTES)
        else:
            head = fp.read(_HEAD_BYTES)
    refuse_other_kinds(head, unpacked=_is_packed(version))
    return head


def _wanted(bucket: Bucket, version: Version, table: TableDefinition, head: bytes) -> CsvFormat:
    """The format that is declared; a file of rejects is as Rowferry wrote it, and a mark tells its encoding."""
    declared = table_format(table)
    if _are_rejects(table, head):
        nulls = tuple(dict.fromkeys((*declared.nulls, "")))
        return CsvFormat(delimiter=",", nulls=nulls, decimal=declared.decimal, thousands=declared.thousands)
    wanted = with_metadata(declared, bucket.metadata(version.key, version.id) or {})
    if encoding := utf16_of(head) or (head.startswith(MARK) and "utf-8"):
        return replace(wanted, encoding=encoding)
    return wanted


def _are_rejects(table: TableDefinition, head: bytes) -> bool:
    line = head.removeprefix(MARK).partition(b"\n")[0].rstrip(b"\r")
    return line == ",".join((*table.names, *REJECT_COLUMNS)).encode()


def _write(
    bucket: Bucket,
    version: Version,
    table: TableDefinition,
    files: RunFiles,
    wanted: CsvFormat,
    head: bytes,
    progress: Callable[[], None],
) -> None:
    as_it_is = is_utf8(wanted.encoding) and is_as_rfc_4180(wanted)
    if as_it_is and not _is_packed(version):
        bucket.copy(version, files.input, {"rowferry-run": files.run})
        return
    with bucket.read(version.key, version.id) as fp:
        blocks = _blocks(fp, version, progress)
        if not as_it_is:
            blocks = _converted(blocks, wanted, table, head)
        bucket.write_stream(files.input, blocks)


def _blocks(fp: BinaryIO, version: Version, progress: Callable[[], None]) -> Iterator[bytes]:
    if _is_packed(version):
        bound = min(FILE_BYTES, max(_INFLATED_ANYWAY, INFLATED_TIMES * version.size))
        yield from _inflated(fp, bound, progress)
    else:
        while block := fp.read(BLOCK_BYTES):
            progress()
            yield block


def _converted(blocks: Iterator[bytes], wanted: CsvFormat, table: TableDefinition, head: bytes) -> Iterator[bytes]:
    texts = decoded(blocks, wanted.encoding)
    if is_as_rfc_4180(wanted):
        return (text.encode() for text in texts)
    return requoted(texts, wanted, wanted.delimiter or _delimiter(wanted, table, head))


def _delimiter(wanted: CsvFormat, table: TableDefinition, head: bytes) -> str:
    """The delimiter that the beginning of a file with its own quotes seems to have."""
    text = "".join(decoded([head[: head.rfind(b"\n") + 1] or head], wanted.encoding))
    try:
        return find_dialect(
            text.encode(), table, whole=True, wanted=replace(wanted, encoding="utf-8")
        ).dialect.delimiter
    except Refused:
        words = "the delimiter can't be told where quote or escape is declared"
        raise Refused("format", f"{words}; declare the delimiter too") from None


def _inflated(packed: BinaryIO, bound: int, progress: Callable[[], None]) -> Iterator[bytes]:
    """Raises: Refused where it is no .gz, or inflates beyond the bound."""
    size = 0
    with gzip.GzipFile(fileobj=packed, mode="rb") as fp:
        while block := _inflate(fp):
            size += len(block)
            if size > bound:
                words = _SPLIT if bound == FILE_BYTES else "no CSV file of its size does that"
                raise Refused("too_large", f"the file inflates to more than {bound} bytes; {words}")
            progress()
            yield block


def _inflate(fp: gzip.GzipFile, size: int = BLOCK_BYTES) -> bytes:
    try:
        return fp.read(size)
    except EOFError as error:
        raise Refused("not_gzip", "the file is called .gz and ends too early to be inflated") from error
    except (zlib.error, gzip.BadGzipFile) as error:  # whose words quote the file
        raise Refused("not_gzip", "the file is called .gz and can't be inflated: it is none, or damaged") from error
