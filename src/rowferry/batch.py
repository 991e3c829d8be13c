"""The step Validate: one batch through the validator. Pure: the same bytes in give the same files out."""

from collections.abc import Sequence

from rowferry.errors import ValidatorUnavailable
from rowferry.files import RunFiles, Stats
from rowferry.parse import Dialect
from rowferry.split import Batch
from rowferry.tables import Table
from rowferry.validate import Reject
from rowferry.validator import Judge


def validate_batch(files: RunFiles, validator: Judge, table: Table, dialect: Dialect, batch: Batch) -> Stats:
    """Writes the batch's valid rows, rejects, sorted keys and distinct references; answers its figures.

    Raises: ValidatorUnavailable, StorageUnavailable: the batch as a whole can be tried again.
    """
    rejects, text = _judge_chunks(files, validator, table, dialect, batch)
    columns = columns_of(text, table)
    keys = list(map(int, columns[table.key]))
    in_order = sorted(keys)
    if in_order != keys:
        text = _by_key(text, keys)
    stats = Stats(
        read=batch.records,
        valid=len(keys),
        rejected=len(rejects),
        low=in_order[0] if keys else None,
        high=in_order[-1] if keys else None,
        repeats=len(set(keys)) < len(keys),
        references={column.name: sorted(map(int, set(columns[column.name]))) for column in table.references},
    )
    if keys:
        files.bucket.write(files.rows_key(batch.batch), text)
        files.write_keys(batch.batch, in_order)
    if rejects:
        files.write_rejects(files.rejects_key(batch.batch), rejects)
    files.write_stats(batch.batch, stats)
    return stats


def _judge_chunks(
    files: RunFiles, validator: Judge, table: Table, dialect: Dialect, batch: Batch
) -> tuple[list[Reject], bytes]:
    text = memoryview(files.bucket.read_range(files.input, batch.start, batch.end))
    rejects, rows = list[Reject](), list[bytes]()
    for chunk in batch.chunks:
        given = bytes(text[chunk.start - batch.start : chunk.end - batch.start])
        judged = validator.judge(table.name, given, dialect, chunk.line)
        if judged.read != chunk.records:
            words = f"the validator API saw {judged.read} records where Plan counted {chunk.records}"
            raise ValidatorUnavailable(f"{words}, from line {chunk.line}")
        rejects += judged.rejects
        rows.append(judged.rows)
    return rejects, b"".join(rows)


def columns_of(text: bytes, table: Table) -> dict[str, list[bytes]]:
    """Rows in normal form by column; the line number stands before the columns."""
    fields = text.replace(b"\n", b"\t").split(b"\t")[:-1]
    width = len(table.names) + 1
    return {name: fields[place::width] for place, name in enumerate(table.names, 1)}


def _by_key(text: bytes, keys: Sequence[int]) -> bytes:
    """The rows in the order of their keys; of the same key, in the order of their lines."""
    rows = text.split(b"\n")[:-1]
    return b"".join(rows[place] + b"\n" for place in sorted(range(len(rows)), key=keys.__getitem__))
