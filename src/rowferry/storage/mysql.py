"""The one file that knows PyMySQL: connections, transactions, and its errors as ours.

Every session runs in UTC, strict SQL and READ COMMITTED, with short waits: a function that died with its transaction
open must not block its successor for long.
"""

import datetime as dt
import random
import re
import ssl
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import pymysql
from pymysql import connections
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor, DictCursor, SSCursor

from rowferry.config import Settings
from rowferry.errors import (
    Contention,
    DatabaseError,
    DatabaseUnavailable,
    NoSuchTable,
    RowferryError,
    SettingError,
)

_IN_AT_ONCE = 5_000
_STREAMED_AT_ONCE = 100
_RDS_CA = Path(__file__).with_name("rds-ca.pem")
"""The authorities of RDS in all public regions; `make rds-ca` renews the file."""

Row = Mapping[str, Any]
Args = Sequence[object]
Connection: TypeAlias = "connections.Connection[Cursor]"

_SESSION = (
    "SET SESSION time_zone = '+00:00', transaction_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 20,"
    " lock_wait_timeout = 20, wait_timeout = 900, net_read_timeout = 60, net_write_timeout = 60, sql_mode ="
    " 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "ONLY_FULL_GROUP_BY'"
)

_TABLE_CHANGED = 1412  # ER_TABLE_DEF_CHANGED: its definition is younger than the transaction's snapshot
_CONTENTION = {_TABLE_CHANGED, ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT}
_BREAKS: Mapping[int, tuple[str, str]] = {
    ER.DUP_ENTRY: ("not_unique", r"for key '(?:[^'.]*\.)?([^']*)'$"),
    ER.NO_REFERENCED_ROW: ("no_parent", "CONSTRAINT `([^`]*)`"),  # 1216: without rights on the parent table
    ER.NO_REFERENCED_ROW_2: ("no_parent", "CONSTRAINT `([^`]*)`"),
    3819: ("rule", r"^Check constraint '([^']*)' is violated"),  # ER_CHECK_CONSTRAINT_VIOLATED
}
"""By error: the reject's code, and where the message names the constraint."""
_QUOTING = {ER.PARSE_ERROR, ER.WARN_DATA_OUT_OF_RANGE, 1292, 1300, ER.TRUNCATED_WRONG_VALUE_FOR_FIELD, 1411}
"""Errors whose text holds what a log must not: the SQL, or a row's contents."""
_USER_LIMIT = 1226  # ER_USER_LIMIT_REACHED: MAX_USER_CONNECTIONS
_FULL = {_USER_LIMIT, ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS}
_UNAVAILABLE = {
    *_FULL,
    1053,  # ER_SERVER_SHUTDOWN
    3024,  # ER_QUERY_TIMEOUT: max_execution_time
    1290,  # ER_OPTION_PREVENTS_STATEMENT: --read-only while RDS fails over
    3169,  # ER_SESSION_WAS_KILLED
    4031,  # ER_CLIENT_INTERACTION_TIMEOUT
    ER.QUERY_INTERRUPTED,
    ER.DISK_FULL,
    ER.RECORD_FILE_FULL,
    ER.OUT_OF_RESOURCES,
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    CR.CR_CONN_HOST_ERROR,
    CR.CR_CONNECTION_ERROR,
}


class ValueRefused(DatabaseError):
    """A value that its column or the character set does not take, or a statement that makes no sense."""


class BreaksConstraint(DatabaseError):
    """A row that a constraint of the database does not allow. Another try helps only where somebody else wrote a row.

    `code`: as of a reject, `not_unique`, `no_parent` or `rule`. `constraint`: its name, PRIMARY for the key; it may be
    empty, where the user has no right to see it.
    """

    def __init__(self, code: str, constraint: str) -> None:
        super().__init__(f"a row breaks the constraint {constraint} ({code})")
        self.code = code
        self.constraint = constraint

    @property
    def is_key(self) -> bool:
        """Its key is there already."""
        return self.code == "not_unique" and self.constraint == "PRIMARY"


class LoginRefused(DatabaseUnavailable):
    """The password is not the user's. It may be in a moment: a deploy changes users and functions one after another."""


def connect(settings: Settings) -> Connection:
    """A session of its own; the caller closes it. Where all connections are taken it waits for one, `patience` seconds.

    Raises: DatabaseUnavailable, LoginRefused among it; DatabaseError for a wrong name or certificate; SettingError.
    """
    deadline = time.monotonic() + settings.patience
    while True:
        try:
            return _connect(settings)
        except DatabaseUnavailable as error:
            if not _is_full(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.1, 1))  # noqa: S311 (so that not all who wait come at once)


def _is_full(error: DatabaseUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, pymysql.err.MySQLError) and cause.args[:1] in {(code,) for code in _FULL}


def _connect(settings: Settings) -> Connection:
    """PyMySQL has one bound for all that it reads, so the long one for statements is set once the session is there.

    Otherwise a server that is frozen, which takes connections and says nothing, would be waited for as for a statement.
    """
    with _errors_as_ours():
        conn = pymysql.connect(
            host=settings.db_host,
            port=settings.db_port,
            user=settings.db_user,
            password=settings.db_password,
            database=settings.db_name,
            charset="utf8mb4",
            autocommit=True,
            local_infile=True,
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.connect_seconds,
            write_timeout=settings.connect_seconds,
            init_command=_SESSION,
            ssl=_tls(settings),
        )
    private: Any = conn
    private._read_timeout = private._write_timeout = settings.answer_seconds
    return conn


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Checks the server's certificate and its name; None where no authority is set, for a stand-in server."""
    if not settings.db_tls_ca:
        return None
    try:
        return _context(str(_RDS_CA) if settings.db_tls_ca == "rds" else settings.db_tls_ca)
    except OSError as error:
        raise SettingError(f"DB_TLS_CA: {settings.db_tls_ca} is not a file with certificates: {error}") from error


@lru_cache
def _context(ca: str) -> ssl.SSLContext:
    """Kept, as reading some eighty authorities takes longer than connecting.

    The certificate must come from one of the authorities and name the host. Python 3.13's check of a certificate's form
    on top (RFC 5280 to the letter) is left out, as PyMySQL does: it is not known whether all of RDS's pass it.
    """
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@contextmanager
def session(settings: Settings) -> Iterator[Connection]:
    """`connect`, closed at the end."""
    conn = connect(settings)
    try:
        yield conn
    finally:
        if conn.open:
            conn.close()


@contextmanager
def transaction(conn: Connection) -> Iterator[None]:
    """Commits at the end, rolls back at any exception.

    Raises: Contention for what repeating the transaction cures, DatabaseUnavailable where the connection is lost: then
    it is unknown whether it was committed.
    """
    run(conn, "BEGIN")
    try:
        yield
        run(conn, "COMMIT")
    except BaseException:
        try:
            run(conn, "ROLLBACK")
        except RowferryError:
            conn.close()  # the server rolls back what a closed session left open
        raise


@contextmanager
def snapshot(conn: Connection) -> Iterator[dt.datetime]:
    """One moment of all tables, for reading; answers a moment before it: what was committed until then is in it.

    Raises: Contention for a table that was altered since, DatabaseUnavailable.
    """
    run(conn, "SET SESSION net_write_timeout = 600")  # while the reader waits for S3, the server waits for the reader
    before = row(conn, "SELECT UTC_TIMESTAMP(6) AS now")
    assert before
    run(conn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    run(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    try:
        yield before["now"].replace(tzinfo=dt.UTC)
    finally:
        if conn.open:
            run(conn, "ROLLBACK")


def run(conn: Connection, sql: str, args: Args = ()) -> int:
    """Affected rows: those written, not those matched."""
    with _errors_as_ours(), conn.cursor() as cursor:
        return int(cursor.execute(sql, args or None))


def run_many(conn: Connection, sql: str, rows: Sequence[Args]) -> int:
    """One INSERT for many rows."""
    with _errors_as_ours(), conn.cursor() as cursor:
        return int(cursor.executemany(sql, rows) or 0)


def rows(conn: Connection, sql: str, args: Args = ()) -> Sequence[Row]:
    """All rows of an answer that is known to be small."""
    with _errors_as_ours(), conn.cursor(DictCursor) as cursor:
        cursor.execute(sql, args or None)
        return list(cursor.fetchall())


def stream(conn: Connection, sql: str) -> Generator[Sequence[tuple[Any, ...]]]:
    """An answer of any size, a hundred rows at a time; the server waits until they are taken.

    Who stops before the end has closed the connection: there is no other way to make the server stop.
    """
    with _errors_as_ours():
        cursor = conn.cursor(SSCursor)
        try:
            cursor.execute(sql)
            while some := cursor.fetchmany(_STREAMED_AT_ONCE):
                yield some
        except BaseException:
            _abandon(conn)
            raise
        cursor.close()


def _abandon(conn: Connection) -> None:
    """Closes a connection in the midst of an answer, which PyMySQL would otherwise read to its end."""
    private: Any = conn
    if private._result:
        private._result.unbuffered_active = False
        private._result = None
    if conn.open:
        conn.close()


def rows_in(conn: Connection, sql: str, values: Sequence[object]) -> Iterator[Row]:
    """`rows` of a statement with `IN ({})` for any number of values, so many at a time as one statement bears well."""
    for begin in range(0, len(values), _IN_AT_ONCE):
        part = values[begin : begin + _IN_AT_ONCE]
        yield from rows(conn, sql.format(", ".join(["%s"] * len(part))), part)


def row(conn: Connection, sql: str, args: Args = ()) -> Row | None:
    """The first row of an answer, None where there is none."""
    return next(iter(rows(conn, sql, args)), None)


def load_local(
    conn: Connection, path: str, table: str, columns: Sequence[str], computed: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """LOAD DATA LOCAL of a file in normal form (`Validated.normal_text`); answers affected rows and warnings.

    `columns` may hold `@name` for a field that goes nowhere but into `computed`, expressions by column. LOCAL turns
    duplicate keys, missing parents and values that don't fit into warnings, so the rows are in only where
    affected = rows sent and warnings = 0.
    """
    sql = (
        f"LOAD DATA LOCAL INFILE %s INTO TABLE `{table}` CHARACTER SET utf8mb4"
        " FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n'"
        f" ({', '.join(column if column.startswith('@') else f'`{column}`' for column in columns)})"
    )
    if computed:
        sql += f" SET {', '.join(f'`{column}` = {value}' for column, value in computed.items())}"
    with _errors_as_ours(), conn.cursor() as cursor:
        return int(cursor.execute(sql, (path,))), cursor.warning_count


@contextmanager
def foreign_keys_unchecked(conn: Connection) -> Iterator[None]:
    """For rows whose parents this transaction has locked: the server need not look for them again, row by row."""
    run(conn, "SET SESSION foreign_key_checks = 0")
    try:
        yield
    finally:
        if conn.open:
            run(conn, "SET SESSION foreign_key_checks = 1")


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    try:
        yield
    except pymysql.err.InterfaceError as error:  # the connection was closed under us
        raise DatabaseUnavailable("the database connection is closed") from error
    except pymysql.err.MySQLError as error:
        raise _ours(error) from error
    except OSError as error:
        raise DatabaseUnavailable(f"the database is out of reach: {error}") from error


def _ours(error: pymysql.err.MySQLError) -> RowferryError:
    code = error.args[0] if error.args else 0
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):  # not "out of reach": trying again changes nothing
        return DatabaseError(f"the database's certificate is not accepted: {cause}")
    if code == ER.ACCESS_DENIED_ERROR:
        words = (
            "while a deploy changes passwords this passes; if it does not, deploy again with another CredentialsVersion"
        )
        return LoginRefused(f"the database refuses the login (MySQL error {code}): {error.args[-1]}; {words}")
    if code in _CONTENTION:
        return Contention(f"the database asks for another try (MySQL error {code})")
    if code in _BREAKS:
        reject, pattern = _BREAKS[code]
        name = re.search(pattern, str(error.args[-1]))
        return BreaksConstraint(reject, name[1] if name else "")
    if code in _UNAVAILABLE:
        return DatabaseUnavailable(f"the database is not available (MySQL error {code}): {error.args[-1]}")
    if code in _QUOTING:
        return ValueRefused(f"MySQL error {code}: it quotes the statement or a value, so it is not shown")
    kind = NoSuchTable if code == ER.NO_SUCH_TABLE else DatabaseError
    return kind(f"MySQL error {code}: {error.args[-1]}")
