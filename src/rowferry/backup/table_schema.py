"""What a backup of a table looks like, from its declaration and the database's table."""

from rowferry.backup.record import Field, Schema
from rowferry.declare import information_schema
from rowferry.declare.ddl import differing
from rowferry.declare.definition import TableDefinition
from rowferry.errors import NotFound, SchemaDiffers
from rowferry.storage.mysql import Connection

_UTF8 = ("utf8mb4", "utf8mb3", "ascii")


def avro_schema(conn: Connection, table: TableDefinition) -> Schema:
    """What a backup of a table looks like: types by its declaration, nulls where the database's table may hold them.

    Raises: NotFound where the database has no such table; SchemaDiffers where it is not as declared, or holds what a
    backup can't.
    """
    there = information_schema.columns(conn, table.name)
    if not there:
        raise NotFound(f"the database has no table {table.name}")
    if unfit := information_schema.not_innodb(conn, table.name):
        raise SchemaDiffers(unfit)
    words = list(differing(table, there))
    for column in table.columns if not words else ():
        row = there[column.name]
        if row["type"] != column.kind.ddl:
            words.append(f"{table.name}.{column.name} is {row['type']} in the database, not {column.kind.ddl}")
        if row["charset"] not in (None, *_UTF8):
            words.append(f"{table.name}.{column.name} holds text in {row['charset']}, not UTF-8")
    if words:
        raise SchemaDiffers("; ".join(words))
    nullable = {name for name, row in there.items() if row["nullable"]}
    return Schema(table.name, tuple(Field(c.name, c.kind.avro, c.name in nullable) for c in table.columns))
