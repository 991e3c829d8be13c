"""What a table in MySQL has, read from information_schema: columns, foreign keys, unique indexes, CHECKs, triggers.

MySQL shows a user only what it has rights on: triggers need the right TRIGGER, foreign keys from other schemas any
right there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rowferry.declare.definition import TableDefinition
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

_LEFT_ALONE = ("RESTRICT", "NO ACTION")


def sql_name(table: str) -> str:
    """A table's name as `ForeignKey` has it, for a statement."""
    return ".".join(f"`{part}`" for part in table.split("."))


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key as the database has it. A table of another schema is named `schema.table`."""

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str

    @property
    def is_plain(self) -> bool:
        """It has one column, other tables on its two sides, and names that can stand between backticks."""
        names = (self.child, self.parent, *self.columns, *self.parent_columns)
        return len(self.columns) == 1 and self.child != self.parent and not any("`" in name for name in names)

    @property
    def changes_children(self) -> bool:
        """Deleting or changing a parent would delete or change its children."""
        return self.on_delete not in _LEFT_ALONE or self.on_update not in _LEFT_ALONE

    def is_declared(self, table: TableDefinition) -> bool:
        """The table's class has the same reference."""
        own = set(zip(self.columns, self.parent_columns, strict=True))
        return any(
            self.parent == found.parent and own == set(zip(found.columns, found.parent_columns, strict=True))
            for found in table.references
        )


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index besides the primary key. `prefixes`: how many characters of each column count, None for all."""

    name: str
    columns: tuple[str, ...]
    prefixes: tuple[int | None, ...]


@dataclass(frozen=True)
class Check:
    """An enforced CHECK constraint; in its `clause` the columns stand between backticks."""

    name: str
    clause: str

    @property
    def columns(self) -> set[str]:
        return set(re.findall("`([^`]+)`", re.sub(r"'(?:[^'\\]|\\.|'')*'", "", self.clause)))


def not_innodb(conn: Connection, table: str) -> str | None:
    """In words, why there are no transactions on a table; None also where there is no such table."""
    there = mysql.row(
        conn,
        "SELECT table_type AS type, engine AS engine FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = %s",
        (table,),
    )
    if there is None or (there["type"], there["engine"]) == ("BASE TABLE", "InnoDB"):
        return None
    what = "a view" if there["type"] != "BASE TABLE" else f"a table of the engine {there['engine']}"
    return f"{table} is {what} in the database, not an InnoDB table"


def foreign_keys(conn: Connection, tables: Sequence[str]) -> Sequence[ForeignKey]:
    """The foreign keys from and to these tables of the connection's schema, also those of other schemas."""
    marks = ", ".join(["%s"] * len(tables))
    found = mysql.rows(
        conn,
        "SELECT k.constraint_name AS name, k.column_name AS col, k.referenced_column_name AS parent_col,"
        " IF(k.table_schema = DATABASE(), k.table_name, CONCAT(k.table_schema, '.', k.table_name)) AS child,"
        " IF(k.referenced_table_schema = DATABASE(), k.referenced_table_name,"
        " CONCAT(k.referenced_table_schema, '.', k.referenced_table_name)) AS parent,"
        " r.delete_rule AS on_delete, r.update_rule AS on_update"
        " FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r"
        " ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name"
        " AND r.table_name = k.table_name WHERE k.referenced_table_name IS NOT NULL"
        f" AND (k.table_schema = DATABASE() AND k.table_name IN ({marks})"
        f" OR k.referenced_table_schema = DATABASE() AND k.referenced_table_name IN ({marks}))"
        " ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position",
        (*tables, *tables),
    )
    by_name = dict[tuple[str, str], list[Row]]()
    for row in found:
        by_name.setdefault((row["child"], row["name"]), []).append(row)
    return [_foreign_key(rows) for rows in by_name.values()]


def _foreign_key(rows: Sequence[Row]) -> ForeignKey:
    first = rows[0]
    columns, parents = (tuple(row[name] for row in rows) for name in ("col", "parent_col"))
    rules = (first["on_delete"], first["on_update"])
    return ForeignKey(first["name"], first["child"], columns, first["parent"], parents, *rules)


def triggers(conn: Connection, table: str) -> Sequence[str]:
    """The triggers of a table, as `name (BEFORE INSERT)`."""
    found = mysql.rows(
        conn,
        "SELECT trigger_name AS name, CONCAT(action_timing, ' ', event_manipulation) AS runs"
        " FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND event_object_table = %s"
        " ORDER BY trigger_name",
        (table,),
    )
    return [f"{row['name']} ({row['runs']})" for row in found]


def columns(conn: Connection, table: str) -> Mapping[str, Row]:
    found = mysql.rows(
        conn,
        "SELECT column_name AS name, CAST(column_type AS CHAR) AS type, is_nullable = 'YES' AS nullable,"
        " column_key AS part, column_default AS fallback, extra AS extra, character_set_name AS charset,"
        " collation_name AS collation FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    return {str(row["name"]): row for row in found}


def column_type(column: Row) -> str:
    text = f" CHARACTER SET {column['charset']} COLLATE {column['collation']}" if column["charset"] else ""
    return f"{column['type']}{text}"


def unique_indexes(conn: Connection, table: str) -> Sequence[UniqueIndex]:
    """Those besides the key. In a functional index the column's name is its expression, between parentheses."""
    found = mysql.rows(
        conn,
        "SELECT index_name AS name, IFNULL(column_name, CONCAT('(', expression, ')')) AS col, sub_part AS prefix"
        " FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = %s AND non_unique = 0"
        " AND index_name <> 'PRIMARY' ORDER BY index_name, seq_in_index",
        (table,),
    )
    by_name = dict[str, list[Row]]()
    for row in found:
        by_name.setdefault(str(row["name"]), []).append(row)
    return [
        UniqueIndex(name, tuple(str(row["col"]) for row in rows), tuple(row["prefix"] for row in rows))
        for name, rows in by_name.items()
    ]


def checks(conn: Connection, table: str) -> Sequence[Check]:
    """As SHOW CREATE TABLE has them: information_schema escapes the quotes in their clauses."""
    row = mysql.row(conn, f"SHOW CREATE TABLE `{table}`")
    lines = str(row["Create Table"] if row else "").splitlines()
    return [Check(found[1], found[2]) for line in lines if (found := _CHECK.fullmatch(line))]


_CHECK = re.compile(r"  CONSTRAINT `([^`]+)` CHECK (\(.*\)),?")
"""One that is not enforced has a comment behind it."""


def about_rows(conn: Connection, names: Sequence[str]) -> int:
    """How many rows tables have together, as InnoDB guesses from a sample of pages: quick, and often 10 % off."""
    mysql.run(conn, "SET SESSION information_schema_stats_expiry = 0")
    sql = "SELECT TABLE_ROWS AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({})"
    return sum(int(found["n"] or 0) for found in mysql.rows_in(conn, sql, names))
