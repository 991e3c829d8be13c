"""A table's key in SQL: compared, listed, in words."""

import re

from rowferry.declare.definition import Column, TableDefinition

_SHOWN = 60


def column_type(table: TableDefinition, column: Column) -> str:
    """A column's type in CREATE TABLE. Keys of text, and what refers to them, are compared byte for byte."""
    compared = {*table.key, *(name for reference in table.references for name in reference.columns)}
    is_text = re.match(r"(var)?char\b", column.kind.ddl) is not None
    return f"{column.kind.ddl} COLLATE utf8mb4_0900_bin" if is_text and column.name in compared else column.kind.ddl


def columns_sql(names: tuple[str, ...], alias: str = "") -> str:
    """Columns' names with commas between."""
    before = f"{alias}." if alias else ""
    return ", ".join(f"{before}`{name}`" for name in names)


def same_key(table: TableDefinition, one: str, other: str) -> str:
    """Whether the rows of two aliases have the same key."""
    return " AND ".join(f"{one}.`{name}` = {other}.`{name}`" for name in table.key)


def key_words_sql(table: TableDefinition, alias: str) -> str:
    """The key for people, as `declare.key.words` has it."""
    words = [f"'{name} ', {_shown(table, name, f'{alias}.`{name}`')}" for name in table.key]
    between = ", ', ', "
    return f"CONCAT({between.join(words)})"


def _shown(table: TableDefinition, name: str, column: str) -> str:
    ddl = table.column(name).kind.ddl
    if "binary" in ddl:
        return f"LOWER(HEX({column}))"
    if "char" in ddl:
        return f"'\\'', LEFT({column}, {_SHOWN}), IF(CHAR_LENGTH({column}) > {_SHOWN}, '…', ''), '\\''"
    return column
