"""A table's key in SQL: compared, listed, in words."""

from rowferry.declare.definition import TableDefinition

_SHOWN = 60


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
