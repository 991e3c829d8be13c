"""Rejects that only the whole file or the table shows, and the records that they are made of."""

from collections.abc import Iterator, Mapping

from rowferry.files import RunFiles
from rowferry.parse import Dialect, records
from rowferry.split import Batch
from rowferry.tables import Table
from rowferry.validate import Reject, arrangement

Fields = tuple[str, ...]


def no_parent(table: Table, line: int, lost: Mapping[str, int], fields: Fields) -> Reject:
    """A row whose parents are not there; `lost`: by the reference's column, the value."""
    parents = {column.name: column.parent for column in table.references}
    words = "; ".join(f"{name} {value} is not in {parents[name]}" for name, value in lost.items())
    return Reject(line, ("no_parent",) * len(lost), f"line {line}: {words}", fields)


def duplicate_in_file(table: Table, line: int, key: int, winner: int, fields: Fields) -> Reject:
    """A row whose key stands in the file again, on the line that wins."""
    words = f"{table.key} {key} stands in the file again on line {winner}, which was taken instead"
    return Reject(line, ("duplicate_in_file",), f"line {line}: {words}", fields)


def key_exists(table: Table, line: int, key: int, fields: Fields) -> Reject:
    """A row whose key is in the table with other values, where such rows are not taken."""
    words = f"{table.key} {key} is already in {table.name} with other values"
    return Reject(line, ("key_exists",), f"line {line}: {words}", fields)


def given_records(
    files: RunFiles, dialect: Dialect, batch: Batch, table: Table
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """A batch's records as they were uploaded: line, and the table's own columns in the table's order."""
    arrange = arrangement(table, dialect)
    width = len(dialect.columns or table.columns)
    for chunk in batch.chunks:
        text = files.bucket.read_range(files.input, chunk.start, chunk.end).decode()
        whole = records(text, dialect.delimiter, chunk.line)
        yield from (
            (record.line, arrange(record.fields)) for record in whole if record.fields and len(record.fields) == width
        )
