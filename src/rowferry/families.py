"""Foreign keys as they are in the database, and rows that a restore would leave without their parents."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rowferry import db, shadow
from rowferry.db import Connection
from rowferry.errors import Contention, WouldOrphan
from rowferry.jobs import Tick
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


def collect_references(conn: Connection, family: Family, target: Target, tick: Tick) -> None:
    """Notes which parents the backup's rows have, each once."""
    for reference in family.of_child(target.name):
        noted, column = _noted(reference), f"`{reference.column}`"
        shadow.empty(conn, noted, tick)
        for part in shadow.ranges(conn, [target.source], target.table.key, tick):
            db.run(
                conn,
                f"INSERT INTO `{noted}` SELECT DISTINCT {column} FROM `{target.source}`"
                f" WHERE {column} IS NOT NULL AND {part.sql(f'`{target.table.key}`')}"
                f" ON DUPLICATE KEY UPDATE k = `{noted}`.k",
            )


def _noted(reference: Reference) -> str:
    return shadow.temporary("parents", reference.child, reference.column)


def refuse_orphans(conn: Connection, family: Family, targets: Iterable[Target], tick: Tick) -> None:
    """Looks at the tables as they would be after the restore: those restored by their shadows, others as they are.

    Raises: WouldOrphan with how many rows and the first keys.
    """
    restored = {target.name: target for target in targets}
    for target in restored.values():
        for reference in family.of_child(target.name):
            parent = restored.get(reference.parent)
            _refuse_children(conn, target, reference, parent.source if parent else reference.parent, tick)
        for reference in family.of_parent(target.name) if not target.direct else ():
            if reference.child not in restored:  # else its backup's rows were looked at above, or will be
                _refuse_losses(conn, target, reference, tick)


def _refuse_children(conn: Connection, target: Target, reference: Reference, parent: str, tick: Tick) -> None:
    """Rows of the backup whose parent would not be there."""
    noted, key = _noted(reference), f"`{target.table.key}`"
    parents = f"LEFT JOIN `{parent}` p ON p.`{reference.parent_column}` = r.k"
    absent = f"FROM `{noted}` r {parents} WHERE p.`{reference.parent_column}` IS NULL"
    if not _found(conn, noted, "k", "r.k", absent, tick).count:
        return
    without = (
        f"FROM `{target.source}` s STRAIGHT_JOIN `{noted}` r ON r.k = s.`{reference.column}` {parents}"
        f" WHERE p.`{reference.parent_column}` IS NULL"
    )
    found = _found(conn, target.source, target.table.key, f"s.{key}", without, tick)
    raise WouldOrphan(
        f"rows of {target.name} in the backup that refer by {reference.column} to rows of {reference.parent} that would"
        f" not be there: {found.count}; the first {target.name}.{target.table.key}: {found.first}; nothing was changed"
    )


def _refuse_losses(conn: Connection, target: Target, reference: Reference, tick: Tick) -> None:
    """Rows elsewhere whose parent is in the table and not in the backup."""
    parent, key = reference.parent_column, target.table.key
    without = (
        f"FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{parent}` = t.`{parent}`"
        f" STRAIGHT_JOIN `{reference.child}` c ON c.`{reference.column}` = t.`{parent}` WHERE s.`{parent}` IS NULL"
    )
    found = _found(conn, target.name, key, f"t.`{key}`", without, tick, f"t.`{parent}`")
    if found.count:
        raise WouldOrphan(
            f"rows of {reference.child} that refer by {reference.column} to rows of {target.name} that are not in the"
            f" backup: {found.count}; the first {target.name}.{parent}: {found.first}; nothing was changed"
        )


@dataclass(frozen=True)
class _Found:
    """How many rows there are, and the first values."""

    count: int
    first: str


def _found(
    conn: Connection, table: str, key: str, ranged: str, rest: str, tick: Tick, shown: str | None = None
) -> _Found:
    """What a SELECT has that goes on with `rest`, asked in ranges of a table's keys.

    `ranged`: the key as `rest` names it. `shown`: whose first values are answered; else the key's.
    """
    count, first = 0, list[str]()
    for part in shadow.ranges(conn, [table], key, tick):
        these = f"{rest} AND {part.sql(ranged)}"
        if some := shadow.count(conn, these):
            count += some
            if (left := _SHOWN - len(first)) > 0:
                value = shown or ranged
                sql = f"SELECT DISTINCT {value} AS k {these} ORDER BY {value} LIMIT {left}"
                first += [str(row["k"]) for row in db.rows(conn, sql)]
    return _Found(count, ", ".join(first))


@contextmanager
def held(conn: Connection, family: Family, target: Target, tick: Tick) -> Iterator[None]:
    """For writing the shadow's rows: their parents are locked, so that the server need not look for each row's again.

    Raises: Contention where a parent has gone meanwhile.
    """
    if target.name in family.odd:
        yield
        return
    hold_parents(conn, family, target, tick)
    with db.foreign_keys_unchecked(conn):
        yield


def hold_parents(conn: Connection, family: Family, target: Target, tick: Tick) -> None:
    """Locks the parents of the backup's rows against deletion until the transaction ends.

    Raises: Contention where a parent has gone meanwhile.
    """
    for reference in family.of_child(target.name):
        noted = _noted(reference)
        parents = f"STRAIGHT_JOIN `{reference.parent}` p ON p.`{reference.parent_column}` = r.k"
        for part in shadow.ranges(conn, [noted], "k", tick):
            these = part.sql("r.k")
            there = shadow.count(conn, f"FROM `{noted}` r {parents} WHERE {these} FOR SHARE OF p")
            if there < shadow.count(conn, f"FROM `{noted}` r WHERE {these}"):
                raise Contention(f"a row of {reference.parent} that the backup refers to has gone meanwhile")
