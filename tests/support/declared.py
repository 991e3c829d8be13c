"""Tables of a test's own, declared like those of tables.py, and tables that are changed for a while."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated
from unittest.mock import patch

from pydantic import BaseModel

from rowferry.config import Settings
from rowferry.declare.catalog import TABLES
from rowferry.declare.definition import TableDefinition
from rowferry.declare.table import read_models
from rowferry.declare.table_class import Id
from rowferry.declare.types import Decimal, Integer, Text
from rowferry.setup import tables
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

LONG = Integer(-(2**63), 2**63 - 1)


class Reading(BaseModel, title="readings"):
    """The types that no table of tables.py has, and a text."""

    id: Id
    price: Annotated[str, Decimal(10, 2)]
    share: Annotated[str, Decimal(18, 18)]
    total: Annotated[str, Decimal(18, 0)]
    steps: Annotated[int, LONG]
    note: Annotated[str, Text()]


@contextmanager
def declared(
    administrator: Settings, *models: type[BaseModel], nullable: Collection[str] = ()
) -> Iterator[dict[str, TableDefinition]]:
    """They are known and in the database as long as this lasts; `nullable` columns of them may be null there."""
    with known_tables(administrator, read_models(models), nullable) as known:
        yield known


@contextmanager
def known_tables(
    administrator: Settings, known: dict[str, TableDefinition], nullable: Collection[str] = ()
) -> Iterator[dict[str, TableDefinition]]:
    """`declared` for tables that have no class."""
    with patch.dict(TABLES, known), mysql.session(administrator) as conn:
        tables.create(conn)
        for table in known.values():
            changes = [f"MODIFY `{c.name}` {c.kind.ddl} NULL" for c in table.columns if c.name in nullable]
            if changes:
                mysql.run(conn, f"ALTER TABLE `{table.name}` {', '.join(changes)}")
        try:
            yield known
        finally:
            for table in reversed(known.values()):
                mysql.run(conn, f"DROP TABLE `{table.name}`")
                mysql.run(conn, "DELETE FROM rowferry_turns WHERE table_name = %s", (table.name,))


UNIQUE_NAMES = "ALTER TABLE departments ADD UNIQUE by_name (name(20))"


@contextmanager
def altered(admin: Connection, *statements: str, undo: Sequence[str]) -> Iterator[None]:
    """The schema is changed as long as this lasts."""
    try:
        for statement in statements:
            mysql.run(admin, statement)
        yield
    finally:
        mysql.run(admin, "SET foreign_key_checks = 0")
        for statement in undo:
            mysql.run(admin, statement)
        mysql.run(admin, "SET foreign_key_checks = 1")
