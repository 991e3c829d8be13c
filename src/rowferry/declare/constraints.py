"""What a table in MySQL has that its class does not say and that loading meets: foreign keys, unique indexes, CHECK
constraints, triggers, columns, partitions, the engine.

Plan, Reconcile and Load ask here. A constraint that a row breaks makes that row a reject. What could change rows
silently, or would keep a batch from being one transaction, refuses the table in words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowferry.declare import information_schema
from rowferry.declare.definition import Reference, TableDefinition
from rowferry.declare.information_schema import Check, ForeignKey, UniqueIndex
from rowferry.errors import SchemaDiffers
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row


@dataclass(frozen=True)
class Constraints:
    """Those of a table that its class does not know.

    `types`: the declared columns' types as the database has them. `unfit`: in words, why nothing can be loaded into it.
    """

    foreign_keys: tuple[ForeignKey, ...] = ()
    unique: tuple[UniqueIndex, ...] = ()
    checks: tuple[Check, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """There are constraints that a row may break."""
        return bool(self.foreign_keys or self.unique or self.checks)


def read(conn: Connection, table: TableDefinition) -> Constraints:
    """All that loading may meet; empty where the database has no such table."""
    if words := information_schema.not_innodb(conn, table.name):
        return Constraints(unfit=(words,))
    columns = information_schema.columns(conn, table.name)
    if not columns:
        return Constraints()
    keys = information_schema.foreign_keys(conn, [table.name])
    own = [key for key in keys if key.child == table.name and not key.is_declared(table)]
    unique = information_schema.unique_indexes(conn, table.name)
    checks = information_schema.checks(conn, table.name)
    unfit = [
        *_unfit_columns(table, columns),
        *_unfit_foreign_keys(table, keys, own, columns),
        *_unfit_indexes(table, unique, columns),
        *_unfit_checks(table, checks),
        *_unfit_triggers(conn, table),
        *_unfit_partitions(conn, table),
    ]
    return Constraints(
        tuple(key for key in own if not _never_set(table, key.columns, columns)),
        tuple(index for index in unique if not _is_unbreakable(table, index, columns)),
        tuple(check for check in checks if check.columns & set(table.names)),
        {name: information_schema.column_type(columns[name]) for name in table.names if name in columns},
        tuple(unfit),
    )


def alike(index: UniqueIndex, row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A condition, with its values, that rows of the table meet which are the same as this row in a unique index."""
    parts, values = list[str](), list[Any]()
    for name, prefix in zip(index.columns, index.prefixes, strict=True):
        value = row[name]
        is_part = prefix is not None and len(value) >= prefix
        parts.append(f"`{name}` LIKE %s" if is_part else f"`{name}` = %s")  # either can use the index
        values.append(re.sub(r"([\\%_])", r"\\\1", value[:prefix]) + "%" if is_part else value)
    return " AND ".join(parts), values


# --- while a batch is loaded -----------------------------------------------------------------------------------------

_AT_LOAD = """
    SELECT '' AS kind, '' AS name, '' AS detail, '' AS parent, '' AS parent_col
    FROM (SELECT 1 FROM `{0}` WHERE FALSE FOR UPDATE) locked
    UNION ALL SELECT 'trigger', trigger_name, CONCAT(action_timing, ' ', event_manipulation), '', ''
    FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND event_object_table = %s
    UNION ALL SELECT 'foreign key', constraint_name, column_name,
    IF(referenced_table_schema = DATABASE(), referenced_table_name, ''), referenced_column_name
    FROM information_schema.key_column_usage
    WHERE table_schema = DATABASE() AND table_name = %s AND referenced_table_name IS NOT NULL"""


def may_skip_checks(conn: Connection, table: TableDefinition) -> bool:
    """Within a batch's transaction: whether its rows may be written with foreign_key_checks = 0.

    The statement names the table too, for writing. So the transaction has the table's metadata lock before it looks,
    and nobody adds a foreign key or a trigger until it ends. What an AFTER trigger writes would go unchecked too.

    Raises: SchemaDiffers for a trigger that may change what is written.
    """
    found = mysql.rows(conn, _AT_LOAD.format(table.name), (table.name, table.name))
    triggers = [(str(row["name"]), str(row["detail"])) for row in found if row["kind"] == "trigger"]
    if changing := [words for name, when in triggers if (words := _unfit_trigger(table, name, when))]:
        raise SchemaDiffers(f"{'; '.join(changing)}; start the run again when that is put right")
    declared = {_pairs(reference) for reference in table.references}
    keys = dict[str, set[tuple[str, str, str]]]()
    for row in found:
        if row["kind"] == "foreign key":
            keys.setdefault(row["name"], set()).add((row["detail"], row["parent"], row["parent_col"]))
    there = list(map(frozenset, keys.values()))
    return set(there) <= declared and len(there) == len(set(there)) and not any(_on_write(when) for _, when in triggers)


def _pairs(reference: Reference) -> frozenset[tuple[str, str, str]]:
    pairs = zip(reference.columns, reference.parent_columns, strict=True)
    return frozenset((name, reference.parent, parent) for name, parent in pairs)


def _on_write(when: str) -> bool:
    return not when.endswith("DELETE")


def _unfit_trigger(table: TableDefinition, name: str, when: str) -> str:
    if when not in ("BEFORE INSERT", "BEFORE UPDATE"):
        return ""
    return f"{table.name} has a trigger {name} ({when}), which may change what a file says before it is written"


# --- what can't be ---------------------------------------------------------------------------------------------------


def _unfit_columns(table: TableDefinition, columns: Mapping[str, Row]) -> Iterator[str]:
    for name, row in columns.items():
        is_generated = "GENERATED" in row["extra"].replace("DEFAULT_GENERATED", "")
        if name in table.names and is_generated:
            yield f"{table.name}.{name} is generated in the database, and can't be written"
        has_value = is_generated or row["nullable"] or row["fallback"] is not None
        if name not in table.names and not (has_value or row["extra"]):
            yield f"{table.name}.{name} is in the database and not declared; it may not be NULL and has no default"


def _unfit_foreign_keys(
    table: TableDefinition, keys: Sequence[ForeignKey], own: Sequence[ForeignKey], columns: Mapping[str, Row]
) -> Iterator[str]:
    for key in own:
        if _never_set(table, key.columns, columns):
            continue
        if key.parent == table.name:
            yield f"{table.name} refers to itself by the foreign key {key.name}; the order of its batches would count"
        elif not key.is_plain:
            yield f"{table.name} has a foreign key {key.name} of several columns, which its class can't declare"
        elif not set(key.columns) <= set(table.names):
            yield f"{table.name} has a foreign key {key.name} on a column that is not declared"
    for key in keys:
        if key.parent == table.name != key.child and sorted(key.parent_columns) != sorted(table.key):
            to = ", ".join(key.parent_columns)
            yield f"{key.child} refers to {table.name}.{to} by the foreign key {key.name}; only the key stays as it is"


def _never_set(table: TableDefinition, names: Sequence[str], columns: Mapping[str, Row]) -> bool:
    """Loading leaves these columns alone, and a new row has NULL in one of them, which breaks no constraint."""
    if any(name in table.names or name not in columns for name in names):
        return False
    rows = [columns[name] for name in names]
    return any(row["nullable"] and row["fallback"] is None and "GENERATED" not in row["extra"] for row in rows)


def _is_unbreakable(table: TableDefinition, index: UniqueIndex, columns: Mapping[str, Row]) -> bool:
    """Rows with different keys can't be alike in it."""
    own = [name for name in index.columns if name not in table.names]
    counts_up = [name for name in own if name in columns and columns[name]["extra"] == "auto_increment"]
    return set(table.key) <= set(index.columns) or bool(counts_up) or _never_set(table, index.columns, columns)


def _unfit_indexes(table: TableDefinition, unique: Sequence[UniqueIndex], columns: Mapping[str, Row]) -> Iterator[str]:
    for index in unique:
        other = [name for name in index.columns if name not in table.names]
        if other and not _is_unbreakable(table, index, columns):
            yield f"{table.name} has a unique index {index.name} on {', '.join(other)}, which its class does not know"


def _unfit_checks(table: TableDefinition, checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        own = check.columns & set(table.names)
        if own and (other := sorted(check.columns - own)):
            yield f"{table.name} has a CHECK {check.name} on {', '.join(other)}, which its class does not know"


def _unfit_triggers(conn: Connection, table: TableDefinition) -> Iterator[str]:
    for trigger in information_schema.triggers(conn, table.name):
        name, _, when = trigger.removesuffix(")").rpartition(" (")
        if words := _unfit_trigger(table, name, when):
            yield words


def _unfit_partitions(conn: Connection, table: TableDefinition) -> Iterator[str]:
    """A key that has no partition would fail the whole batch."""
    found = mysql.rows(
        conn,
        "SELECT partition_method AS method, partition_description AS bound FROM information_schema.partitions"
        " WHERE table_schema = DATABASE() AND table_name = %s",
        (table.name,),
    )
    method = str(found[0]["method"]) if found else ""
    if method.startswith("LIST") or (
        method.startswith("RANGE") and not any(str(row["bound"]).startswith("MAXVALUE") for row in found)
    ):
        yield f"{table.name} is partitioned by {method}, and not every key has a partition"
