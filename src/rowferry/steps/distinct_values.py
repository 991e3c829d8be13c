"""The distinct ones of any number of values, in temporary files: each value goes to a file by its hash."""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

FILES = 128
_IN_MEMORY = 200_000


class DistinctValues:
    """Values without line feeds. In memory are at most 200,000 of them, and later those of one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._values = set[bytes]()
        self._is_on_disk = False

    def add(self, values: Iterable[bytes]) -> None:
        self._values.update(values)
        if len(self._values) > _IN_MEMORY:
            self._write()

    def portions(self) -> Iterator[list[bytes]]:
        """Each value once, in order within each list."""
        if not self._is_on_disk:
            yield sorted(self._values)
            return
        self._write()
        for number in range(FILES):
            path = self._path(number)
            with path.open("rb") as fp:
                yield sorted({line[:-1] for line in fp})

    def _write(self) -> None:
        files: list[list[bytes]] = [[] for _ in range(FILES)]
        for value in self._values:
            files[zlib.crc32(value) % FILES].append(value)
        self._values.clear()
        self._is_on_disk = True
        self._folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            for number, values in enumerate(files):
                fp = stack.enter_context(self._path(number).open("ab"))
                fp.writelines(value + b"\n" for value in values)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:03}"
