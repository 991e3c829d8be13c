"""Records of one length, in sorted runs in a temporary file, merged part by part: an external sort.

In memory are a part of about half a million records and a few samples of each run.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

PART_RECORDS = 500_000
_SAMPLES = 32
"""Of each run; with them the records are cut into parts of about the same size."""


class SortedRuns:
    """`width`: the bytes of a record. Runs are added, and then all records are read in order."""

    def __init__(self, path: Path, width: int) -> None:
        self._path = path
        self._width = width
        self._lengths: list[int] = []
        self._samples: list[bytes] = []
        path.write_bytes(b"")

    def add(self, run: bytes) -> None:
        """Records in order, one directly after the other."""
        with self._path.open("ab") as fp:
            fp.write(run)
        count = len(run) // self._width
        self._lengths.append(count)
        step = max(1, count // _SAMPLES)
        self._samples += [run[place : place + self._width] for place in range(0, len(run), step * self._width)]

    @property
    def count(self) -> int:
        return sum(self._lengths)

    def parts(self, descending: bool = False) -> Iterator[list[bytes]]:
        """All records in lists, each in order, the lists in order too."""
        if not self.count:
            return
        with self._path.open("rb") as fp:
            runs = self._runs(fp.fileno())
            bounds = self._bounds()
            pairs = list(zip([None, *bounds], [*bounds, None], strict=True))
            for low, high in reversed(pairs) if descending else pairs:
                records = [record for run in runs for record in run.between(low, high)]
                records.sort(reverse=descending)
                yield records

    def _runs(self, file: int) -> Sequence["_Run"]:
        runs, begin = list[_Run](), 0
        for length in self._lengths:
            runs.append(_Run(file, begin, length, self._width))
            begin += length * self._width
        return runs

    def _bounds(self) -> list[bytes]:
        """Where one part ends and the next begins."""
        parts = -(-self.count // PART_RECORDS)
        samples = sorted(self._samples)
        return sorted({samples[len(samples) * part // parts] for part in range(1, parts)})


class _Run:
    """One sorted run within the file."""

    def __init__(self, file: int, begin: int, length: int, width: int) -> None:
        self._file = file
        self._begin = begin
        self._length = length
        self._width = width

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> bytes:
        return os.pread(self._file, self._width, self._begin + place * self._width)

    def between(self, low: bytes | None, high: bytes | None) -> Iterator[bytes]:
        """The records from `low` on and below `high`."""
        first = 0 if low is None else bisect_left(self, low)
        end = self._length if high is None else bisect_left(self, high)
        width = self._width
        text = os.pread(self._file, (end - first) * width, self._begin + first * width)
        return (text[place : place + width] for place in range(0, len(text), width))
