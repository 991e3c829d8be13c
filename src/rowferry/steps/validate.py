"""The step Validate: one batch through the validator.

What was written first for a batch holds for good: a later attempt, perhaps of another release with other rules, writes
files that nobody reads.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.split import Batch
from rowferry.declare.catalog import table_named
from rowferry.declare.definition import TableDefinition
from rowferry.errors import NotFound, ValidatorUnavailable
from rowferry.ledger import Run
from rowferry.steps.normal_rows import RowReader
from rowferry.steps.work_files import RunFiles, Stats, new_attempt
from rowferry.validate.client import Judge
from rowferry.validate.verdict import Reject


def validate_batch(files: RunFiles, validator: Judge, run: Run, batch: Batch) -> Stats:
    """Writes the batch's valid rows, rejects, sorted keys and distinct references; answers the figures that hold.

    After the run's verdict nothing is validated any more.

    Raises: ValidatorUnavailable, StorageUnavailable: the batch as a whole can be tried again. DeclarationChanged.
    """
    if run.dialect is None:
        raise NotFound(f"run {run.id} has no plan")
    table = table_named(run.table)
    if run.verdict:
        return files.stats(batch.batch, table)
    rejects, text, counts = _judge_chunks(files, validator, table, run.dialect, batch)
    stats = replace(_write(files, table, batch, rejects, text), counts=counts)
    return stats if files.keep_stats(batch.batch, stats) else files.stats(batch.batch, table)


def _write(files: RunFiles, table: TableDefinition, batch: Batch, rejects: Sequence[Reject], text: bytes) -> Stats:
    reader = RowReader(table)
    columns = reader.columns(text)
    keys = reader.encoded_keys(columns)
    in_order = sorted(keys)
    attempt = new_attempt()
    if columns[0]:
        files.bucket.write(files.rows_key(batch.batch, attempt), text if in_order == keys else _by_key(text, keys))
        files.write_references(batch.batch, attempt, reader.distinct_references(columns))
    if keys:
        files.bucket.write(files.keys_key(batch.batch, attempt), reader.key_records(columns[0], keys))
    if rejects:
        files.write_rejects(files.rejects_key(batch.batch, attempt), rejects)
    return Stats(
        read=batch.records,
        valid=len(columns[0]),
        rejected=len(rejects),
        low=in_order[0].hex() if keys else None,
        high=in_order[-1].hex() if keys else None,
        repeats=len(set(keys)) < len(keys),
        attempt=attempt,
        declared=table.declaration,
    )


def _judge_chunks(
    files: RunFiles, validator: Judge, table: TableDefinition, dialect: Dialect, batch: Batch
) -> tuple[list[Reject], bytes, Mapping[str, int]]:
    text = memoryview(files.bucket.read_range(files.input, batch.start, batch.end))
    rejects, rows, counts = list[Reject](), list[bytes](), Counter[str]()
    for chunk in batch.chunks:
        given = bytes(text[chunk.start - batch.start : chunk.end - batch.start])
        judged = validator.judge(table.name, given, dialect, chunk.line)
        if judged.read != chunk.records:
            words = f"the validator API saw {judged.read} records where Plan counted {chunk.records}"
            raise ValidatorUnavailable(f"{words}, from line {chunk.line}")
        rejects += judged.rejects
        rows.append(judged.rows)
        counts.update(judged.counts)
    return rejects, b"".join(rows), dict(counts)


def _by_key(text: bytes, keys: Sequence[bytes]) -> bytes:
    """The rows in the order of their keys; of the same key, in the order of their lines."""
    rows = text.split(b"\n")[:-1]
    return b"".join(rows[place] + b"\n" for place in sorted(range(len(rows)), key=keys.__getitem__))
