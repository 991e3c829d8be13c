"""The views that the reporting user reads."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.mysql import ADMIN, MySQLServer
from rowferry.config import BootstrapSettings, Settings
from rowferry.errors import DatabaseError
from rowferry.reports import metrics
from rowferry.setup.bootstrap import bootstrap
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

NAME = "row_views"


@pytest.fixture
def reader(administrator: Settings, server: MySQLServer) -> Iterator[Connection]:
    """A session of the reporting user, on a database with a few rows."""
    app = replace(administrator, db_user="views_app", db_password="the app's", db_name=NAME)
    wanted = BootstrapSettings(app, ADMIN, server.admin_password, "views_reader", "the reader's")
    bootstrap(wanted)
    bootstrap(wanted)  # again, as every deploy does
    with mysql.session(app) as conn:
        fill(conn)
    try:
        with mysql.session(replace(app, db_user="views_reader", db_password="the reader's")) as conn:
            yield conn
    finally:
        with mysql.session(administrator) as conn:
            mysql.run(conn, f"DROP DATABASE `{NAME}`")
            for user in ("views_app", "views_reader"):
                mysql.run(conn, "DROP USER %s@%s", (user, "%"))


def fill(conn: Connection) -> None:
    mysql.run(conn, "INSERT INTO departments VALUES (1, 'Sales'), (2, 'Legal'), (3, 'Nobody')")
    mysql.run(conn, "INSERT INTO jobs VALUES (1, 'Cook')")
    days = [("2021-02-03", 1), ("2021-02-04", 1), ("2021-11-01", 1), ("2021-05-05", 2), ("2022-01-01", 2)]
    rows = ", ".join(f"({number}, 'x', '{day}', {department}, 1)" for number, (day, department) in enumerate(days, 1))
    mysql.run(conn, f"INSERT INTO hired_employees VALUES {rows}")
    report = json.dumps({"rejected_by_code": {"missing": 2, "not_integer": 1}})
    mysql.run(
        conn,
        "INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind, execution,"
        " status, stage, lease_until, options, records, report, started_at, claimed_at, finished_at)"
        " VALUES (REPEAT('a', 32), 'b', 'raw/Überseehandel.csv', 'v', 'e', NOW(), 'jobs', 'load', 'x', 'done',"
        " 'Finished', NOW(), '{}', 5, %s, '2026-11-30 10:00:00', NOW(), '2026-11-30 10:00:01.5')",
        (report,),
    )
    for batch in (0, 1):
        mysql.run(
            conn,
            "INSERT INTO rowferry_batches (run_id, batch, records, inserted, committed_at)"
            " VALUES (REPEAT('a', 32), %s, 1, 1, NOW())",
            (batch,),
        )


def rows(conn: Connection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in mysql.rows(conn, sql)]


def test_the_metrics_views_say_what_the_api_says(reader: Connection) -> None:
    quarters = rows(reader, "SELECT `year`, `quarter`, department, job, hired FROM v_hires_by_quarter ORDER BY 1, 2, 3")
    assert quarters == [
        (2021, 1, "Sales", "Cook", 2),
        (2021, 2, "Legal", "Cook", 1),
        (2021, 4, "Sales", "Cook", 1),
        (2022, 1, "Legal", "Cook", 1),
    ]
    found = rows(reader, "SELECT department_id, department, hired FROM v_departments_above_mean WHERE `year` = 2021")
    expected = metrics.departments_above_mean_hires(reader, 2021)
    assert found == [(one.id, one.department, one.hired) for one in expected] == [(1, "Sales", 3)]


def test_the_views_of_runs_have_their_account_and_their_rejects(reader: Connection) -> None:
    columns = "object_key, table_name, status, seconds, records_read, inserted, rejected"
    ((key, table, status, seconds, read, inserted, rejected),) = rows(reader, f"SELECT {columns} FROM v_migration_runs")
    assert (key, table, status, read, inserted, rejected) == ("raw/Überseehandel.csv", "jobs", "done", 5, 2, 0)
    assert float(seconds) == 1.5
    found = rows(reader, "SELECT table_name, code, rejected FROM v_rejects_by_code ORDER BY code")
    assert found == [("jobs", "missing", 2), ("jobs", "not_integer", 1)]


@pytest.mark.parametrize(("status", "code"), [("refused", "header"), ("failed", None)])
def test_the_view_of_runs_has_the_code_of_a_run_that_its_verdict_ended(
    reader: Connection, administrator: Settings, status: str, code: str | None
) -> None:
    with mysql.session(replace(administrator, db_name=NAME)) as conn:
        mysql.run(conn, "UPDATE rowferry_runs SET status = %s, verdict_code = 'header'", (status,))
    assert rows(reader, "SELECT status, code FROM v_migration_runs") == [(status, code)]


def test_the_reporting_user_can_change_nothing_through_a_view(reader: Connection) -> None:
    with pytest.raises(DatabaseError):
        mysql.run(reader, "DELETE FROM v_migration_runs")
