"""A run's rejected rows, as its reject files in the bucket hold them."""

import codecs
import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.history import Run
from cli.output import CommandError
from cli.stack import Stack, words

FIRST = 5


def read_bytes(stack: Stack, key: str) -> Iterator[bytes]:
    """An object in blocks. Raises: CommandError."""
    try:
        yield from stack.s3.get_object(Bucket=stack.bucket, Key=key)["Body"].iter_chunks(256 * 1024)
    except (ClientError, BotoCoreError) as error:
        raise CommandError(f"s3://{stack.bucket}/{key}: {words(error)}") from error


def read_csv(stack: Stack, key: str) -> Iterator[dict[str, str]]:
    """The rows of a reject file."""
    lines = _lines(read_bytes(stack, key))
    csv.field_size_limit(2**31 - 1)
    yield from csv.DictReader(lines)


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    """Lines with their ends; a line feed is the only end, as a field may hold a lone carriage return.

    The byte order mark with which a reject file begins, for spreadsheets, is left out.
    """
    first, rest = next(blocks, b"").removeprefix(codecs.BOM_UTF8), b""
    for block in chain([first], blocks):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.decode() + "\n" for line in whole)
    if rest:
        yield rest.decode()


def of_run(stack: Stack, run: Run) -> Iterator[dict[str, Any]]:
    """Rejects and duplicates, each with its line, codes, message and fields."""
    for key in filter(None, (run.rejects_key, run.duplicates_key)):
        for row in read_csv(stack, key):
            yield {
                "line": int(row["_line"]),
                "codes": row["_codes"].split(";"),
                "message": row["_message"],
                "fields": {name: value for name, value in row.items() if name and not name.startswith("_")},
                "raw": row["_raw"] or None,
            }


def first_messages(rows: Iterator[dict[str, str]]) -> Iterator[str]:
    for row, _ in zip(rows, range(FIRST), strict=False):
        yield row["_message"]
