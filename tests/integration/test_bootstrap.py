"""The database made ready by a user with the rights of an RDS master user, and CloudFormation answered."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import bootstrap as function  # functions/bootstrap.py
from local.mysql import ADMIN, MySQLServer
from rowferry import db, schema
from rowferry.bootstrap import APP_CONNECTIONS, BI_CONNECTIONS, bootstrap
from rowferry.config import BootstrapSettings, Settings
from rowferry.db import Connection
from rowferry.errors import DatabaseError, DatabaseUnavailable

ROOT = Path(__file__).parents[2]
NAME = "row_ferry"  # in a GRANT, _ stands for any character


@pytest.fixture
def wanted(administrator: Settings, server: MySQLServer) -> Iterator[BootstrapSettings]:
    """Names of this test's own, so that the other tests' users and tables stay as they are."""
    app = replace(administrator, db_user="app", db_password="the app's", db_name=NAME)
    yield BootstrapSettings(app, ADMIN, server.admin_password, "reader", "the reader's")
    with db.session(administrator) as conn:
        for name in (NAME, "rowXferry"):
            db.run(conn, f"DROP DATABASE IF EXISTS `{name}`")
        for user in ("app", "reader"):
            db.run(conn, "DROP USER IF EXISTS %s@%s", (user, "%"))


@pytest.fixture
def as_app(wanted: BootstrapSettings) -> Iterator[Connection]:
    bootstrap(wanted)
    with db.session(wanted.app) as conn:
        yield conn


@pytest.fixture
def as_reader(wanted: BootstrapSettings) -> Iterator[Connection]:
    bootstrap(wanted)
    with db.session(replace(wanted.app, db_user="reader", db_password="the reader's")) as conn:
        yield conn


def accounts(administrator: Settings) -> dict[str, tuple[str, int, list[str]]]:
    """For each user its TLS, its bound and its grants."""
    with db.session(administrator) as conn:
        found = db.rows(
            conn, "SELECT user, ssl_type, max_user_connections FROM mysql.user WHERE user IN ('app', 'reader')"
        )
        return {
            row["user"]: (
                row["ssl_type"].decode() if isinstance(row["ssl_type"], bytes) else row["ssl_type"],
                row["max_user_connections"],
                [next(iter(line.values())) for line in db.rows(conn, "SHOW GRANTS FOR %s@%s", (row["user"], "%"))],
            )
            for row in found
        }


def test_twice_is_as_once_and_no_data_are_touched(wanted: BootstrapSettings, administrator: Settings) -> None:
    bootstrap(wanted)
    once = accounts(administrator)
    with db.session(wanted.app) as conn:
        db.run(conn, "INSERT INTO departments (id, name) VALUES (1, 'Sales')")
        bootstrap(wanted)
        assert schema.missing(conn) == []
        assert db.row(conn, "SELECT name FROM departments") == {"name": "Sales"}
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
        db.run(as_app, statement)


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
    assert db.rows(as_reader, "SELECT * FROM departments") == []
    with pytest.raises(DatabaseError, match="denied"):
        db.run(as_reader, statement)


def test_a_database_whose_name_only_looks_alike_is_not_reached(as_app: Connection, administrator: Settings) -> None:
    with db.session(administrator) as conn:
        db.run(conn, "CREATE DATABASE rowXferry")
        db.run(conn, "CREATE TABLE rowXferry.t (id INT)")
    with pytest.raises(DatabaseError, match="denied"):
        db.rows(as_app, "SELECT * FROM rowXferry.t")


def test_the_readers_connections_are_bounded_and_encrypted(as_reader: Connection, wanted: BootstrapSettings) -> None:
    reader = replace(wanted.app, db_user="reader", db_password="the reader's")
    others = [db.connect(reader) for _ in range(BI_CONNECTIONS - 1)]
    with pytest.raises(DatabaseUnavailable, match="1226"):
        db.connect(reader)
    for conn in others:
        conn.close()


def test_rights_that_somebody_added_are_taken_back(wanted: BootstrapSettings, administrator: Settings) -> None:
    bootstrap(wanted)
    before = accounts(administrator)
    with db.session(administrator) as conn:
        db.run(conn, "GRANT DROP ON row_ferry.* TO reader")
        db.run(conn, "GRANT SELECT ON rowferry.* TO reader")
        db.run(conn, "ALTER USER app REQUIRE NONE WITH MAX_USER_CONNECTIONS 0")
    bootstrap(wanted)
    assert accounts(administrator) == before


def test_after_a_new_password_the_old_one_is_good_until_the_next_time(wanted: BootstrapSettings) -> None:
    bootstrap(wanted)
    old, new = wanted.app, replace(wanted.app, db_password="another")
    bootstrap(replace(wanted, app=new))
    for settings in (old, new):
        db.connect(settings).close()
    bootstrap(replace(wanted, app=new))
    db.connect(new).close()
    with pytest.raises(DatabaseError, match="1045"):
        db.connect(old)


class CloudFormation:
    """Where the answers of custom resources go."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> "CloudFormation":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@dataclass
class Context:
    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "8a1d9c6e"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


@dataclass
class Asked:
    """The function called as CloudFormation calls it."""

    cloudformation: CloudFormation
    event: dict[str, Any] = field(default_factory=dict)

    def __call__(self, kind: str) -> dict[str, Any]:
        event = json.loads((ROOT / "events/bootstrap.json").read_text())
        event |= {
            "RequestType": kind,
            "ResponseURL": f"http://127.0.0.1:{self.cloudformation.server.server_port}/answer",
        }
        function.handle(event, Context())
        answer = self.cloudformation.answers[-1]
        for name in ("StackId", "RequestId", "LogicalResourceId"):
            assert answer[name] == event[name]
        assert answer["PhysicalResourceId"] == "rowferry-database"
        return answer


@pytest.fixture
def asked(wanted: BootstrapSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    for name in ("host", "port", "user", "password", "name", "tls_ca"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(wanted.app, f"db_{name}")))
    for name in ("admin_user", "admin_password", "bi_user", "bi_password"):
        monkeypatch.setenv(name.upper(), getattr(wanted, name))
    with CloudFormation() as cloudformation:
        yield Asked(cloudformation)


def test_cloudformation_is_told_that_all_is_well(asked: Asked, wanted: BootstrapSettings) -> None:
    for kind in ("Create", "Update"):
        answer = asked(kind)
        assert (answer["Status"], answer["Reason"]) == ("SUCCESS", "")
    assert asked.cloudformation.headers[0]["content-type"] == "", "the URL is signed for none"
    with db.session(wanted.app) as conn:
        assert schema.missing(conn) == []


def test_cloudformation_is_told_why_it_failed(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "wrong")
    answer = asked("Create")
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("DatabaseError: MySQL error 1045: Access denied")
    monkeypatch.delenv("BI_USER")
    assert asked("Update")["Reason"] == "SettingError: the environment variable BI_USER is missing"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (
            "BI_USER",
            "a" * 30 + "_bi",
            "BI_USER: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_bi has 33 characters; a MySQL user has 32",
        ),
        ("DB_TLS_CA", "", "DB_TLS_CA is empty, but users that are made here can log in by TLS only"),
    ],
)
def test_settings_that_no_user_could_log_in_with_are_refused_before_anything_is_made(
    asked: Asked, administrator: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    answer = asked("Create")
    assert (answer["Status"], answer["Reason"]) == ("FAILED", f"SettingError: {reason}")
    assert accounts(administrator) == {}


def test_a_table_that_is_not_as_declared_fails_the_deploy_in_words(asked: Asked, administrator: Settings) -> None:
    asked("Create")
    with db.session(administrator) as conn:
        db.run(conn, "ALTER TABLE row_ferry.jobs ADD COLUMN pay INT")
    answer = asked("Update")
    assert (answer["Status"], answer["Reason"]) == (
        "FAILED",
        "TablesDiffer: jobs.pay is in the database, but not declared",
    )


def test_deleting_the_stack_leaves_data_and_users(asked: Asked, wanted: BootstrapSettings) -> None:
    asked("Create")
    assert asked("Delete")["Status"] == "SUCCESS"
    with db.session(wanted.app) as conn:
        assert schema.missing(conn) == []
