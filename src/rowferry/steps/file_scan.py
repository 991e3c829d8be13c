"""A whole file as Validate left it: what refers to nothing, and which keys stand in it twice.

Memory is bounded whatever the file's size: keys are sorted in runs on disk, distinct parents and lines are on disk.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

from rowferry.csvfile.split import Batch
from rowferry.declare.catalog import TABLES
from rowferry.declare.definition import Reference, TableDefinition
from rowferry.steps.compare import stored_rows
from rowferry.steps.distinct_values import DistinctValues
from rowferry.steps.lines_on_disk import LinesOnDisk
from rowferry.steps.normal_rows import LINE_BYTES, RowReader
from rowferry.steps.sorted_runs import SortedRuns
from rowferry.steps.work_files import RunFiles, Stats
from rowferry.storage.mysql import Connection
from rowferry.validate.reading import Fault
from rowferry.validate.rejects import duplicate_in_file, no_parent

_SIDE_BY_SIDE = 8
_ASKED_AT_ONCE = 5_000

Given = TypeVar("Given")
Found = TypeVar("Found")


def side_by_side(fetch: Callable[[Given], Found], items: Iterable[Given]) -> Iterator[Found]:
    """What `fetch` answers for each, in order; eight are fetched at once, and not more are in memory."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        under_way = deque[Future[Found]]()
        for item in items:
            under_way.append(pool.submit(fetch, item))
            if len(under_way) == _SIDE_BY_SIDE:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


class FileScan:
    """All batches of a run, as Validate left them."""

    def __init__(self, files: RunFiles, table: TableDefinition, folder: Path) -> None:
        self.files = files
        self.table = table
        self.batches = list(files.batches())
        self.stats: Sequence[Stats] = list(side_by_side(lambda batch: files.stats(batch.batch, table), self.batches))
        self._reader = RowReader(table)
        self._folder = folder
        self._has_orphans = False
        self._on_disk = LinesOnDisk(folder / "lines.sqlite")
        self._values = [DistinctValues(folder / f"parents-{number}") for number in range(len(table.references))]
        self._read_references()

    def _read_references(self) -> None:
        if not self.table.references:
            return
        for found in side_by_side(self._references, self._with_rows()):
            for number, values in enumerate(found):
                self._values[number].add(values)

    def _references(self, batch: Batch) -> list[list[bytes]]:
        return self.files.references(batch.batch, self.stats[batch.batch], self.table)

    def _with_rows(self) -> Iterator[Batch]:
        return (batch for batch in self.batches if self.stats[batch.batch].valid)

    def close(self) -> None:
        self._on_disk.close()

    def lines(self, batch: Batch) -> Iterator[bytes]:
        """The batch's valid rows in normal form."""
        return self.files.rows(batch.batch, self.stats[batch.batch])

    # --- parents

    def find_missing_parents(self, conn: Connection, tick: Callable[[], None]) -> Sequence[Reference]:
        """Looks which parents MySQL does not have; answers the references that have such."""
        self._on_disk.clear_missing()
        for number, reference in enumerate(self.table.references):
            for portion in self._values[number].portions():
                tick()
                for begin in range(0, len(portion), _ASKED_AT_ONCE):
                    part = portion[begin : begin + _ASKED_AT_ONCE]
                    self._on_disk.add_missing(number, _missing(conn, reference, part))
        return [self.table.references[number] for number in self._on_disk.missing()]

    def _find_orphans(self) -> None:
        """Notes each row whose parent is missing."""
        affected = self._on_disk.missing()
        for batch in self._with_rows() if affected else ():
            references = self._references(batch)
            missing = {
                number: self._on_disk.missing_among(number, [value.decode() for value in references[number]])
                for number in affected
            }
            if any(missing.values()):
                self._on_disk.add_orphans(self._orphans(batch, missing))

    def _orphans(self, batch: Batch, missing: Mapping[int, set[str]]) -> Iterator[tuple[int, int, str]]:
        for row in self.lines(batch):
            fields = self._reader.fields(row)
            for number, values in missing.items():
                value = self._reader.reference(number, fields)
                if value is not None and (text := value.decode()) in values:
                    yield int(fields[0]), number, text

    # --- keys

    def find_faults(self, last_wins: bool, tick: Callable[[], None], keys_too: bool = True) -> None:
        """Notes rows whose parents are missing, and then, among the others, those whose key another line takes."""
        self._find_orphans()
        self._has_orphans = self._on_disk.has_orphans()
        for number, cluster in enumerate(self._overlapping() if keys_too else ()):
            self._on_disk.add_losers(self._losers(cluster, self._folder / f"keys-{number}", last_wins, tick))

    def _overlapping(self) -> Iterator[list[Batch]]:
        """Batches in groups: keys of different groups differ. A group in which no key can stand twice is left out."""
        ranges = sorted(
            (stats.low, stats.high, batch.batch)
            for batch, stats in zip(self.batches, self.stats, strict=True)
            if stats.low is not None and stats.high is not None
        )
        group, reach = list[Batch](), ""
        for low, high, number in ranges:
            if group and low > reach:
                yield from self._if_repeats(group)
                group = []
            group.append(self.batches[number])
            reach = max(reach, high)
        yield from self._if_repeats(group)

    def _if_repeats(self, group: list[Batch]) -> Iterator[list[Batch]]:
        if len(group) > 1 or any(self.stats[batch.batch].repeats for batch in group):
            yield group

    def _losers(
        self, group: Sequence[Batch], path: Path, last_wins: bool, tick: Callable[[], None]
    ) -> Iterator[tuple[int, int]]:
        """Lines that lose their key, with the line that takes it."""
        runs = SortedRuns(path, self._reader.record_bytes)
        for run in side_by_side(self._key_records, group):
            runs.add(run)
        winner: bytes | None = None
        for records in runs.parts(descending=last_wins):
            tick()
            for record in _repeated(records, winner):
                if winner is None or winner[:-LINE_BYTES] != record[:-LINE_BYTES] or self._is_orphan(winner):
                    winner = record
                elif not self._is_orphan(record):
                    yield _line(record), _line(winner)
        path.unlink()

    def _key_records(self, batch: Batch) -> bytes:
        return self.files.key_records(batch.batch, self.stats[batch.batch], self._reader)

    def orphan_lines(self) -> Iterator[int]:
        """The lines of rows whose parents are missing."""
        return self._on_disk.orphan_lines()

    def _is_orphan(self, record: bytes) -> bool:
        return self._has_orphans and self._on_disk.is_orphan(_line(record))

    # --- what was found

    def faults(self, batch: Batch) -> Mapping[int, Sequence[Fault]]:
        """By line, what is wrong with the batch's rows."""
        low, high = self.lines_of(batch)
        found = dict[int, list[Fault]]()
        for line, number, value in self._on_disk.orphans(low, high):
            fault = no_parent(self.table, self.table.references[number], value.encode().split(b"\t"))
            found.setdefault(line, []).append(fault)
        if losers := self._on_disk.losers(low, high):
            for row in self.lines(batch):
                line = int(row.partition(b"\t")[0])
                if line in losers:
                    key = self._reader.key(self._reader.fields(row))
                    found[line] = [duplicate_in_file(self.table, key, losers[line])]
        return found

    def lines_of(self, batch: Batch) -> tuple[int, int | None]:
        """The batch's first line, and the first line after it; None: there is none."""
        following = batch.batch + 1
        last = self.batches[following].chunks[0].line if following < len(self.batches) else None
        return batch.chunks[0].line, last


def _missing(conn: Connection, reference: Reference, values: Sequence[bytes]) -> Iterator[str]:
    """Which of these the parent table does not have."""
    for value, row in zip(values, parent_rows(conn, reference, values), strict=True):
        if not row:
            yield value.decode()


def parent_rows(conn: Connection, reference: Reference, values: Sequence[bytes], lock: str = "") -> list[bool]:
    """Of each value of a reference, fields with tabs between: whether the parent table has it."""
    parent = TABLES[reference.parent]
    places = [reference.parent_columns.index(name) for name in parent.key]
    wanted = [tuple(fields[place] for place in places) for fields in (value.split(b"\t") for value in values)]
    there = stored_rows(conn, parent, wanted, (), lock)
    return [key in there for key in wanted]


def _line(record: bytes) -> int:
    return int.from_bytes(record[-LINE_BYTES:])


def _repeated(records: Sequence[bytes], before: bytes | None) -> Iterator[bytes]:
    """The records whose key the neighbour has too, and the last one, whose neighbour may be in the next part."""
    keys = [record[:-LINE_BYTES] for record in records]
    if not keys:
        return
    previous = before[:-LINE_BYTES] if before else b""
    for place, (record, key, after) in enumerate(zip(records, keys, chain(keys[1:], [b""]), strict=True)):
        if key == after or key == (keys[place - 1] if place else previous):
            yield record
    if len(keys) == 1 or keys[-1] != keys[-2]:
        yield records[-1]


@contextmanager
def scanned(files: RunFiles, table: TableDefinition) -> Iterator[FileScan]:
    """A scan of a run, with a temporary folder as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="rowferry-") as folder:
        scan = FileScan(files, table, Path(folder))
        try:
            yield scan
        finally:
            scan.close()
