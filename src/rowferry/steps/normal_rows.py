"""Rows in normal form, read: a line number and the columns that files have, tabs between."""

from collections.abc import Iterable, Sequence

from rowferry.declare import key
from rowferry.declare.definition import TableDefinition

LINE_BYTES = 8


class RowReader:
    """Finds a row's line, key and references in its fields."""

    def __init__(self, table: TableDefinition) -> None:
        names = [column.name for column in table.file_columns]
        self.width = len(names) + 1
        self.key_columns = [] if table.generated else [table.column(name) for name in table.key]
        self.reference_places = [[names.index(name) + 1 for name in found.columns] for found in table.references]
        self._key_places = [names.index(column.name) + 1 for column in self.key_columns]
        self.is_short = bool(self.key_columns) and key.has_short_keys(self.key_columns)
        self._encode = key.encoder(self.key_columns) if self.key_columns else None

    def fields(self, row: bytes) -> list[bytes]:
        return row.rstrip(b"\n").split(b"\t")

    def key(self, fields: Sequence[bytes]) -> tuple[bytes, ...]:
        """The key's fields; empty where MySQL makes the key."""
        return tuple(fields[place] for place in self._key_places)

    def encoded_keys(self, columns: Sequence[Sequence[bytes]]) -> list[bytes]:
        """The keys of rows whose fields are given column by column, the lines first."""
        if self._encode is None:
            return []
        return list(map(self._encode, zip(*(columns[place] for place in self._key_places), strict=True)))

    def reference(self, number: int, fields: Sequence[bytes]) -> bytes | None:
        """What a row refers to by one of its table's references: its fields with tabs between; None for nothing."""
        found = [fields[place] for place in self.reference_places[number]]
        return None if key.NULL in found else b"\t".join(found)

    def columns(self, text: bytes) -> list[list[bytes]]:
        """All rows of a text by column, the lines first."""
        fields = text.replace(b"\n", b"\t").split(b"\t")[:-1]
        return [fields[place :: self.width] for place in range(self.width)]

    def distinct_references(self, columns: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
        """By reference, what rows refer to, each once and in order."""
        return [self._distinct([columns[place] for place in places]) for places in self.reference_places]

    def _distinct(self, columns: Sequence[Sequence[bytes]]) -> list[bytes]:
        if len(columns) == 1:
            return sorted(set(columns[0]) - {key.NULL})
        return sorted(b"\t".join(found) for found in set(zip(*columns, strict=True)) if key.NULL not in found)

    def key_records(self, lines: Iterable[bytes], encoded: Iterable[bytes]) -> bytes:
        """For `SortedRuns`: of each row its key's token and its line, sorted."""
        short = self.is_short
        return b"".join(
            sorted(
                key.token(found, short) + int(line).to_bytes(LINE_BYTES)
                for line, found in zip(lines, encoded, strict=True)
            )
        )

    @property
    def record_bytes(self) -> int:
        return key.token_bytes(self.key_columns) + LINE_BYTES
