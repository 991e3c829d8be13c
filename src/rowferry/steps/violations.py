"""Rows of a whole file that break constraints of the database which the class does not know. MySQL itself compares.

The file's rows go into a temporary table with the types of the real one. What is found does not depend on batches: a
value that another row of the table has is taken, even where the same file would change that row.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rowferry.config import OnConflict
from rowferry.declare.constraints import Constraints
from rowferry.declare.definition import TableDefinition
from rowferry.declare.information_schema import ForeignKey, UniqueIndex, sql_name
from rowferry.declare.key_sql import key_words_sql, same_key
from rowferry.errors import BooksDoNotBalance
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.validate.reading import Fault
from rowferry.validate.rejects import breaks, duplicate_words, not_unique

_ROWS_AT_ONCE = 50_000
_AT_ONCE = 1_000
_LINES_AT_ONCE = 500_000


class Violations:
    """Rows that are not taken, in a temporary table: there may be as many as the file has."""

    def __init__(self, conn: Connection, tick: Callable[[], None]) -> None:
        """`tick`: called between statements, which are bounded."""
        self._conn = conn
        self._tick = tick
        mysql.run(conn, "DROP TEMPORARY TABLE IF EXISTS rowferry_faults")
        mysql.run(
            conn,
            "CREATE TEMPORARY TABLE rowferry_faults (line BIGINT UNSIGNED NOT NULL, code VARCHAR(32) NOT NULL,"
            " words TEXT NOT NULL, KEY (line)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
        )

    def between(self, low: int, high: int | None) -> Mapping[int, Sequence[Fault]]:
        """What is wrong with the rows of these lines, without the last; None: to the end."""
        found = dict[int, list[Fault]]()
        sql = "SELECT line, code, words FROM rowferry_faults WHERE line >= %s AND line < %s ORDER BY line, code"
        for row in mysql.rows(self._conn, sql, (low, high or 2**63)):
            found.setdefault(row["line"], []).append((row["code"], row["words"]))
        return found

    def add(self, faults: Iterable[tuple[int, Fault]]) -> None:
        rest = iter(faults)
        while part := [(line, *fault) for line, fault in islice(rest, _AT_ONCE)]:
            mysql.run_many(self._conn, "INSERT INTO rowferry_faults (line, code, words) VALUES (%s, %s, %s)", part)

    def add_found(self, fault: Fault, value: str, rest: str) -> None:
        """From a SELECT that goes on with `rest`; in the fault's words VALUE stands for what it finds as `value`."""
        code, words = fault
        before, _, after = words.partition(VALUE)
        last = mysql.row(self._conn, "SELECT MAX(rowferry_line) AS line FROM rowferry_file")
        for low in range(0, (last["line"] or 0) + 1 if last else 0, _LINES_AT_ONCE):
            self._tick()
            mysql.run(
                self._conn,
                f"INSERT INTO rowferry_faults SELECT s.rowferry_line, %s, CONCAT(%s, {value}, %s) FROM rowferry_file s"
                f" {rest}"
                " AND s.rowferry_line >= %s AND s.rowferry_line < %s",
                (code, before, after, low, low + _LINES_AT_ONCE),
            )


VALUE = "\0"


def find_violations(
    conn: Connection,
    table: TableDefinition,
    constraints: Constraints,
    rows: Iterable[bytes],
    orphans: Iterable[int],
    on_conflict: OnConflict,
    tick: Callable[[], None],
) -> Violations:
    """Also rows whose key stands in the file again. Only rows with nothing else wrong compete for a value.

    `rows`: in normal form; those of the lines `orphans` are left out. `tick`: called now and then.
    """
    stage = _Stage(conn, table, constraints)
    stage.fill(rows, tick)
    stage.remove(orphans)
    if on_conflict != "update" and not table.generated:
        stage.mark_existing()
    found = Violations(conn, tick)
    stage.find_faults(found)
    stage.remove_faulty()
    found.add(_losers(stage, last_wins=on_conflict == "update"))
    return found


@dataclass(frozen=True)
class _Group:
    """Rows with the same key, or the same value in a unique index, by its name. `words`: the key, for people."""

    index: str | None
    first: int
    words: str


def _losers(stage: "_Stage", last_wins: bool) -> Iterator[tuple[int, Fault]]:
    """Each row competes for its key and for its unique values at once, so that the winner that is named is loaded."""
    wanted = dict[int, list[_Group]]()
    for index in (*([] if stage.table.generated else [None]), *stage.constraints.unique):
        for line, group in stage.repeated(index):
            wanted.setdefault(line, []).append(group)
    taken = dict[_Group, int]()
    for line in sorted(wanted, reverse=last_wins):
        lost = next((group for group in wanted[line] if group in taken), None)
        if lost is None:
            taken.update(dict.fromkeys(wanted[line], line))
        elif lost.index is None:
            yield line, duplicate_words(lost.words, taken[lost])
        else:
            yield line, not_unique(lost.index, f"line {taken[lost]} of the file, which was taken instead")


# --- the file in MySQL -----------------------------------------------------------------------------------------------


class _Stage:
    """A file's rows in a temporary table, with the columns that constraints are about."""

    def __init__(self, conn: Connection, table: TableDefinition, constraints: Constraints) -> None:
        self.conn = conn
        self.table = table
        self.constraints = constraints
        needed = set() if table.generated else set(table.key)
        needed.update(*(reference.columns for reference in table.references))
        needed.update(*(key.columns for key in constraints.foreign_keys))
        needed.update(*(index.columns for index in constraints.unique))
        needed.update(*(check.columns for check in constraints.checks))
        self._columns = [name for name in table.names if name in needed]
        types = [f"`{name}` {constraints.types[name]} NULL" for name in self._columns]
        prefixes = [column for index in constraints.unique for column in self._prefix_columns(index)]
        for name in ("rowferry_file", "rowferry_existing"):
            mysql.run(conn, f"DROP TEMPORARY TABLE IF EXISTS {name}")
        own = [] if table.generated else [f"KEY ({', '.join(f'`{name}`' for name in table.key)})"]
        definition = ", ".join([*types, *prefixes, *own])
        mysql.run(
            conn,
            "CREATE TEMPORARY TABLE rowferry_file (rowferry_line BIGINT UNSIGNED NOT NULL PRIMARY KEY,"
            f" rowferry_written BOOLEAN NOT NULL DEFAULT TRUE, {definition}) ENGINE = InnoDB",
        )

    def _prefix_columns(self, index: UniqueIndex) -> Iterator[str]:
        """The part of each column that counts, as a column: with its own collation it compares as the index does."""
        for name, prefix in zip(index.columns, index.prefixes, strict=True):
            if prefix:
                _, mark, charset = self.constraints.types[name].partition(" CHARACTER SET ")
                own = self._value(index, name, prefix)
                yield f"{own} VARCHAR({prefix}){mark}{charset} AS (LEFT(`{name}`, {prefix})) STORED"

    def _value(self, index: UniqueIndex, name: str, prefix: int | None) -> str:
        place = f"rowferry_{self.constraints.unique.index(index)}_{self.table.names.index(name)}"
        return f"`{place}`" if prefix else f"`{name}`"

    def _values(self, index: UniqueIndex | None) -> list[str]:
        if index is None:
            return [f"`{name}`" for name in self.table.key]
        return [self._value(index, *column) for column in zip(index.columns, index.prefixes, strict=True)]

    def fill(self, rows: Iterable[bytes], tick: Callable[[], None]) -> None:
        names = [
            name if name in self._columns else f"@{name}"
            for name in (column.name for column in self.table.file_columns)
        ]
        rest = iter(rows)
        while part := list(islice(rest, _ROWS_AT_ONCE)):
            tick()
            with tempfile.NamedTemporaryFile(prefix="rowferry-", suffix=".tsv") as fp:
                fp.writelines(part)
                fp.flush()
                if mysql.load_local(self.conn, fp.name, "rowferry_file", ("rowferry_line", *names)) != (len(part), 0):
                    raise BooksDoNotBalance(f"not all rows went into the staging table of {self.table.name}")

    def remove(self, lines: Iterable[int]) -> None:
        rest = iter(lines)
        while part := list(islice(rest, _AT_ONCE)):
            marks = ", ".join(["%s"] * len(part))
            mysql.run(self.conn, f"DELETE FROM rowferry_file WHERE rowferry_line IN ({marks})", part)

    def mark_existing(self) -> None:
        """Rows whose key is in the table are not written: they break nothing and take no value."""
        mysql.run(
            self.conn, "CREATE TEMPORARY TABLE rowferry_existing (line BIGINT UNSIGNED PRIMARY KEY) ENGINE = InnoDB"
        )
        mysql.run(
            self.conn,
            f"INSERT INTO rowferry_existing SELECT s.rowferry_line FROM rowferry_file s"
            f" STRAIGHT_JOIN `{self.table.name}` t ON {same_key(self.table, 't', 's')}",
        )
        mysql.run(
            self.conn,
            "UPDATE rowferry_existing e STRAIGHT_JOIN rowferry_file s ON s.rowferry_line = e.line"
            " SET s.rowferry_written = FALSE",
        )

    # --- faults

    def find_faults(self, found: Violations) -> None:
        for key in self.constraints.foreign_keys:
            self._find_without_parent(key, found)
        for check in self.constraints.checks:
            clause = check.clause.replace("%", "%%")
            found.add_found(breaks("rule", check.name), "''", f"WHERE s.rowferry_written AND NOT {clause}")
        for index in self.constraints.unique:
            self._find_taken(index, found)

    def remove_faulty(self) -> None:
        mysql.run(
            self.conn, "DELETE s FROM rowferry_faults f STRAIGHT_JOIN rowferry_file s ON s.rowferry_line = f.line"
        )

    def _find_without_parent(self, key: ForeignKey, found: Violations) -> None:
        (column,), (parent_column,) = key.columns, key.parent_columns
        fault = "no_parent", f"{column} {VALUE} is not in {key.parent} (foreign key {key.name})"
        found.add_found(
            fault,
            f"s.`{column}`",
            f"LEFT JOIN {sql_name(key.parent)} p ON p.`{parent_column}` = s.`{column}`"
            f" WHERE s.rowferry_written AND p.`{parent_column}` IS NULL",
        )

    def _find_taken(self, index: UniqueIndex, found: Violations) -> None:
        """Rows whose values another row of the table has.

        A value shorter than the index's prefix is looked up in the index. For longer ones MySQL reads the table once.
        """
        columns = list(zip(index.columns, index.prefixes, self._values(index), strict=True))
        whole = " AND ".join(f"t.`{name}` = s.`{name}`" for name, _, _ in columns)
        short = " AND ".join(f"CHAR_LENGTH(s.{own}) < {prefix}" for _, prefix, own in columns if prefix) or "TRUE"
        self._find_matching(index, f"{whole} WHERE {short}", found)
        if mysql.row(self.conn, f"SELECT 1 FROM rowferry_file s WHERE NOT ({short}) LIMIT 1"):
            alike = [f"LEFT(t.`{name}`, {n}) = s.{own}" if n else f"t.`{name}` = s.{own}" for name, n, own in columns]
            self._find_matching(index, f"{' AND '.join(alike)} WHERE NOT ({short})", found)

    def _find_matching(self, index: UniqueIndex, condition: str, found: Violations) -> None:
        other = "TRUE" if self.table.generated else f"NOT ({same_key(self.table, 't', 's')})"
        found.add_found(
            not_unique(index.name, f"{VALUE} in {self.table.name}"),
            key_words_sql(self.table, "t"),
            f"STRAIGHT_JOIN `{self.table.name}` t ON {condition} AND s.rowferry_written AND {other}",
        )

    def repeated(self, index: UniqueIndex | None) -> Iterator[tuple[int, "_Group"]]:
        """Lines that share their key or unique value with others."""
        values = self._values(index)
        among = "TRUE" if index is None else " AND ".join(["rowferry_written", *(f"{v} IS NOT NULL" for v in values)])
        words = key_words_sql(self.table, "f") if index is None else "''"
        found = mysql.rows(
            self.conn,
            f"SELECT line, first, words FROM (SELECT rowferry_line AS line, MIN(rowferry_line) OVER same AS first,"
            f" {words} AS words, COUNT(*) OVER same AS n FROM rowferry_file f WHERE {among}"
            f" WINDOW same AS (PARTITION BY {', '.join(values)})) grouped WHERE n > 1",
        )
        yield from ((row["line"], _Group(index.name if index else None, row["first"], row["words"])) for row in found)
