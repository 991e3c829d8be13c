"""Tables of a test's own, declared like those of tables.py, and tables that are changed for a while."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated
from unittest.mock import patch

from pydantic import BaseModel

from rowferry import db, schema
from rowferry.config import Settings
from rowferry.db import Connection
from rowferry.tables import TABLES, Id, Table, read_models
from rowferry.values import Decimal, Integer, Text

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
) -> Iterator[dict[str, Table]]:
    """They are known and in the database as long as this lasts; `nullable` columns of them may be null there."""
    tables = read_models(models)
    with patch.dict(TABLES, tables), db.session(administrator) as conn:
        schema.create(conn)
        for table in tables.values():
            changes = [f"MODIFY `{c.name}` {c.kind.ddl} NULL" for c in table.columns if c.name in nullable]
            if changes:
                db.run(conn, f"ALTER TABLE `{table.name}` {', '.join(changes)}")
        try:
            yield tables
        finally:
            for table in reversed(tables.values()):
                db.run(conn, f"DROP TABLE `{table.name}`")
                db.run(conn, "DELETE FROM rowferry_turns WHERE table_name = %s", (table.name,))


UNIQUE_NAMES = "ALTER TABLE departments ADD UNIQUE by_name (name(20))"


@contextmanager
def altered(admin: Connection, *statements: str, undo: Sequence[str]) -> Iterator[None]:
    """The schema is changed as long as this lasts."""
    try:
        for statement in statements:
            db.run(admin, statement)
        yield
    finally:
        db.run(admin, "SET foreign_key_checks = 0")
        for statement in undo:
            db.run(admin, statement)
        db.run(admin, "SET foreign_key_checks = 1")
