"""Rowferry's own tables and how they came to be: numbered steps, carried out in order by who makes the database ready.

A step is added at the end of STEPS and never changed afterwards. Each may be carried out twice: MySQL commits each
statement about a table by itself, so what dies in the midst of a step begins that step anew. Code of another release
may be at work at the same time, before and after a deploy: a step that adds a table or a column that has a default
disturbs none; one that does, says so (`older_code_fails`), and older code then answers that it can't work.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rowferry.config import Settings
from rowferry.errors import Contention, DatabaseUnavailable, NoSuchTable
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

LOCK_SECONDS = 60
"""For so long a migration waits for another one that is under way."""

_TRIES = 5
"""Each waits 20 seconds (`lock_wait_timeout`) until transactions that use a table have ended."""


class WrongSchema(DatabaseUnavailable):
    """Rowferry's own tables are older or newer than this code; a deploy that is under way ends that."""


@dataclass(frozen=True)
class Step:
    """What it does, in words for the log, and how. `older_code_fails`: code from before it can't work after it."""

    words: str
    apply: Callable[[Connection], None]
    older_code_fails: bool = False


def migrate(conn: Connection, steps: Sequence[Step] | None = None) -> None:
    """Carries out the steps that the database has not had. Two at the same time: one waits for the other.

    Raises: WrongSchema where the tables are of a newer release that this one can't work with; Contention.
    """
    steps = STEPS if steps is None else steps
    mysql.run(conn, _SCHEMA)
    with _alone(conn):
        done, _ = _versions(conn)
        for version, step in enumerate(steps, 1):
            if version > done:
                _carry_out(conn, step)
                mysql.run(conn, _DONE, (version, step.words, version if step.older_code_fails else 1))
    check(conn, steps)


@contextmanager
def session(settings: Settings) -> Iterator[Connection]:
    """`db.session` for code that works with Rowferry's own tables.

    Raises: WrongSchema.
    """
    with mysql.session(settings) as conn:
        check(conn)
        yield conn


def check(conn: Connection, steps: Sequence[Step] | None = None) -> None:
    """Asks, by one small query, whether this code can work with the tables that are there.

    Raises: WrongSchema.
    """
    try:
        found, usable_from = _versions(conn)
    except NoSuchTable:
        found, usable_from = 0, 1
    mine = len(STEPS if steps is None else steps)
    if found < mine:
        raise WrongSchema(
            f"the database has version {found} of Rowferry's own tables and this release needs version {mine}: the"
            " deploy that brings them has not come so far, or failed; deploy again (on the local stack: make up)"
        )
    if usable_from > mine:
        raise WrongSchema(
            f"the database has version {found} of Rowferry's own tables, which only releases that know version"
            f" {usable_from} can work with, and this one knows {mine}: deploy that newer release again"
        )


def _versions(conn: Connection) -> tuple[int, int]:
    """The newest step that was carried out, and the oldest release, by its newest step, that can work with the tables.

    Raises: NoSuchTable.
    """
    row = mysql.row(conn, "SELECT MAX(version) AS version, MAX(usable_from) AS usable_from FROM rowferry_schema")
    return (int(row["version"] or 0), int(row["usable_from"] or 1)) if row else (0, 1)


@contextmanager
def _alone(conn: Connection) -> Iterator[None]:
    """One migration of a database at a time; the server frees the lock of a session that ends."""
    got = mysql.row(conn, f"SELECT GET_LOCK({_LOCK}, {LOCK_SECONDS}) AS got")
    if not got or got["got"] != 1:
        raise Contention(f"another migration of the database has been at work for {LOCK_SECONDS} seconds")
    try:
        yield
    finally:
        if conn.open:
            mysql.row(conn, f"SELECT RELEASE_LOCK({_LOCK})")


_LOCK = "CONCAT('rowferry-schema-', LEFT(SHA2(DATABASE(), 256), 40))"
"""Within the 64 characters that a lock's name may have."""


def _carry_out(conn: Connection, step: Step) -> None:
    for tries_left in reversed(range(_TRIES)):
        try:
            step.apply(conn)
        except Contention:
            if not tries_left:
                raise
        else:
            return


# --- what steps are made of ------------------------------------------------------------------------------------------


def create_tables(*statements: str) -> Callable[[Connection], None]:
    """For statements that are safe to repeat: CREATE TABLE IF NOT EXISTS, INSERT IGNORE."""

    def apply(conn: Connection) -> None:
        for statement in statements:
            mysql.run(conn, statement)

    return apply


def add_columns(table: str, columns: dict[str, str]) -> Callable[[Connection], None]:
    """Columns, by name with their definition, that the table does not have yet. NULL or with a default, each."""

    def apply(conn: Connection) -> None:
        there = _columns(conn, table)
        changes = [f"ADD COLUMN `{name}` {definition}" for name, definition in columns.items() if name not in there]
        if changes:
            mysql.run(conn, f"ALTER TABLE `{table}` {', '.join(changes)}")

    return apply


def _columns(conn: Connection, table: str) -> set[str]:
    sql = """
        SELECT column_name AS name FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = %s"""
    return {str(row["name"]) for row in mysql.rows(conn, sql, (table,))}


# --- the steps -------------------------------------------------------------------------------------------------------

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rowferry_schema (
  version INT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'a step that was carried out',
  words VARCHAR(255) NOT NULL COMMENT 'what it did',
  usable_from INT UNSIGNED NOT NULL COMMENT 'the newest step that code must know to work with it',
  applied_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_DONE = """
INSERT IGNORE INTO rowferry_schema (version, words, usable_from, applied_at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6))
"""

_RUNS = """
CREATE TABLE IF NOT EXISTS rowferry_runs (
  id CHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  claim BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE COMMENT 'the order of claims',
  bucket VARCHAR(63) CHARACTER SET ascii NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  version_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  etag VARCHAR(255) CHARACTER SET ascii NOT NULL,
  uploaded_at DATETIME(6) NOT NULL,
  table_name VARCHAR(64) NOT NULL COMMENT 'empty: the path names no table',
  kind VARCHAR(8) NOT NULL COMMENT 'load or check',
  execution VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status VARCHAR(16) NOT NULL COMMENT 'running, done, refused, gated, superseded, checked or failed',
  stage VARCHAR(16) NOT NULL COMMENT 'the state that the run is in',
  reason TEXT NULL COMMENT 'why it was refused, gated or failed',
  lasting BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it failed for a reason that starting it again does not cure',
  starts INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'executions that have had it',
  lease_until DATETIME(6) NOT NULL,
  options JSON NOT NULL,
  dialect JSON NULL,
  records BIGINT UNSIGNED NULL COMMENT 'counted by Plan',
  batches INT UNSIGNED NULL,
  verdict JSON NULL COMMENT 'what Reconcile and the gate decided',
  low_key BIGINT NULL,
  high_key BIGINT NULL,
  turn VARCHAR(8) NULL COMMENT 'waiting for or holding its range of keys',
  report JSON NULL,
  started_at DATETIME(6) NOT NULL,
  claimed_at DATETIME(6) NOT NULL COMMENT 'by the execution that has it',
  finished_at DATETIME(6) NULL,
  KEY execution (execution),
  KEY table_status (table_name, status),
  KEY object_key (bucket, object_key(255))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_BATCHES = """
CREATE TABLE IF NOT EXISTS rowferry_batches (
  run_id CHAR(32) CHARACTER SET ascii NOT NULL,
  batch INT UNSIGNED NOT NULL,
  records BIGINT UNSIGNED NOT NULL,
  inserted BIGINT UNSIGNED NOT NULL DEFAULT 0,
  updated BIGINT UNSIGNED NOT NULL DEFAULT 0,
  unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejected BIGINT UNSIGNED NOT NULL DEFAULT 0,
  withheld BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_insert BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'of those withheld, for a check',
  would_update BIGINT UNSIGNED NOT NULL DEFAULT 0,
  would_unchanged BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rejects_key VARCHAR(1024) NULL COMMENT 'rejects that this batch found while loading',
  committed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (run_id, batch),
  CONSTRAINT rowferry_batches_run FOREIGN KEY (run_id) REFERENCES rowferry_runs (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_JOBS = """
CREATE TABLE IF NOT EXISTS rowferry_jobs (
  id CHAR(29) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'sorts by time; a backup has its own as its name',
  kind VARCHAR(9) NOT NULL COMMENT 'backup, restore or rehearsal',
  table_names VARCHAR(1024) NOT NULL COMMENT 'that it reads or writes, commas between',
  status VARCHAR(8) NOT NULL COMMENT 'running, done or failed',
  reason TEXT NULL COMMENT 'why it failed',
  result JSON NULL,
  lease_until DATETIME(6) NOT NULL,
  guarded BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'it lives no longer than its session, which has a lock',
  started_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  KEY status (status)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_LOCKS = """
CREATE TABLE IF NOT EXISTS rowferry_turns (
  table_name VARCHAR(64) NOT NULL PRIMARY KEY COMMENT 'locked by whoever decides whose turn it is'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_ATTEMPTS = """
CREATE TABLE IF NOT EXISTS rowferry_attempts (
  run_id CHAR(32) CHARACTER SET ascii NOT NULL,
  attempt INT UNSIGNED NOT NULL,
  execution VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  status VARCHAR(16) NOT NULL COMMENT 'running, or the run''s own when the attempt ended',
  reason TEXT NULL COMMENT 'why it failed',
  started_at DATETIME(6) NOT NULL,
  ended_at DATETIME(6) NULL,
  PRIMARY KEY (run_id, attempt)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
"""

_FIRST_ATTEMPTS = """
INSERT IGNORE INTO rowferry_attempts (run_id, attempt, execution, status, reason, started_at, ended_at)
SELECT id, 1, execution, status, reason, claimed_at, finished_at FROM rowferry_runs
"""

STEPS: tuple[Step, ...] = (
    Step("runs, batches, jobs and table locks", create_tables(_RUNS, _BATCHES, _JOBS, _LOCKS)),
    Step("what each execution of a run came to", create_tables(_ATTEMPTS, _FIRST_ATTEMPTS)),
    Step("runs that a person asked to start again", add_columns("rowferry_runs", {"asked_at": "DATETIME(6) NULL"})),
    Step("which manifest a run's plan stands on", add_columns("rowferry_runs", {"manifest": "VARCHAR(255) NULL"})),
    Step(
        "ranges of keys of any type",
        add_columns("rowferry_runs", {"low_range": "VARBINARY(255) NULL", "high_range": "VARBINARY(255) NULL"}),
    ),
    Step(
        "the code of a verdict",
        add_columns("rowferry_runs", {"verdict_code": "VARCHAR(64) CHARACTER SET ascii NULL"}),
    ),
)

TABLES = tuple(f"rowferry_{name}" for name in ("schema", "runs", "batches", "attempts", "jobs", "turns"))
"""Rowferry's own."""
