"""What the database's errors become."""

import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from rowferry.config import Settings
from rowferry.errors import DatabaseError, DatabaseUnavailable
from rowferry.setup.bootstrap import APP_CONNECTIONS
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

SECRET = "Zebedee Quickfoot"


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO jobs (id, name) VALUES ('{SECRET}', 'x')",  # 1366: incorrect integer value
        f"UPDATE jobs SET name = CAST('{SECRET}' AS SIGNED) WHERE id = 1",  # 1292
        f"SELECT '{SECRET}' FROM WHERE",  # 1064: near '...'
        f"INSERT INTO hired_employees VALUES (1, 'x', '{SECRET}', 1, 1)",  # 1292: incorrect datetime value
    ],
)
def test_an_error_never_quotes_a_value_or_the_statement(conn: Connection, statement: str) -> None:
    mysql.run(conn, "INSERT INTO jobs (id, name) VALUES (1, 'x')")
    with pytest.raises(DatabaseError, match="MySQL error") as raised:
        mysql.run(conn, statement)
    assert SECRET not in str(raised.value)


def test_an_error_about_names_says_which(conn: Connection) -> None:
    with pytest.raises(DatabaseError, match=r"1146.*no_such_table"):
        mysql.run(conn, "SELECT 1 FROM no_such_table")


def test_where_all_connections_are_taken_a_function_waits_for_one(settings: Settings) -> None:
    with ExitStack() as held:
        for _ in range(APP_CONNECTIONS):
            conn = held.enter_context(mysql.session(settings))
        with pytest.raises(DatabaseUnavailable):
            mysql.connect(settings)
        threading.Timer(1, conn.close).start()
        with mysql.session(replace(settings, patience=20)) as mine:
            assert mysql.row(mine, "SELECT 1 AS one") == {"one": 1}
