"""The step Validate: one batch through the validator API. Pure: the same bytes in give the same files out."""

from collections.abc import Sequence
from itertools import pairwise

from rowferry.errors import ValidatorUnavailable
from rowferry.files import RunFiles, Stats
from rowferry.parse import Dialect
from rowferry.split import Batch
from rowferry.tables import Table
from rowferry.validate import Reject
from rowferry.validator import Validator


def validate_batch(files: RunFiles, validator: Validator, table: Table, dialect: Dialect, batch: Batch) -> Stats:
    """Writes the batch's valid rows, rejects, sorted keys and distinct references; answers its figures.

    Raises: ValidatorUnavailable, StorageUnavailable: the batch as a whole can be tried again.
    """
    rejects, rows = _judge_chunks(files, validator, table, dialect, batch)
    keys = _column(rows, table.key_index)
    if any(before > after for before, after in pairwise(keys)):
        rows = [row for _, row in sorted(zip(keys, rows, strict=True), key=lambda pair: pair[0])]
        keys.sort()
    places = {column.name: table.names.index(column.name) for column in table.references}
    references = {name: sorted(set(_column(rows, place))) for name, place in places.items()}
    stats = Stats(
        read=batch.records,
        valid=len(rows),
        rejected=len(rejects),
        low=keys[0] if keys else None,
        high=keys[-1] if keys else None,
        repeats=any(before == after for before, after in pairwise(keys)),
        references=references,
    )
    if rows:
        files.bucket.write(files.rows_key(batch.batch), b"\n".join(rows) + b"\n")
        files.write_keys(batch.batch, keys)
    if rejects:
        files.write_rejects(files.rejects_key(batch.batch), rejects)
    files.write_stats(batch.batch, stats)
    return stats


def _judge_chunks(
    files: RunFiles, validator: Validator, table: Table, dialect: Dialect, batch: Batch
) -> tuple[list[Reject], list[bytes]]:
    text = memoryview(files.bucket.read_range(files.input, batch.start, batch.end))
    rejects, rows = list[Reject](), list[bytes]()
    for chunk in batch.chunks:
        given = bytes(text[chunk.start - batch.start : chunk.end - batch.start])
        judged = validator.judge(table.name, given, dialect, chunk.line)
        if judged.read != chunk.records:
            words = f"the validator API saw {judged.read} records where Plan counted {chunk.records}"
            raise ValidatorUnavailable(f"{words}, from line {chunk.line}")
        rejects += judged.rejects
        rows += judged.rows.split(b"\n")[:-1]
    return rejects, rows


def _column(rows: Sequence[bytes], place: int) -> list[int]:
    """An integer column of rows in normal form; the line number stands before the columns."""
    return [int(row.split(b"\t", place + 2)[place + 1]) for row in rows]
