"""The database made ready by an administrator: the schema, its tables, the application's user and one that only reads.

Safe to repeat: no data is touched, and rights, limits and passwords become what is said here. The administrator needs
no more than an RDS master user has.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from rowferry.config import BootstrapSettings, Settings
from rowferry.declare import ddl
from rowferry.declare.catalog import TABLES
from rowferry.errors import DatabaseUnavailable, Never
from rowferry.ledger import WrongSchema
from rowferry.setup import tables, views
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, LoginRefused


class TablesDiffer(Never):
    """A table is not what its class declares; the text says how."""


@dataclass(frozen=True)
class Account:
    """A user from anywhere, by TLS only. `rights` on the schema as SHOW GRANTS spells them, and no others anywhere."""

    name: str
    password: str = field(repr=False)
    rights: str
    connections: int


APP_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, TRIGGER"
"""TRIGGER, as MySQL shows a table's triggers to nobody else; it is used for looking only."""
APP_CONNECTIONS = 30
"""At the same time, whatever runs; the smallest RDS instance takes about 60."""

BI_RIGHTS = "SELECT"
BI_CONNECTIONS = 10


_BETWEEN_TRIES = 5
"""Seconds. A server that was just made, or is failing over, is out of reach for minutes."""


def bootstrap(settings: BootstrapSettings, patience: float = 0, release: str = "") -> str:
    """Tries for `patience` seconds to connect. Columns that the classes do not declare are left alone.

    `release` names what is deployed, code and settings. One that was ready here before is asked for again where
    CloudFormation rolls a deploy back. Tables that do not fit it are put up with then, or the rollback would fail too:
    the answer says so in words, and is empty otherwise. Files of such a table fail in Plan.

    Raises: TablesDiffer or WrongSchema, before a user is made or changed; what storage.mysql raises.
    """
    app = Account(settings.app.db_user, settings.app.db_password, APP_RIGHTS, APP_CONNECTIONS)
    reader = Account(settings.bi_user, settings.bi_password, BI_RIGHTS, BI_CONNECTIONS)
    admin = replace(settings.app, db_user=settings.admin_user, db_password=settings.admin_password)
    put_up_with = ""
    with closing(_connect(replace(admin, db_name=""), patience)) as conn:
        name = settings.app.db_name
        mysql.run(conn, f"CREATE DATABASE IF NOT EXISTS {_quoted(name)} CHARACTER SET utf8mb4")
        mysql.run(conn, f"USE {_quoted(name)}")
        were_ready = _attribute(conn, app, _RELEASES) or []
        try:
            _make_tables(conn)
        except (TablesDiffer, WrongSchema) as error:
            if release not in were_ready:
                raise
            put_up_with = f"{type(error).__name__}: {error}"
        for account in (app, reader):
            make_account(conn, account, settings.app)
        if release and release not in were_ready:
            _note(conn, app, {_RELEASES: [*were_ready, release][-_RELEASES_KEPT:]})
    return put_up_with


def _make_tables(conn: Connection) -> None:
    tables.create(conn)
    if found := [words for table in TABLES.values() for words in ddl.misfits(conn, table)]:
        raise TablesDiffer("; ".join(found))
    views.create(conn)


def _connect(admin: Settings, patience: float) -> Connection:
    deadline = time.monotonic() + patience
    while True:
        try:
            return mysql.connect(admin)
        except LoginRefused:
            raise
        except DatabaseUnavailable:
            if time.monotonic() + _BETWEEN_TRIES > deadline:
                raise
        time.sleep(_BETWEEN_TRIES)


def make_account(conn: Connection, account: Account, where: Settings) -> None:
    """Makes it, or makes it so again.

    A password that was changed stays valid beside the new one until it is changed once more: functions that still have
    the old one go on while a stack is being updated, also where this is repeated or the update is rolled back.
    """
    user, database = (account.name, "%"), where.db_name
    means = f"REQUIRE SSL WITH MAX_USER_CONNECTIONS {account.connections}"
    mysql.run(conn, f"CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY %s {means}", (*user, account.password))
    if _has_password(conn, account, where):
        mysql.run(conn, f"ALTER USER %s@%s {means}", user)
    else:
        mark = json.dumps({_MARK: _mark(account)})  # by the same statement, or a call that dies between has none
        change = f"ALTER USER %s@%s IDENTIFIED BY %s RETAIN CURRENT PASSWORD {means} ATTRIBUTE %s"
        mysql.run(conn, change, (*user, account.password, mark))
    pattern = _quoted(database.replace("_", "\\_"))  # there, _ stands for any character
    if _grants(conn, account) != {f"{account.rights} ON {pattern}.*"}:
        mysql.run(conn, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s@%s", user)
        mysql.run(conn, f"GRANT {account.rights} ON {pattern}.* TO %s@%s", user)


# --- what is noted about a user, in its attribute


_MARK = "rowferry_password"
_RELEASES = "rowferry_releases"
_RELEASES_KEPT = 50
"""Of so many the last ones are known again; sixteen characters each."""


def _attribute(conn: Connection, account: Account, name: str) -> Any:
    """None where the user is not there, or nothing is noted under that name."""
    sql = "SELECT attribute AS noted FROM information_schema.user_attributes WHERE user = %s AND host = %s"
    found = mysql.row(conn, sql, (account.name, "%"))
    return json.loads(found["noted"]).get(name) if found and found["noted"] else None


def _note(conn: Connection, account: Account, attributes: Mapping[str, Any]) -> None:
    """Beside what is noted under other names."""
    mysql.run(conn, "ALTER USER %s@%s ATTRIBUTE %s", (account.name, "%", json.dumps(attributes)))


def _mark(account: Account) -> str:
    """Tells a password from another one. Not to be guessed from, as passwords are made at random."""
    return hashlib.sha256(account.password.encode()).hexdigest()


def _has_password(conn: Connection, account: Account, where: Settings) -> bool:
    """Whether the password is the user's newest one: to set it again would end the one before it."""
    if _attribute(conn, account, _MARK) != _mark(account):
        return False
    try:
        mysql.connect(replace(where, db_name="", db_user=account.name, db_password=account.password)).close()
    except LoginRefused:  # somebody has changed it by hand
        return False
    except DatabaseUnavailable:  # all its connections are taken, which the server looks at after the password
        return True
    return True


def _grants(conn: Connection, account: Account) -> set[str]:
    """What it may do, as `rights ON what`; the right to log in is not counted."""
    found = mysql.rows(conn, "SHOW GRANTS FOR %s@%s", (account.name, "%"))
    lines = [str(next(iter(row.values()))) for row in found]
    return {line.removeprefix("GRANT ").partition(" TO ")[0] for line in lines} - {"USAGE ON *.*"}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
