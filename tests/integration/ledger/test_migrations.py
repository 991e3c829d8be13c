"""Rowferry's own tables from the oldest version on, with data in them; code that meets tables of another release."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from rowferry import ledger
from rowferry.config import Settings
from rowferry.errors import DatabaseError, DatabaseUnavailable
from rowferry.ledger import WrongSchema, migrations
from rowferry.ledger.migrations import STEPS, Step, add_columns, create_tables
from rowferry.setup import tables
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.serving import TOKEN

OLDEST = Path(__file__).with_name("ledger_version_1.sql")
OLDEST_TABLES = ("rowferry_batches", "rowferry_runs", "rowferry_jobs", "rowferry_turns")
OLDEST_RUN = "00000000000000000000000000000001"


@pytest.fixture
def elsewhere(administrator: Settings) -> Iterator[Settings]:
    """A database of this test's own, empty."""
    with mysql.session(administrator) as conn:
        mysql.run(conn, "CREATE DATABASE migrated CHARACTER SET utf8mb4")
        try:
            yield replace(administrator, db_name="migrated")
        finally:
            mysql.run(conn, "DROP DATABASE migrated")


@pytest.fixture
def oldest(elsewhere: Settings) -> Iterator[Connection]:
    """A database as releases before rowferry_schema left it."""
    with mysql.session(elsewhere) as conn:
        for statement in OLDEST.read_text().split(";\n"):
            if statement.strip():
                mysql.run(conn, statement)
        yield conn


def definitions(conn: Connection, tables: Sequence[str] = migrations.TABLES) -> dict[str, list[Any]]:
    """By table its columns, indexes and keys, in words that don't depend on the order in which columns came."""
    found = {}
    for table in tables:
        row = mysql.row(conn, f"SHOW CREATE TABLE {table}")
        assert row
        lines = str(row["Create Table"]).splitlines()
        found[table] = sorted(line.strip().rstrip(",") for line in lines if "ENGINE=" not in line)
    return found


def contents(conn: Connection) -> dict[str, list[dict[str, Any]]]:
    """What the oldest version's columns hold."""
    tables = OLDEST_TABLES[:3]
    return {table: [dict(row) for row in mysql.rows(conn, f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables}


def kept(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether each row has the values that it had."""
    return all(
        [row | old for row, old in zip(after[table], rows, strict=True)] == after[table]
        for table, rows in before.items()
    )


def test_from_the_oldest_version_on_the_tables_become_those_of_a_new_database_and_keep_their_rows(
    oldest: Connection, admin: Connection
) -> None:
    before = contents(oldest)
    tables.create(oldest)
    assert definitions(oldest) == definitions(admin)
    assert kept(before, contents(oldest))
    run = ledger.progress(oldest, OLDEST_RUN)
    assert (run.run.key, run.totals.inserted, run.totals.rejected) == ("raw/jobs-a.csv", 2, 1)


def test_the_first_step_makes_the_tables_of_the_oldest_version(elsewhere: Settings, oldest: Connection) -> None:
    as_found = definitions(oldest, OLDEST_TABLES)
    for table in OLDEST_TABLES:
        mysql.run(oldest, f"DROP TABLE {table}")
    migrations.migrate(oldest, STEPS[:1])
    assert definitions(oldest, OLDEST_TABLES) == as_found


def test_twice_is_as_once(oldest: Connection) -> None:
    tables.create(oldest)
    once = definitions(oldest), contents(oldest), mysql.rows(oldest, "SELECT * FROM rowferry_schema")
    tables.create(oldest)
    assert (definitions(oldest), contents(oldest), mysql.rows(oldest, "SELECT * FROM rowferry_schema")) == once


def test_each_step_that_died_before_it_was_noted_is_safe_to_carry_out_again(oldest: Connection) -> None:
    for count in range(1, len(STEPS) + 1):
        migrations.migrate(oldest, STEPS[:count])
        mysql.run(oldest, "DELETE FROM rowferry_schema WHERE version = %s", (count,))
        migrations.migrate(oldest, STEPS[:count])
    assert mysql.row(oldest, "SELECT COUNT(*) AS n FROM rowferry_schema") == {"n": len(STEPS)}


def test_two_at_the_same_time_carry_out_each_step_once(elsewhere: Settings, oldest: Connection) -> None:
    inside, carried_out = threading.Semaphore(1), list[str]()

    def alone(conn: Connection) -> None:
        assert inside.acquire(blocking=False), "another migration is in the midst of the step"
        carried_out.append("step")
        mysql.row(conn, "SELECT SLEEP(0.3)")
        inside.release()

    steps = (*STEPS, Step("takes a while", alone))
    both = threading.Barrier(2)

    def migrate(_: int) -> None:
        with mysql.session(elsewhere) as conn:
            both.wait()
            migrations.migrate(conn, steps)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, range(2)))
    assert carried_out == ["step"]


def test_a_step_waits_for_a_transaction_that_uses_the_table(elsewhere: Settings, oldest: Connection) -> None:
    migrations.migrate(oldest)
    steps = (*STEPS, Step("one column more", add_columns("rowferry_jobs", {"extra": "INT NULL"})))
    with mysql.session(elsewhere) as using:
        mysql.run(using, "BEGIN")
        mysql.row(using, "SELECT * FROM rowferry_jobs LIMIT 1")
        mysql.run(oldest, "SET SESSION lock_wait_timeout = 1")
        threading.Timer(1.5, lambda: mysql.run(using, "COMMIT")).start()
        migrations.migrate(oldest, steps)
    assert "extra" in mysql.rows(oldest, "SELECT * FROM rowferry_jobs")[0]


# --- code and tables of two releases ---------------------------------------------------------------------------------

ADDED = Step("a column that older code does not know", add_columns("rowferry_runs", {"extra": "INT NULL"}))
BROKEN = Step("a change that older code can't work with", create_tables(), older_code_fails=True)


def test_older_code_goes_on_with_tables_that_have_more_columns(oldest: Connection) -> None:
    migrations.migrate(oldest, (*STEPS, ADDED))
    migrations.check(oldest)
    migrations.migrate(oldest)  # as where a deploy is rolled back
    assert ledger.read(oldest, OLDEST_RUN).key == "raw/jobs-a.csv"


def test_older_code_says_that_the_tables_are_too_new_for_it(oldest: Connection) -> None:
    migrations.migrate(oldest, (*STEPS, BROKEN))
    words = rf"only releases that know version {len(STEPS) + 1} .* this one knows {len(STEPS)}: deploy that newer"
    with pytest.raises(WrongSchema, match=words):
        migrations.check(oldest)
    with pytest.raises(WrongSchema, match=words):
        tables.create(oldest)


@pytest.mark.parametrize("found", ["tables without a version", "no tables"])
def test_newer_code_says_that_the_tables_are_too_old_for_it(
    oldest: Connection, elsewhere: Settings, found: str
) -> None:
    if found == "no tables":
        mysql.run(oldest, "DROP TABLE rowferry_batches, rowferry_runs, rowferry_jobs, rowferry_turns")
    with pytest.raises(WrongSchema, match=rf"version 0 .* needs version {len(STEPS)}"), ledger.session(elsewhere):
        pass


@pytest.fixture
def too_new(settings: Settings, admin: Connection) -> Iterator[Settings]:
    """The database that API and functions of these tests work with, as a later release could leave it."""
    version = len(STEPS) + 1
    sql = """
        INSERT INTO rowferry_schema (version, words, usable_from, applied_at)
        VALUES (%s, 'later', %s, UTC_TIMESTAMP(6))"""
    mysql.run(admin, sql, (version, version))
    yield settings
    mysql.run(admin, "DELETE FROM rowferry_schema WHERE version = %s", (version,))


def test_the_api_answers_503_with_the_reason(too_new: Settings, api: str) -> None:
    answer = httpx.get(f"{api}/runs", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert "deploy that newer release again" in answer.json()["detail"]
    assert "Retry-After" in answer.headers


def test_the_applications_user_may_read_the_version_and_not_the_tables_of_others(conn: Connection) -> None:
    migrations.check(conn)
    with pytest.raises(DatabaseError, match="denied"):
        migrations.migrate(conn, (*STEPS, ADDED))


def test_it_is_a_database_that_is_not_available_so_that_steps_are_tried_again() -> None:
    assert issubclass(WrongSchema, DatabaseUnavailable)
