"""Foreign keys as they are in the database, and rows that a restore would leave without their parents."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rowferry.backup import staging
from rowferry.backup.staging import Target
from rowferry.declare import information_schema
from rowferry.declare.information_schema import sql_name
from rowferry.declare.key_sql import columns_sql
from rowferry.errors import Contention, SchemaDiffers, WouldOrphan
from rowferry.ledger.jobs import Tick
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

_SHOWN = 5


@dataclass(frozen=True)
class Reference:
    """A foreign key of one column. A table of another schema is named `schema.table`."""

    child: str
    column: str
    parent: str
    parent_column: str


@dataclass(frozen=True)
class Family:
    """The foreign keys from and to some tables, and what else those tables have that a restore must respect.

    `odd`: tables whose rows the server checks, as they have a foreign key of several columns, or on one that is no
    integer. `unique`: tables with a unique index besides the key. `unfit`: in words, why nothing can be restored.
    """

    references: tuple[Reference, ...]
    odd: frozenset[str]
    unique: frozenset[str] = frozenset()
    unfit: tuple[str, ...] = ()

    def of_child(self, table: str) -> list[Reference]:
        return [reference for reference in self.references if reference.child == table]

    def of_parent(self, table: str) -> list[Reference]:
        return [reference for reference in self.references if reference.parent == table]


def family(conn: Connection, tables: Sequence[str]) -> Family:
    """What touches these tables. Within a transaction it stays so until the end, as ALTER then waits for the tables."""
    for table in tables:
        mysql.row(conn, f"SELECT 1 FROM `{table}` LIMIT 1")
    keys = information_schema.foreign_keys(conn, tables)
    integers = _integer_columns(conn, tables)
    single = [
        key for key in keys if key.is_plain and (key.child not in tables or (key.child, key.columns[0]) in integers)
    ]
    odd = [key for key in keys if key not in single]
    triggers = {table: found for table in tables if (found := information_schema.triggers(conn, table))}
    unfit = [f"{table} has triggers, which a restore would start: {', '.join(triggers[table])}" for table in triggers]
    unfit += [f"{key.child} refers to itself by the foreign key {key.name}" for key in odd if key.child == key.parent]
    unique = frozenset(table for table in tables if information_schema.unique_indexes(conn, table))
    unfit += [
        f"a change of {key.parent} might change, delete or orphan rows of {key.child} by the foreign key {key.name}"
        for key in odd
        if key.child != key.parent and key.parent in tables and (key.changes_children or key.parent in unique)
    ]
    return Family(
        tuple(Reference(key.child, key.columns[0], key.parent, key.parent_columns[0]) for key in single),
        frozenset(key.child for key in odd),
        unique,
        tuple(unfit),
    )


def refuse_unfit(family: Family) -> None:
    """Raises: SchemaDiffers."""
    if family.unfit:
        raise SchemaDiffers(f"{'; '.join(family.unfit)}; nothing was changed")


def _integer_columns(conn: Connection, tables: Sequence[str]) -> set[tuple[str, str]]:
    marks = ", ".join(["%s"] * len(tables))
    found = mysql.rows(
        conn,
        "SELECT table_name AS name, column_name AS col FROM information_schema.columns WHERE table_schema = DATABASE()"
        f" AND table_name IN ({marks}) AND data_type LIKE '%%int'",
        tables,
    )
    return {(row["name"], row["col"]) for row in found}


def make_notes(conn: Connection, family: Family, target: Target) -> None:
    """The tables for `collect_references`; before the transaction, as GTIDs forbid it within."""
    for reference in family.of_child(target.name):
        staging.make_temporary(conn, _noted(reference), "k BIGINT NOT NULL PRIMARY KEY")


def collect_references(conn: Connection, family: Family, target: Target, tick: Tick) -> None:
    """Notes which parents the backup's rows have, each once."""
    for reference in family.of_child(target.name):
        noted, column = _noted(reference), f"`{reference.column}`"
        staging.empty(conn, noted, ("k",), tick)
        for part in staging.ranges(conn, [target.source], target.table.key, tick):
            mysql.run(
                conn,
                f"INSERT INTO `{noted}` SELECT DISTINCT {column} FROM `{target.source}`"
                f" WHERE {column} IS NOT NULL AND {part.sql(target.table.key)}"
                f" ON DUPLICATE KEY UPDATE k = `{noted}`.k",
            )


def _noted(reference: Reference) -> str:
    return staging.temporary("parents", reference.child, reference.column)


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
    noted = _noted(reference)
    parents = f"LEFT JOIN {sql_name(parent)} p ON p.`{reference.parent_column}` = r.k"
    absent = f"FROM `{noted}` r {parents} WHERE p.`{reference.parent_column}` IS NULL"
    if not _found(conn, noted, ("k",), "r", absent, tick).count:
        return
    without = (
        f"FROM `{target.source}` s STRAIGHT_JOIN `{noted}` r ON r.k = s.`{reference.column}` {parents}"
        f" WHERE p.`{reference.parent_column}` IS NULL"
    )
    found = _found(conn, target.source, target.table.key, "s", without, tick)
    raise WouldOrphan(
        f"rows of {target.name} in the backup that refer by {reference.column} to rows of {reference.parent} that would"
        f" not be there: {found.count}; the first {target.name}.{', '.join(target.table.key)}: {found.first};"
        " nothing was changed"
    )


def _refuse_losses(conn: Connection, target: Target, reference: Reference, tick: Tick) -> None:
    """Rows elsewhere whose parent is in the table and not in the backup."""
    parent = reference.parent_column
    without = (
        f"FROM `{target.name}` t LEFT JOIN `{target.shadow}` s ON s.`{parent}` = t.`{parent}`"
        f" STRAIGHT_JOIN {sql_name(reference.child)} c ON c.`{reference.column}` = t.`{parent}`"
        f" WHERE s.`{parent}` IS NULL"
    )
    found = _found(conn, target.name, target.table.key, "t", without, tick, f"t.`{parent}`")
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
    conn: Connection, table: str, key: Sequence[str], alias: str, rest: str, tick: Tick, shown: str | None = None
) -> _Found:
    """What a SELECT has that goes on with `rest`, asked in ranges of a table's keys.

    `alias`: of the table in `rest`. `shown`: whose first values are answered; else the key's.
    """
    count, first = 0, list[str]()
    for part in staging.ranges(conn, [table], key, tick):
        these = f"{rest} AND {part.sql(key, alias)}"
        if some := staging.count(conn, these):
            count += some
            if (left := _SHOWN - len(first)) > 0:
                order = shown or columns_sql(tuple(key), alias)
                value = f"CONCAT_WS(', ', {order})"
                sql = f"SELECT {value} AS k {these} GROUP BY {order} ORDER BY {order} LIMIT {left}"
                first += [str(row["k"]) for row in mysql.rows(conn, sql)]
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
    with mysql.foreign_keys_unchecked(conn):
        yield


def hold_losses(conn: Connection, family: Family, target: Target, tick: Tick) -> None:
    """Locks the table's rows that will be gone, so that none gets a child before they are.

    Else a child that came between the look for such rows and the deletion would be deleted too, where its foreign key
    says ON DELETE CASCADE.
    """
    references = family.of_parent(target.name)
    by_key = all((reference.parent_column,) == target.table.key for reference in references)
    for part in staging.ranges(conn, [target.name], target.table.key, tick) if references else ():
        staging.lock_changing(conn, target, part, lost_only=by_key)


def hold_parents(conn: Connection, family: Family, target: Target, tick: Tick) -> None:
    """Locks the parents of the backup's rows against deletion until the transaction ends.

    Raises: Contention where a parent has gone meanwhile.
    """
    for reference in family.of_child(target.name):
        noted = _noted(reference)
        parents = f"STRAIGHT_JOIN {sql_name(reference.parent)} p ON p.`{reference.parent_column}` = r.k"
        for part in staging.ranges(conn, [noted], ("k",), tick):
            these = part.sql(("k",), "r")
            there = staging.count(conn, f"FROM `{noted}` r {parents} WHERE {these} FOR SHARE OF p")
            if there < staging.count(conn, f"FROM `{noted}` r WHERE {these}"):
                raise Contention(f"a row of {reference.parent} that the backup refers to has gone meanwhile")
