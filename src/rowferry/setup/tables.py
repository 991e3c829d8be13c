"""The tables in MySQL: the declared ones and Rowferry's own, created where they are missing."""

from rowferry.declare.catalog import TABLES
from rowferry.declare.ddl import create_table
from rowferry.ledger import migrations
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection


def create(conn: Connection) -> None:
    """Makes every table that is missing; brings Rowferry's own ones to this release's version. Safe to repeat.

    A table of tables.py that is there is left as it is.
    """
    migrations.migrate(conn)
    for statement in map(create_table, TABLES.values()):
        mysql.run(conn, statement)
    mysql.run_many(conn, "INSERT IGNORE INTO rowferry_turns (table_name) VALUES (%s)", [(name,) for name in TABLES])


def missing(conn: Connection) -> list[str]:
    """The required tables that are not in the connection's database."""
    there = mysql.rows(conn, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()")
    names = {str(row["name"]) for row in there}
    return [name for name in (*TABLES, *migrations.TABLES) if name not in names]
