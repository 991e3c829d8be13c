"""The careful way of Load: a batch that is merged into its table by way of a staging table.

Parents are locked, existing rows locked and compared byte for byte, each row written by its class. MySQL checks each
row; one that a constraint of the table does not allow becomes a reject that names the constraint.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rowferry.config import OnConflict
from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.split import Batch
from rowferry.declare import constraints
from rowferry.declare.catalog import table_named
from rowferry.declare.ddl import fields_loaded
from rowferry.declare.definition import Column, TableDefinition
from rowferry.declare.information_schema import UniqueIndex
from rowferry.declare.key_sql import column_type, columns_sql, key_words_sql, same_key
from rowferry.errors import BooksDoNotBalance, Contention
from rowferry.ledger import Run
from rowferry.steps.work_files import RunFiles, given_records
from rowferry.storage import mysql
from rowferry.storage.mysql import BreaksConstraint, Connection, Row
from rowferry.validate.reading import Fault
from rowferry.validate.rejects import breaks, key_exists, no_parent, not_unique
from rowferry.validate.verdict import Reject, rejected


@dataclass(frozen=True)
class Loaded:
    """What became of the rows that were sent."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects_key: str | None = None


def stage(conn: Connection, table: TableDefinition, path: str, count: int) -> None:
    """The batch's rows in temporary tables of this session, which neither commit nor lock anything."""
    columns = ", ".join(_stage_column(table, column) for column in table.file_columns)
    own = "" if table.generated else f", UNIQUE KEY ({columns_sql(table.key)})"
    mysql.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_stage")
    mysql.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_class")
    mysql.run(
        conn,
        f"CREATE TEMPORARY TABLE rowferry_stage (rowferry_line BIGINT UNSIGNED NOT NULL PRIMARY KEY, {columns}{own})"
        " ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
    )
    mysql.run(
        conn,
        "CREATE TEMPORARY TABLE rowferry_class (rowferry_line BIGINT UNSIGNED NOT NULL PRIMARY KEY,"
        " class CHAR(9) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB",
    )
    names, computed = fields_loaded(table)
    if count and mysql.load_local(conn, path, "rowferry_stage", ("rowferry_line", *names), computed) != (count, 0):
        raise BooksDoNotBalance(f"not all of {count} rows went into the staging table of {table.name}")


def _stage_column(table: TableDefinition, column: Column) -> str:
    return f"`{column.name}` {column_type(table, column)} {'NULL' if column.nullable else 'NOT NULL'}"


class MergeLoad:
    """A staged batch into its table, within the batch's transaction."""

    def __init__(self, conn: Connection, files: RunFiles, run: Run, batch: Batch) -> None:
        self._conn = conn
        self._files = files
        self._run = run
        self._batch = batch
        self._table = table_named(run.table)
        self._policy: OnConflict = run.options.on_conflict

    def load(self) -> Loaded:
        orphans = self._orphans()
        self._unstage(list(orphans))
        counts = self._classify()
        new, differs = counts.get("new", 0), counts.get("differs", 0)
        faults = dict[int, Sequence[Fault]](orphans)
        if self._policy == "reject" and differs:
            keys = self._keys("differs")
            faults |= {line: [key_exists(self._table, keys[line])] for line in keys}
        inserted, not_inserted = self._written("new", self._insert) if new else (0, {})
        writes_differing = self._policy == "update" and differs
        updated, not_updated = self._written("differs", self._update) if writes_differing else (0, {})
        if inserted + len(not_inserted) != new or (writes_differing and updated + len(not_updated) != differs):
            raise Contention(f"{self._table.name}: rows changed while they were locked")
        faults |= not_inserted | not_updated
        unchanged = counts.get("same", 0) + (differs if self._policy == "skip" else 0)
        return Loaded(inserted, updated, unchanged, len(faults), self._rejects_written(faults))

    def _orphans(self) -> dict[int, list[Fault]]:
        """By line, what is wrong with rows whose parent went away since Reconcile. Locks the parents that are there."""
        found: dict[int, list[Fault]] = {}
        for reference in self._table.references:
            values = columns_sql(reference.columns, "s")
            parents = columns_sql(reference.parent_columns, "p")
            own = columns_sql(reference.columns)
            given = " AND ".join(f"`{name}` IS NOT NULL" for name in reference.columns)
            same = " AND ".join(
                f"p.`{parent}` = s.`{name}`"
                for name, parent in zip(reference.columns, reference.parent_columns, strict=True)
            )
            mysql.rows(
                self._conn,
                f"SELECT 1 FROM (SELECT DISTINCT {own} FROM rowferry_stage WHERE {given}) s"
                f" STRAIGHT_JOIN `{reference.parent}` p ON {same} ORDER BY {parents} FOR SHARE OF p",
            )
            lost = mysql.rows(
                self._conn,
                f"SELECT s.rowferry_line AS rowferry_line, {values} FROM (SELECT * FROM rowferry_stage WHERE {given}) s"
                f" LEFT JOIN `{reference.parent}` p ON {same} WHERE p.`{reference.parent_columns[0]}` IS NULL",
            )
            for row in lost:
                fault = no_parent(self._table, reference, self._normal(reference.columns, row))
                found.setdefault(row["rowferry_line"], []).append(fault)
        return found

    def _normal(self, names: Sequence[str], row: Row) -> list[bytes]:
        return [self._table.column(name).kind.stored(row[name]).encode() for name in names]

    def _unstage(self, lines: Sequence[int]) -> None:
        for begin in range(0, len(lines), 1_000):
            part = lines[begin : begin + 1_000]
            marks = ", ".join(["%s"] * len(part))
            mysql.run(self._conn, f"DELETE FROM rowferry_stage WHERE rowferry_line IN ({marks})", part)

    def _classify(self) -> dict[str, int]:
        """Each staged row is `new`, byte for byte the `same` as the row that is there, or `differs`. Locks those."""
        mysql.run(self._conn, "DELETE FROM rowferry_class")
        if self._table.generated:
            mysql.run(self._conn, "INSERT INTO rowferry_class SELECT rowferry_line, 'new' FROM rowferry_stage")
        else:
            self._classify_by_key()
        found = mysql.rows(self._conn, "SELECT class, COUNT(*) AS n FROM rowferry_class GROUP BY class")
        return {str(row["class"]): int(row["n"]) for row in found}

    def _classify_by_key(self) -> None:
        same = " AND ".join(
            f"CAST(t.`{name}` AS BINARY) <=> CAST(s.`{name}` AS BINARY)"
            for name in self._table.names
            if name not in self._table.key
        )
        mysql.run(
            self._conn,
            f"INSERT INTO rowferry_class SELECT s.rowferry_line,"
            f" IF(t.`{self._table.key[0]}` IS NULL, 'new', IF({same or 'TRUE'}, 'same', 'differs'))"
            f" FROM rowferry_stage s LEFT JOIN `{self._table.name}` t ON {same_key(self._table, 't', 's')}"
            f" ORDER BY {columns_sql(self._table.key, 's')} FOR UPDATE",
        )

    def _keys(self, kind: str) -> dict[int, list[bytes]]:
        """By line, the keys of one class, in normal form; empty where MySQL makes the keys."""
        key = () if self._table.generated else self._table.key
        own = "".join(f", s.`{name}`" for name in key)
        found = mysql.rows(
            self._conn,
            f"SELECT s.rowferry_line AS rowferry_line{own} FROM rowferry_class c"
            " JOIN rowferry_stage s ON s.rowferry_line = c.rowferry_line WHERE c.class = %s ORDER BY s.rowferry_line",
            (kind,),
        )
        return {row["rowferry_line"]: self._normal(key, row) for row in found}

    def _written(self, kind: str, write: "_Write") -> tuple[int, dict[int, Sequence[Fault]]]:
        """How many rows of a class were written, and what is wrong with those that MySQL does not allow.

        Where it allows not all at once, it is asked row by row.
        """
        try:
            return write(None), {}
        except BreaksConstraint as error:
            _raise_if_inserted_meanwhile(error)
        written, faults = 0, dict[int, Sequence[Fault]]()
        for line in self._keys(kind):
            try:
                written += write(line)
            except BreaksConstraint as error:
                _raise_if_inserted_meanwhile(error)
                faults[line] = [self._fault(error, line)]
        return written, faults

    def _fault(self, error: BreaksConstraint, line: int) -> Fault:
        if error.code != "not_unique":
            return breaks(error.code, error.constraint)
        name = self._table.name
        other = self._other(error.constraint, line)
        return not_unique(error.constraint, f"another row of {name}" if other is None else f"{other} in {name}")

    def _other(self, index: str, line: int) -> str | None:
        """The key of the row that has a staged row's values in a unique index, where it is easily found."""
        found = self._unique.get(index)
        row = mysql.row(self._conn, "SELECT * FROM rowferry_stage WHERE rowferry_line = %s", (line,))
        if found is None or row is None:
            return None
        sql, values = constraints.alike(found, row)
        words = key_words_sql(self._table, "t")
        other = mysql.row(
            self._conn, f"SELECT {words} AS words FROM `{self._table.name}` t WHERE {sql} LIMIT 1", values
        )
        return str(other["words"]) if other else None

    @cached_property
    def _unique(self) -> Mapping[str, UniqueIndex]:
        return {index.name: index for index in constraints.read(self._conn, self._table).unique}

    def _insert(self, line: int | None) -> int:
        given = tuple(column.name for column in self._table.file_columns)
        order = "s.rowferry_line" if self._table.generated else columns_sql(self._table.key, "s")
        return mysql.run(
            self._conn,
            f"INSERT INTO `{self._table.name}` ({columns_sql(given)}) SELECT {columns_sql(given, 's')}"
            " FROM rowferry_stage s JOIN rowferry_class c ON c.rowferry_line = s.rowferry_line"
            f" WHERE c.class = 'new'{_one(line)} ORDER BY {order}",
        )

    def _update(self, line: int | None) -> int:
        others = ", ".join(f"t.`{name}` = s.`{name}`" for name in self._table.names if name not in self._table.key)
        return mysql.run(
            self._conn,
            f"UPDATE `{self._table.name}` t JOIN rowferry_stage s ON {same_key(self._table, 't', 's')}"
            " JOIN rowferry_class c ON c.rowferry_line = s.rowferry_line"
            f" SET {others} WHERE c.class = 'differs'{_one(line)}",
        )

    def _rejects_written(self, faults: Mapping[int, Sequence[Fault]]) -> str | None:
        """The rejects in an object of this attempt's own, written before the commit that names it."""
        if not faults:
            return None
        key = self._files.loaded_key(self._batch.batch)
        self._files.write_rejects(key, self._rejects(faults))
        return key

    def _rejects(self, faults: Mapping[int, Sequence[Fault]]) -> Iterator[Reject]:
        for line, fields in given_records(self._files, self._run.dialect or Dialect(), self._batch, self._table):
            if line in faults:
                yield rejected(line, faults[line], fields)


_Write = Callable[[int | None], int]
"""Writes the rows of a class, or only the one of a line; answers how many."""


def _one(line: int | None) -> str:
    return "" if line is None else f" AND c.rowferry_line = {line:d}"


def _raise_if_inserted_meanwhile(error: BreaksConstraint) -> None:
    """A key that was not there when its row was classified: with another try the row is seen."""
    if error.is_key:
        raise Contention("somebody else inserted a key of the batch meanwhile") from error
