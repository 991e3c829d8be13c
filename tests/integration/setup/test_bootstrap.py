"""The database made ready by a user with the rights of an RDS master user."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import pytest

from local.forward import forwarded
from local.mysql import ADMIN, MySQLServer
from rowferry.config import BootstrapSettings, Settings
from rowferry.errors import DatabaseError, DatabaseUnavailable
from rowferry.setup import tables
from rowferry.setup.bootstrap import APP_CONNECTIONS, BI_CONNECTIONS, TablesDiffer, bootstrap
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, LoginRefused

NAME = "row_ferry"  # in a GRANT, _ stands for any character


@pytest.fixture
def wanted(administrator: Settings, server: MySQLServer) -> Iterator[BootstrapSettings]:
    """Names of this test's own, so that the other tests' users and tables stay as they are."""
    app = replace(administrator, db_user="app", db_password="the app's", db_name=NAME)
    yield BootstrapSettings(app, ADMIN, server.admin_password, "reader", "the reader's")
    with mysql.session(administrator) as conn:
        for name in (NAME, "rowXferry"):
            mysql.run(conn, f"DROP DATABASE IF EXISTS `{name}`")
        for user in ("app", "reader"):
            mysql.run(conn, "DROP USER IF EXISTS %s@%s", (user, "%"))


@pytest.fixture
def as_app(wanted: BootstrapSettings) -> Iterator[Connection]:
    bootstrap(wanted)
    with mysql.session(wanted.app) as conn:
        yield conn


@pytest.fixture
def as_reader(wanted: BootstrapSettings) -> Iterator[Connection]:
    bootstrap(wanted)
    with mysql.session(replace(wanted.app, db_user="reader", db_password="the reader's")) as conn:
        yield conn


def accounts(administrator: Settings) -> dict[str, tuple[str, int, list[str]]]:
    """For each user its TLS, its bound and its grants."""
    with mysql.session(administrator) as conn:
        found = mysql.rows(
            conn, "SELECT user, ssl_type, max_user_connections FROM mysql.user WHERE user IN ('app', 'reader')"
        )
        return {
            row["user"]: (
                row["ssl_type"].decode() if isinstance(row["ssl_type"], bytes) else row["ssl_type"],
                row["max_user_connections"],
                [next(iter(line.values())) for line in mysql.rows(conn, "SHOW GRANTS FOR %s@%s", (row["user"], "%"))],
            )
            for row in found
        }


def test_twice_is_as_once_and_no_data_are_touched(wanted: BootstrapSettings, administrator: Settings) -> None:
    bootstrap(wanted)
    once = accounts(administrator)
    with mysql.session(wanted.app) as conn:
        mysql.run(conn, "INSERT INTO departments (id, name) VALUES (1, 'Sales')")
        bootstrap(wanted)
        assert tables.missing(conn) == []
        assert mysql.row(conn, "SELECT name FROM departments") == {"name": "Sales"}
    assert accounts(administrator) == once
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, TRIGGER"
    assert once == {
        "app": (
            "ANY",
            APP_CONNECTIONS,
            ["GRANT USAGE ON *.* TO `app`@`%`", f"GRANT {rights} ON `row\\_ferry`.* TO `app`@`%`"],
        ),
        "reader": (
            "ANY",
            BI_CONNECTIONS,
            ["GRANT USAGE ON *.* TO `reader`@`%`", "GRANT SELECT ON `row\\_ferry`.* TO `reader`@`%`"],
        ),
    }


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (id INT)",
        "DROP TABLE departments",
        "ALTER TABLE departments ADD COLUMN more INT",
        "TRUNCATE TABLE departments",
        "CREATE VIEW v AS SELECT 1",
        "CREATE USER other",
        "GRANT SELECT ON departments TO reader",
        "SELECT * FROM mysql.user",
        "SELECT * FROM rowferry.departments",
        "SET GLOBAL local_infile = 0",
        "LOCK TABLES departments WRITE",
    ],
)
def test_the_application_may_not(as_app: Connection, statement: str) -> None:
    with pytest.raises(DatabaseError, match="denied"):
        mysql.run(as_app, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO departments (id, name) VALUES (1, 'x')",
        "UPDATE departments SET name = 'x'",
        "DELETE FROM departments",
        "CREATE TEMPORARY TABLE t (id INT)",
        "SELECT * FROM departments FOR UPDATE",
        "DROP TABLE departments",
        "SELECT * FROM rowferry.departments",
    ],
)
def test_who_only_reads_may_not(as_reader: Connection, statement: str) -> None:
    assert mysql.rows(as_reader, "SELECT * FROM departments") == []
    with pytest.raises(DatabaseError, match="denied"):
        mysql.run(as_reader, statement)


def test_a_database_whose_name_only_looks_alike_is_not_reached(as_app: Connection, administrator: Settings) -> None:
    with mysql.session(administrator) as conn:
        mysql.run(conn, "CREATE DATABASE rowXferry")
        mysql.run(conn, "CREATE TABLE rowXferry.t (id INT)")
    with pytest.raises(DatabaseError, match="denied"):
        mysql.rows(as_app, "SELECT * FROM rowXferry.t")


def test_the_readers_connections_are_bounded_and_encrypted(as_reader: Connection, wanted: BootstrapSettings) -> None:
    reader = replace(wanted.app, db_user="reader", db_password="the reader's")
    others = [mysql.connect(reader) for _ in range(BI_CONNECTIONS - 1)]
    with pytest.raises(DatabaseUnavailable, match="1226"):
        mysql.connect(reader)
    for conn in others:
        conn.close()


def test_rights_that_somebody_added_are_taken_back(wanted: BootstrapSettings, administrator: Settings) -> None:
    bootstrap(wanted)
    before = accounts(administrator)
    with mysql.session(administrator) as conn:
        mysql.run(conn, "GRANT DROP ON row_ferry.* TO reader")
        mysql.run(conn, "GRANT SELECT ON rowferry.* TO reader")
        mysql.run(conn, "ALTER USER app REQUIRE NONE WITH MAX_USER_CONNECTIONS 0")
    bootstrap(wanted)
    assert accounts(administrator) == before


def test_columns_that_nobody_declared_are_left_alone(wanted: BootstrapSettings, administrator: Settings) -> None:
    """A column is added to the table before the release that declares it, and stays when that is rolled back."""
    bootstrap(wanted)
    with mysql.session(administrator) as conn:
        mysql.run(conn, "ALTER TABLE row_ferry.jobs ADD COLUMN pay INT NOT NULL DEFAULT 0")
    bootstrap(wanted)
    with mysql.session(administrator) as conn:
        mysql.run(conn, "ALTER TABLE row_ferry.jobs DROP COLUMN name")
    with pytest.raises(TablesDiffer, match=r"^jobs\.name is declared, but not in the database$"):
        bootstrap(wanted)


def test_a_database_that_does_not_answer_yet_is_waited_for(wanted: BootstrapSettings) -> None:
    """Its port is closed at the first try and leads to the server at the second."""
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        late = replace(wanted, app=replace(wanted.app, db_port=port))
        with pytest.raises(DatabaseUnavailable):
            bootstrap(late)
    opened = threading.Event()

    def open_later() -> None:
        with forwarded("127.0.0.1", wanted.app.db_port, at=port):
            opened.wait(60)

    opening = threading.Timer(1, open_later)
    opening.start()
    try:
        bootstrap(late, patience=60)
    finally:
        opened.set()
        opening.join()
    mysql.connect(wanted.app).close()


# --- passwords while a stack is updated, and when an update is rolled back


def with_passwords(wanted: BootstrapSettings, password: str) -> BootstrapSettings:
    return replace(wanted, app=replace(wanted.app, db_password=password), bi_password=f"{password} for reports")


def good(wanted: BootstrapSettings, *passwords: str) -> list[str]:
    """Those of the passwords with which both users can log in."""
    found = []
    for one in (with_passwords(wanted, password) for password in passwords):
        with suppress(LoginRefused):
            mysql.connect(one.app).close()
            mysql.connect(replace(one.app, db_user=one.bi_user, db_password=one.bi_password)).close()
            found.append(one.app.db_password)
    return found


PASSWORDS = ("first", "second", "third")


def test_after_a_new_password_the_old_one_is_good_until_the_next_new_one(wanted: BootstrapSettings) -> None:
    for password, both in (("first", ["first"]), ("second", ["first", "second"]), ("third", ["second", "third"])):
        bootstrap(with_passwords(wanted, password))
        assert good(wanted, *PASSWORDS) == both


def test_what_is_repeated_with_the_same_password_leaves_the_old_one_good(wanted: BootstrapSettings) -> None:
    """Lambda calls the function again where its answer was lost; another layer has it called with the next deploy."""
    for password in ("first", "second", "second", "second"):
        bootstrap(with_passwords(wanted, password))
    assert good(wanted, *PASSWORDS) == ["first", "second"]


def test_a_deploy_that_a_table_stops_changes_no_password_and_its_rollback_leaves_functions_with_theirs(
    wanted: BootstrapSettings, administrator: Settings
) -> None:
    bootstrap(with_passwords(wanted, "first"))
    with mysql.session(replace(administrator, db_name=NAME)) as conn:
        mysql.run(conn, "ALTER TABLE jobs RENAME COLUMN name TO title")
        with pytest.raises(TablesDiffer):
            bootstrap(with_passwords(wanted, "second"))
        assert good(wanted, *PASSWORDS) == ["first"]
        mysql.run(conn, "ALTER TABLE jobs RENAME COLUMN title TO name")
    bootstrap(with_passwords(wanted, "first"))
    assert good(wanted, *PASSWORDS) == ["first"]


def test_a_rollback_that_gives_the_old_password_again_leaves_the_one_between_good(wanted: BootstrapSettings) -> None:
    for password in ("first", "second", "first"):
        bootstrap(with_passwords(wanted, password))
    assert good(wanted, *PASSWORDS) == ["first", "second"]
    bootstrap(with_passwords(wanted, "third"))
    assert good(wanted, *PASSWORDS) == ["first", "third"]


def test_a_password_that_somebody_has_changed_by_hand_is_put_right(
    wanted: BootstrapSettings, administrator: Settings
) -> None:
    bootstrap(with_passwords(wanted, "first"))
    with mysql.session(administrator) as conn:
        mysql.run(conn, "ALTER USER app IDENTIFIED BY 'second'")
    bootstrap(with_passwords(wanted, "first"))
    assert good(wanted, "first") == ["first"]


def test_a_user_whose_connections_are_all_taken_keeps_its_password(wanted: BootstrapSettings) -> None:
    for password in ("first", "second"):
        bootstrap(with_passwords(wanted, password))
    one = with_passwords(wanted, "second")
    with ExitStack() as held:
        for _ in range(APP_CONNECTIONS):
            held.enter_context(mysql.session(one.app))
        bootstrap(one)
    assert good(wanted, *PASSWORDS) == ["first", "second"]


def test_a_release_that_comes_back_says_which_tables_it_puts_up_with(
    wanted: BootstrapSettings, administrator: Settings
) -> None:
    assert bootstrap(wanted, release="first") == ""
    with mysql.session(administrator) as conn:
        mysql.run(conn, f"ALTER TABLE {NAME}.jobs RENAME COLUMN name TO title")
    for release in ("", "second"):
        with pytest.raises(TablesDiffer):
            bootstrap(wanted, release=release)
    assert bootstrap(wanted, release="first") == "TablesDiffer: jobs.name is declared, but not in the database"
