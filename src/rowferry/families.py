"""Foreign keys as they are in the database, and rows that a restore would leave without their parents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rowferry import db, shadow
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

    @property
    def is_plain(self) -> bool:
        """Its names can stand between backticks."""
        return "`" not in "".join((self.child, self.column, self.parent, self.parent_column))


@dataclass(frozen=True)
class Family:
    """The foreign keys from and to some tables. `odd`: tables with one of several columns or an odd name, which is left
    to the server.
    """

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
    single = [references[0] for references in by_name.values() if len(references) == 1 and references[0].is_plain]
    odd = {child for (child, _), references in by_name.items() if len(references) > 1 or not references[0].is_plain}
    return Family(tuple(single), frozenset(odd))


def make_notes(conn: Connection, family: Family, target: Target) -> None:
    """The tables for `collect_references`; before the transaction, as GTIDs forbid it within."""
    for reference in family.of_child(target.name):
        shadow.make_temporary(conn, _noted(reference), "k BIGINT NOT NULL PRIMARY KEY")


def collect_references(conn: Connection, family: Family, target: Target) -> None:
    """Notes which parents the backup's rows have, each once."""
    for reference in family.of_child(target.name):
        db.run(conn, f"DELETE FROM `{_noted(reference)}`")
        values = f"SELECT DISTINCT `{reference.column}` FROM `{target.source}` WHERE `{reference.column}` IS NOT NULL"
        db.run(conn, f"INSERT INTO `{_noted(reference)}` {values}")


def _noted(reference: Reference) -> str:
    return shadow.temporary("parents", reference.child, reference.column)


def refuse_orphans(conn: Connection, family: Family, targets: Iterable[Target]) -> None:
    """Looks at the tables as they would be after the restore: those restored by their shadows, others as they are.

    Raises: WouldOrphan with how many rows and the first keys.
    """
    restored = {target.name: target for target in targets}
    after = {name: target.source for name, target in restored.items()}
    for target in restored.values():
        for reference in family.of_child(target.name):
            _refuse_children(conn, target, reference, after.get(reference.parent, reference.parent))
        for reference in family.of_parent(target.name) if not target.direct else ():
            _refuse_losses(conn, target, reference, after)


def _refuse_children(conn: Connection, target: Target, reference: Reference, parent: str) -> None:
    """Rows of the backup whose parent would not be there."""
    parents = f"LEFT JOIN `{parent}` p ON p.`{reference.parent_column}` = r.k"
    absent = f"FROM `{_noted(reference)}` r {parents} WHERE p.`{reference.parent_column}` IS NULL"
    if not shadow.count(conn, absent):
        return
    key, column = target.table.key, reference.column
    without = f"FROM `{target.source}` s JOIN `{_noted(reference)}` r ON r.k = s.`{column}` {parents}"
    without += f" WHERE p.`{reference.parent_column}` IS NULL"
    first = _first(conn, f"SELECT s.`{key}` AS k {without} ORDER BY s.`{key}` LIMIT {_SHOWN}")
    raise WouldOrphan(
        f"rows of {target.name} in the backup that refer by {column} to rows of {reference.parent} that would not be"
        f" there: {shadow.count(conn, without)}; the first {target.name}.{key}: {first}; nothing was changed"
    )


def _refuse_losses(conn: Connection, target: Target, reference: Reference, after: Mapping[str, str]) -> None:
    """Rows elsewhere whose parent is in the table and not in the backup."""
    parent, child = reference.parent_column, after.get(reference.child, reference.child)
    without = (
        f"FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{parent}` = t.`{parent}`"
        f" JOIN `{child}` c ON c.`{reference.column}` = t.`{parent}` WHERE s.`{parent}` IS NULL"
    )
    if count := shadow.count(conn, without):
        first = _first(conn, f"SELECT DISTINCT t.`{parent}` AS k {without} ORDER BY t.`{parent}` LIMIT {_SHOWN}")
        raise WouldOrphan(
            f"rows of {reference.child} that refer by {reference.column} to rows of {target.name} that are not in the"
            f" backup: {count}; the first {target.name}.{parent}: {first}; nothing was changed"
        )


@contextmanager
def held(conn: Connection, family: Family, target: Target) -> Iterator[None]:
    """For writing the shadow's rows: their parents are locked, so that the server need not look for each row's again.

    Raises: Contention where a parent has gone meanwhile.
    """
    if target.name in family.odd:
        yield
        return
    hold_parents(conn, family, target)
    with db.foreign_keys_unchecked(conn):
        yield


def hold_parents(conn: Connection, family: Family, target: Target) -> None:
    """Locks the parents of the backup's rows against deletion until the transaction ends.

    Raises: Contention where a parent has gone meanwhile.
    """
    for reference in family.of_child(target.name):
        parents = f"STRAIGHT_JOIN `{reference.parent}` p ON p.`{reference.parent_column}` = r.k FOR SHARE OF p"
        if shadow.count(conn, f"FROM `{_noted(reference)}` r {parents}") < shadow.count(
            conn, f"FROM `{_noted(reference)}`"
        ):
            raise Contention(f"a row of {reference.parent} that the backup refers to has gone meanwhile")


def _first(conn: Connection, sql: str) -> str:
    return ", ".join(str(row["k"]) for row in db.rows(conn, sql))
