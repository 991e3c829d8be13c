"""A file on this machine as a run's own copy of it would be: its kind known, UTF-8, as RFC 4180 says."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, cast

from cli.output import CommandError

BLOCK_BYTES = 1024 * 1024
HEAD_BYTES = 64 * 1024


@contextmanager
def as_a_run_reads_it(
    fp: BinaryIO, table: str, metadata: Mapping[str, str], unpacked: bool
) -> Iterator[tuple[BinaryIO, object]]:
    """The bytes that Plan would split, and the format that they are in. `unpacked`: they were a .gz.

    Raises: Refused; CommandError where only a run can find the delimiter.
    """
    from rowferry.csvfile.convert import decoded, is_as_rfc_4180, is_utf8, requoted, utf16_of
    from rowferry.csvfile.quoting import MARK
    from rowferry.csvfile.text import refuse_other_kinds
    from rowferry.csvfile.wanted import with_metadata
    from rowferry.declare.catalog import table_named

    head = fp.read(HEAD_BYTES)
    fp.seek(0)
    refuse_other_kinds(head, unpacked=unpacked)
    wanted = with_metadata(table_named(table).csv, metadata)
    if encoding := utf16_of(head) or (head.startswith(MARK) and "utf-8"):
        wanted = replace(wanted, encoding=encoding)
    if is_utf8(wanted.encoding) and is_as_rfc_4180(wanted):
        yield fp, wanted
        return
    blocks: Iterator[bytes]
    texts = decoded(iter(lambda: fp.read(BLOCK_BYTES), b""), wanted.encoding)
    if is_as_rfc_4180(wanted):
        blocks = (text.encode() for text in texts)
    elif wanted.delimiter:
        blocks = requoted(texts, wanted, wanted.delimiter)
    else:
        raise CommandError("a file with its own quote or escape character needs --delimiter too", 2)
    with tempfile.TemporaryFile() as copy:
        for block in blocks:
            copy.write(block)
        copy.seek(0)
        yield cast(BinaryIO, copy), wanted
