"""Foreign keys as they are in the database, and rows that a restore would leave without their parents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rowferry import db
from rowferry.db import Connection
from rowferry.errors import Contention, WouldOrphan
from rowferry.shadow import Target

_SHOWN = 5


@dataclass(frozen=True)
class Reference:
    """A foreign key of one column."""

    child: str
    column: str
    parent: str
    parent_column: str


@dataclass(frozen=True)
class Family:
    """The foreign keys from and to some tables. `odd`: tables with one of several columns, left to the server."""

    references: tuple[Reference, ...]
    odd: frozenset[str]

    def of_child(self, table: str) -> list[Reference]:
        return [reference for reference in self.references if reference.child == table]

    def of_parent(self, table: str) -> list[Reference]:
        return [reference for reference in self.references if reference.parent == table]


def family(conn: Connection, tables: Sequence[str]) -> Family:
    """The foreign keys that touch these tables, on either side."""
    marks = ", ".join(["%s"] * len(tables))
    found = db.rows(
        conn,
        "SELECT constraint_name AS name, table_name AS child, column_name AS col, referenced_table_name AS parent,"
        " referenced_column_name AS parent_col FROM information_schema.key_column_usage"
        " WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()"
        f" AND (table_name IN ({marks}) OR referenced_table_name IN ({marks})) ORDER BY constraint_name",
        (*tables, *tables),
    )
    by_name = dict[tuple[str, str], list[Reference]]()
    for row in found:
        reference = Reference(row["child"], row["col"], row["parent"], row["parent_col"])
        by_name.setdefault((row["child"], row["name"]), []).append(reference)
    single = [references[0] for references in by_name.values() if len(references) == 1]
    odd = {child for (child, _), references in by_name.items() if len(references) > 1}
    return Family(tuple(single), frozenset(odd))


def refuse_orphans(conn: Connection, family: Family, targets: Iterable[Target]) -> None:
    """Looks at the tables as they would be after the restore: those restored by their shadows, others as they are.

    Raises: WouldOrphan with how many rows and the first keys.
    """
    restored = {target.name: target for target in targets}
    after = {name: target.shadow for name, target in restored.items()}
    for target in restored.values():
        for reference in family.of_child(target.name):
            _refuse_children(conn, target, reference, after.get(reference.parent, reference.parent))
        for reference in family.of_parent(target.name):
            _refuse_losses(conn, target, reference, after)


def _refuse_children(conn: Connection, target: Target, reference: Reference, parent: str) -> None:
    """Rows of the backup whose parent would not be there."""
    key, column = target.table.key, reference.column
    without = (
        f"FROM `{target.shadow}` s LEFT JOIN `{parent}` p ON p.`{reference.parent_column}` = s.`{column}`"
        f" WHERE s.`{column}` IS NOT NULL AND p.`{reference.parent_column}` IS NULL"
    )
    if count := _count(conn, without):
        first = _first(conn, f"SELECT s.`{key}` AS k {without} ORDER BY s.`{key}` LIMIT {_SHOWN}")
        raise WouldOrphan(
            f"{count} rows of {target.name} in the backup have a {column} that {reference.parent} would not have;"
            f" the first {key}: {first}; nothing was changed"
        )


def _refuse_losses(conn: Connection, target: Target, reference: Reference, after: Mapping[str, str]) -> None:
    """Rows elsewhere whose parent is in the table and not in the backup."""
    parent, child = reference.parent_column, after.get(reference.child, reference.child)
    without = (
        f"FROM `{child}` c STRAIGHT_JOIN `{target.name}` t ON t.`{parent}` = c.`{reference.column}`"
        f" LEFT JOIN `{target.shadow}` s ON s.`{parent}` = t.`{parent}` WHERE s.`{parent}` IS NULL"
    )
    if count := _count(conn, without):
        first = _first(conn, f"SELECT DISTINCT t.`{parent}` AS k {without} ORDER BY t.`{parent}` LIMIT {_SHOWN}")
        raise WouldOrphan(
            f"{count} rows of {reference.child} refer by {reference.column} to rows of {target.name} that are not in"
            f" the backup; the first {parent}: {first}; nothing was changed"
        )


@contextmanager
def held(conn: Connection, family: Family, target: Target) -> Iterator[None]:
    """For writing the shadow's rows: their parents are locked, so that the server need not look for each row's again.

    Raises: Contention where a parent has gone meanwhile.
    """
    if target.name in family.odd:
        yield
        return
    _hold_parents(conn, family.of_child(target.name), target.shadow)
    with db.foreign_keys_unchecked(conn):
        yield


def _hold_parents(conn: Connection, references: Sequence[Reference], name: str) -> None:
    """Locks the parents of the rows of a table against deletion until the transaction ends."""
    for reference in references:
        column = reference.column
        wanted = _number(conn, f"SELECT COUNT(DISTINCT `{column}`) AS n FROM `{name}`")
        held = _number(
            conn,
            f"SELECT COUNT(*) AS n FROM (SELECT DISTINCT `{column}` AS k FROM `{name}`) d"
            f" STRAIGHT_JOIN `{reference.parent}` p ON p.`{reference.parent_column}` = d.k FOR SHARE OF p",
        )
        if held < wanted:
            raise Contention(f"a row of {reference.parent} that the backup refers to has gone meanwhile")


def _count(conn: Connection, rest: str) -> int:
    return _number(conn, f"SELECT COUNT(*) AS n {rest}")


def _number(conn: Connection, sql: str) -> int:
    found = db.row(conn, sql)
    assert found
    return int(found["n"])


def _first(conn: Connection, sql: str) -> str:
    return ", ".join(str(row["k"]) for row in db.rows(conn, sql))
