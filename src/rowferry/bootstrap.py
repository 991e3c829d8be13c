"""The database made ready by an administrator: the schema, its tables, the application's user and one that only reads.

Safe to repeat: no data is touched, and rights, limits and passwords become what is said here. The administrator needs
no more than an RDS master user has.
"""

import time
from contextlib import closing
from dataclasses import dataclass, field, replace

from rowferry import db, schema
from rowferry.config import BootstrapSettings, Settings
from rowferry.db import Connection
from rowferry.errors import DatabaseUnavailable, Never
from rowferry.tables import TABLES


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


def bootstrap(settings: BootstrapSettings, patience: float = 0) -> None:
    """Tries for `patience` seconds to connect. Columns that the classes do not declare are left alone.

    Raises: TablesDiffer, after everything else was made; what db.py raises.
    """
    app = Account(settings.app.db_user, settings.app.db_password, APP_RIGHTS, APP_CONNECTIONS)
    reader = Account(settings.bi_user, settings.bi_password, BI_RIGHTS, BI_CONNECTIONS)
    admin = replace(settings.app, db_user=settings.admin_user, db_password=settings.admin_password)
    with closing(_connect(replace(admin, db_name=""), patience)) as conn:
        name = settings.app.db_name
        db.run(conn, f"CREATE DATABASE IF NOT EXISTS {_quoted(name)} CHARACTER SET utf8mb4")
        db.run(conn, f"USE {_quoted(name)}")
        schema.create(conn)
        for account in (app, reader):
            make_account(conn, account, name)
        if found := [words for table in TABLES.values() for words in schema.misfits(conn, table)]:
            raise TablesDiffer("; ".join(found))


def _connect(admin: Settings, patience: float) -> Connection:
    deadline = time.monotonic() + patience
    while True:
        try:
            return db.connect(admin)
        except DatabaseUnavailable:
            if time.monotonic() + _BETWEEN_TRIES > deadline:
                raise
        time.sleep(_BETWEEN_TRIES)


def make_account(conn: Connection, account: Account, database: str) -> None:
    """Makes it, or makes it so again.

    A password that was changed stays valid beside the new one until this runs once more: functions that still have
    the old one go on while a stack is being updated.
    """
    user = (account.name, "%")
    means = f"REQUIRE SSL WITH MAX_USER_CONNECTIONS {account.connections}"
    db.run(conn, f"CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY %s {means}", (*user, account.password))
    db.run(conn, f"ALTER USER %s@%s IDENTIFIED BY %s RETAIN CURRENT PASSWORD {means}", (*user, account.password))
    pattern = _quoted(database.replace("_", "\\_"))  # there, _ stands for any character
    if _grants(conn, account) != {f"{account.rights} ON {pattern}.*"}:
        db.run(conn, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s@%s", user)
        db.run(conn, f"GRANT {account.rights} ON {pattern}.* TO %s@%s", user)


def _grants(conn: Connection, account: Account) -> set[str]:
    """What it may do, as `rights ON what`; the right to log in is not counted."""
    found = db.rows(conn, "SHOW GRANTS FOR %s@%s", (account.name, "%"))
    lines = [str(next(iter(row.values()))) for row in found]
    return {line.removeprefix("GRANT ").partition(" TO ")[0] for line in lines} - {"USAGE ON *.*"}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
