"""The careful way of Load: a batch that is merged into its table by way of a staging table.

Parents are locked, existing rows locked and compared byte for byte, each row written by its class. MySQL checks each
row; one that a constraint of the table does not allow becomes a reject that names the constraint.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rowferry.config import OnConflict
from rowferry.csvfile.records import Dialect
from rowferry.csvfile.split import Batch
from rowferry.declare import constraints
from rowferry.declare.catalog import TABLES, table_named
from rowferry.declare.ddl import fields_loaded
from rowferry.declare.information_schema import UniqueIndex
from rowferry.declare.table import Table
from rowferry.errors import BooksDoNotBalance, Contention
from rowferry.ledger import Run
from rowferry.steps.work_files import RunFiles, given_records
from rowferry.storage import mysql
from rowferry.storage.mysql import BreaksConstraint, Connection
from rowferry.validate.rejects import breaks, key_exists, no_parent, not_unique
from rowferry.validate.verdict import Fault, Reject, rejected


@dataclass(frozen=True)
class Loaded:
    """What became of the rows that were sent."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects_key: str | None = None


def stage(conn: Connection, table: Table, path: str, count: int) -> None:
    """The batch's rows in temporary tables of this session, which neither commit nor lock anything."""
    columns = ", ".join(f"`{column.name}` {column.kind.ddl} NOT NULL" for column in table.columns)
    mysql.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_stage")
    mysql.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_class")
    mysql.run(
        conn,
        f"CREATE TEMPORARY TABLE rowferry_stage (_line BIGINT UNSIGNED NOT NULL, {columns},"
        f" PRIMARY KEY (`{table.key}`)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
    )
    mysql.run(
        conn,
        "CREATE TEMPORARY TABLE rowferry_class (k BIGINT NOT NULL PRIMARY KEY,"
        " class CHAR(9) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB",
    )
    names, computed = fields_loaded(table)
    if count and mysql.load_local(conn, path, "rowferry_stage", ("_line", *names), computed) != (count, 0):
        raise BooksDoNotBalance(f"not all of {count} rows went into the staging table of {table.name}")


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
        faults = {line: no_parent(self._table, lost) for line, lost in orphans.items()}
        if self._policy == "reject" and differs:
            faults |= {line: [key_exists(self._table, key)] for line, key in self._keys("differs").items()}
        inserted, not_inserted = self._written("new", self._insert) if new else (0, {})
        writes_differing = self._policy == "update" and differs
        updated, not_updated = self._written("differs", self._update) if writes_differing else (0, {})
        if inserted + len(not_inserted) != new or (writes_differing and updated + len(not_updated) != differs):
            raise Contention(f"{self._table.name}: rows changed while they were locked")
        faults |= not_inserted | not_updated
        unchanged = counts.get("same", 0) + (differs if self._policy == "skip" else 0)
        return Loaded(inserted, updated, unchanged, len(faults), self._rejects_written(faults))

    def _orphans(self) -> dict[int, dict[str, int]]:
        """By line, the references whose parent went away since Reconcile. Locks the parents that are there."""
        found: dict[int, dict[str, int]] = {}
        for column in self._table.references:
            parent = TABLES[str(column.parent)]
            mysql.rows(
                self._conn,
                f"SELECT `{parent.key}` FROM `{parent.name}` WHERE `{parent.key}` IN"
                f" (SELECT `{column.name}` FROM rowferry_stage) ORDER BY `{parent.key}` FOR SHARE",
            )
            lost = mysql.rows(
                self._conn,
                f"SELECT s._line AS line, s.`{column.name}` AS value FROM rowferry_stage s LEFT JOIN `{parent.name}` p"
                f" ON p.`{parent.key}` = s.`{column.name}` WHERE p.`{parent.key}` IS NULL",
            )
            for row in lost:
                found.setdefault(row["line"], {})[column.name] = row["value"]
        return found

    def _unstage(self, lines: Sequence[int]) -> None:
        for begin in range(0, len(lines), 1_000):
            part = lines[begin : begin + 1_000]
            marks = ", ".join(["%s"] * len(part))
            mysql.run(self._conn, f"DELETE FROM rowferry_stage WHERE _line IN ({marks})", part)

    def _classify(self) -> dict[str, int]:
        """Each staged row is `new`, byte for byte the `same` as the row that is there, or `differs`. Locks those."""
        key = self._table.key
        same = " AND ".join(
            f"CAST(t.`{name}` AS BINARY) = CAST(s.`{name}` AS BINARY)" for name in self._table.names if name != key
        )
        mysql.run(self._conn, "DELETE FROM rowferry_class")
        mysql.run(
            self._conn,
            f"INSERT INTO rowferry_class SELECT s.`{key}`,"
            f" IF(t.`{key}` IS NULL, 'new', IF({same or 'TRUE'}, 'same', 'differs')) FROM rowferry_stage s"
            f" LEFT JOIN `{self._table.name}` t ON t.`{key}` = s.`{key}` ORDER BY s.`{key}` FOR UPDATE",
        )
        found = mysql.rows(self._conn, "SELECT class, COUNT(*) AS n FROM rowferry_class GROUP BY class")
        return {str(row["class"]): int(row["n"]) for row in found}

    def _keys(self, kind: str) -> dict[int, int]:
        """By line, the keys of one class."""
        found = mysql.rows(
            self._conn,
            f"SELECT s._line AS line, c.k FROM rowferry_class c JOIN rowferry_stage s ON s.`{self._table.key}` = c.k"
            " WHERE c.class = %s ORDER BY s._line",
            (kind,),
        )
        return {row["line"]: row["k"] for row in found}

    def _written(self, kind: str, write: "_Write") -> tuple[int, dict[int, Sequence[Fault]]]:
        """How many rows of a class were written, and what is wrong with those that MySQL does not allow.

        Where it allows not all at once, it is asked row by row.
        """
        try:
            return write(None), {}
        except BreaksConstraint as error:
            _raise_if_inserted_meanwhile(error)
        written, faults = 0, dict[int, Sequence[Fault]]()
        for line, key in self._keys(kind).items():
            try:
                written += write(key)
            except BreaksConstraint as error:
                _raise_if_inserted_meanwhile(error)
                faults[line] = [self._fault(error, key)]
        return written, faults

    def _fault(self, error: BreaksConstraint, key: int) -> Fault:
        if error.code != "not_unique":
            return breaks(error.code, error.constraint)
        name = self._table.name
        other = self._other(error.constraint, key)
        return not_unique(error.constraint, f"another row of {name}" if other is None else f"{other} in {name}")

    def _other(self, index: str, key: int) -> str | None:
        """The row of the table that has the values of a staged row in a unique index, where it is easily found."""
        found = self._unique.get(index)
        own = self._table.key
        row = mysql.row(self._conn, f"SELECT * FROM rowferry_stage WHERE `{own}` = %s", (key,))
        if found is None or row is None:
            return None
        sql, values = constraints.alike(found, row)
        other = mysql.row(self._conn, f"SELECT `{own}` AS k FROM `{self._table.name}` WHERE {sql} LIMIT 1", values)
        return f"{own} {other['k']}" if other else None

    @cached_property
    def _unique(self) -> Mapping[str, UniqueIndex]:
        return {index.name: index for index in constraints.read(self._conn, self._table).unique}

    def _insert(self, key: int | None) -> int:
        names = ", ".join(f"`{name}`" for name in self._table.names)
        return mysql.run(
            self._conn,
            f"INSERT INTO `{self._table.name}` ({names}) SELECT {names} FROM rowferry_stage s"
            f" JOIN rowferry_class c ON c.k = s.`{self._table.key}` WHERE c.class = 'new'{_one(key)} ORDER BY c.k",
        )

    def _update(self, key: int | None) -> int:
        own = self._table.key
        others = ", ".join(f"t.`{name}` = s.`{name}`" for name in self._table.names if name != own)
        return mysql.run(
            self._conn,
            f"UPDATE `{self._table.name}` t JOIN rowferry_stage s ON s.`{own}` = t.`{own}`"
            f" JOIN rowferry_class c ON c.k = s.`{own}` SET {others} WHERE c.class = 'differs'{_one(key)}",
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
"""Writes the rows of a class, or only the one of a key; answers how many."""


def _one(key: int | None) -> str:
    return "" if key is None else f" AND c.k = {key:d}"


def _raise_if_inserted_meanwhile(error: BreaksConstraint) -> None:
    """A key that was not there when its row was classified: with another try the row is seen."""
    if error.is_key:
        raise Contention("somebody else inserted a key of the batch meanwhile") from error
