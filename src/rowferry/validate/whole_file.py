"""The verdict on a whole file, chunk by chunk, by the rules that Plan and Validate use."""

from collections.abc import Iterator
from typing import BinaryIO

from rowferry.csvfile.split import split
from rowferry.declare.catalog import table_named
from rowferry.declare.csv_format import CsvFormat
from rowferry.validate.verdict import Validated, validate


def validate_file(table: str, fp: BinaryIO, wanted: CsvFormat | None = None) -> Iterator[Validated]:
    """Reads the file twice, in bounded memory: once as Plan does, then each chunk. `wanted`: its format.

    Raises: Refused, where the file can never load; UnknownTable.
    """
    found = table_named(table)
    layout = split(fp, found, batch_chunks=1, wanted=wanted)
    for batch in layout.batches:
        for chunk in batch.chunks:
            fp.seek(chunk.start)
            text = fp.read(chunk.end - chunk.start).decode()
            yield validate(found, text, layout.dialect, chunk.line)
