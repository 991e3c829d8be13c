"""Backups and restores as functions and API order them, and tables to do them with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rowferry import avro, backup, db, jobs, vault
from rowferry.backup import Manifest
from rowferry.config import Settings
from rowferry.db import Connection
from rowferry.jobs import Job
from rowferry.restore import Order
from rowferry.retention import Retention
from rowferry.s3 import Bucket
from rowferry.schema import avro_schema
from rowferry.tables import TABLES, table_named

Rows = Sequence[tuple[Any, ...]]


@dataclass
class Vault:
    """What a test does with tables and their backups."""

    settings: Settings
    bucket: Bucket

    def fill(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Rows in the table's order; moments as text, in UTC."""
        columns = table_named(table).names
        marks = ", ".join(["%s"] * len(columns))
        with db.session(self.settings) as conn:
            db.run_many(conn, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(rows))

    def family(self, employees: int = 5) -> None:
        """Three departments, two jobs, some employees."""
        self.fill("departments", [(1, "Legal"), (2, "Payroll"), (3, "Ticketing")])
        self.fill("jobs", [(1, "Cook"), (2, "Purser")])
        hired = [(i, f"Ada {i}", "2021-11-07 02:48:42", i % 2 + 1, i % 2 + 1) for i in range(1, employees + 1)]
        self.fill("hired_employees", hired)

    def run(self, *statements: str) -> None:
        with db.session(self.settings) as conn:
            for statement in statements:
                db.run(conn, statement)

    def rows(self, table: str) -> list[dict[str, Any]]:
        with db.session(self.settings) as conn:
            return rows_of(conn, table)

    def state(self) -> dict[str, list[dict[str, Any]]]:
        return {table: self.rows(table) for table in TABLES}

    def checksum(self, table: str) -> tuple[int, str]:
        """By SQL, of what is in the table now."""
        with db.session(self.settings) as conn:
            expression = avro.checksum_sql(avro_schema(conn, table_named(table)), "t")
            found = db.row(conn, f"SELECT COUNT(*) AS n, {expression} AS checksum FROM {table} t") or {}
            return found["n"], found["checksum"]

    # --- backups

    def begin_backup(self, *tables: str) -> str:
        with db.session(self.settings) as conn:
            return vault.begin_backup(conn, tables)

    def back_up(self, *tables: str, retention: Retention | None = None, ends: float | None = None) -> str:
        """Answers the backup's id."""
        id = self.begin_backup(*tables)
        vault.carry_out_backup(self.settings, self.bucket, id, ends, retention)
        return id

    def manifest(self, table: str, id: str) -> Manifest:
        return backup.manifest(self.bucket, table, id)

    def data(self, table: str, id: str) -> bytes:
        return self.bucket.read_all(backup.data_key(table, id))

    def objects(self) -> list[str]:
        return sorted(self.bucket.keys("backups/"))

    # --- restores

    def begin_restore(self, order: Order) -> str:
        with db.session(self.settings) as conn:
            return vault.begin_restore(conn, order)

    def restore(self, *tables: str, ends: float | None = None, **order: Any) -> Any:
        """Answers what became of each table, by its name."""
        wanted = Order(tables, **order)
        job = vault.carry_out_restore(self.settings, self.bucket, self.begin_restore(wanted), wanted, ends)
        assert job.status == "done"
        return {restored["table"]: counts(restored) for restored in job.result["restored"]}

    def jobs(self) -> list[Job]:
        with db.session(self.settings) as conn:
            ids = [row["id"] for row in db.rows(conn, "SELECT id FROM rowferry_jobs ORDER BY id")]
            return [jobs.read(conn, id) for id in ids]


def rows_of(conn: Connection, table: str) -> list[dict[str, Any]]:
    """A table's rows in the order of their keys, each value as the bytes that are stored, or None."""
    columns = table_named(table).names if table in TABLES else ("id", "name")
    exact = ", ".join(f"CAST({name} AS BINARY) AS {name}" for name in columns)
    return [dict(row) for row in db.rows(conn, f"SELECT {exact} FROM {table} ORDER BY {table}.id")]


def counts(restored: dict[str, Any]) -> tuple[int, int, int, int]:
    """inserted, updated, deleted, unchanged."""
    return tuple(restored[name] for name in ("inserted", "updated", "deleted", "unchanged"))
