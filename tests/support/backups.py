"""Backups and restores as functions and API order them, and tables to do them with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rowferry.backup import export, record, service
from rowferry.backup.export import Manifest
from rowferry.backup.restore import Order
from rowferry.backup.retention import Retention
from rowferry.backup.table_schema import avro_schema
from rowferry.config import Settings
from rowferry.declare.catalog import TABLES, table_named
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Job
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

LONGEST = "x" * 65_535
MOMENTS = [
    "1970-01-01 00:00:01",
    "1970-07-18 20:11:09",
    "1970-07-18 20:11:10",
    "2021-11-07 02:48:42",
    "2038-01-19 03:14:07",
]
NUMBERS = [-(2**31), -1_048_577, -8_193, -65, -64, -1, 0, 1, 63, 64, 8_191, 8_192, 1_048_576, 134_217_728, 2**31 - 1]
TEXTS = [
    "a",
    "é",
    "😀",
    "\\N",
    "\\",
    "tab\there",
    "line\nend\r\n",
    "\0",
    "\x1a",
    "'\"`",
    " blank ",
    "x" * 127,
    "😀" * 16_383,
    LONGEST,
]
READINGS = [
    ("-99999999.99", "-0.999999999999999999", "-999999999999999999", -(2**63)),
    ("99999999.99", "0.999999999999999999", "999999999999999999", 2**63 - 1),
    ("-0.01", "-0.000000000000000001", "-1", -(2**62) - 1),
    ("0.01", "0.000000000000000001", "1", 2**62),
    ("-0.00", "-0", "-0", 0),
    ("-7.50", "0.1", "10", -1),
    *(("1", "0", "0", sign * 2**bits + off) for bits in range(6, 63, 7) for sign in (-1, 1) for off in (-1, 0)),
]

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
        with mysql.session(self.settings) as conn:
            mysql.run_many(conn, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(rows))

    def family(self, employees: int = 5) -> None:
        """Three departments, two jobs, some employees."""
        self.fill("departments", [(1, "Legal"), (2, "Payroll"), (3, "Ticketing")])
        self.fill("jobs", [(1, "Cook"), (2, "Purser")])
        hired = [(i, f"Ada {i}", "2021-11-07 02:48:42", i % 2 + 1, i % 2 + 1) for i in range(1, employees + 1)]
        self.fill("hired_employees", hired)

    def run(self, *statements: str) -> None:
        with mysql.session(self.settings) as conn:
            for statement in statements:
                mysql.run(conn, statement)

    def rows(self, table: str) -> list[dict[str, Any]]:
        with mysql.session(self.settings) as conn:
            return rows_of(conn, table)

    def state(self) -> dict[str, list[dict[str, Any]]]:
        return {table: self.rows(table) for table in TABLES}

    def checksum(self, table: str) -> tuple[int, str]:
        """By SQL, of what is in the table now."""
        with mysql.session(self.settings) as conn:
            expression = record.checksum_sql(avro_schema(conn, table_named(table)), "t")
            found = mysql.row(conn, f"SELECT COUNT(*) AS n, {expression} AS checksum FROM {table} t") or {}
            return found["n"], found["checksum"]

    # --- backups

    def begin_backup(self, *tables: str) -> str:
        with mysql.session(self.settings) as conn:
            return service.begin_backup(conn, tables)

    def back_up(self, *tables: str, retention: Retention | None = None, ends: float | None = None) -> str:
        """Answers the backup's id."""
        id = self.begin_backup(*tables)
        service.carry_out_backup(self.settings, self.bucket, id, ends, retention)
        return id

    def manifest(self, table: str, id: str) -> Manifest:
        return export.manifest(self.bucket, table, id)

    def data(self, table: str, id: str) -> bytes:
        return self.bucket.read_all(export.data_key(table, id))

    def objects(self) -> list[str]:
        return sorted(self.bucket.keys("backups/"))

    # --- restores

    def begin_restore(self, order: Order) -> str:
        with mysql.session(self.settings) as conn:
            return service.begin_restore(conn, order)

    def restore(self, *tables: str, ends: float | None = None, **order: Any) -> Any:
        """Answers what became of each table, by its name."""
        wanted = Order(tables, **order)
        job = service.carry_out_restore(self.settings, self.bucket, self.begin_restore(wanted), wanted, ends)
        assert job.status == "done"
        return {restored["table"]: counts(restored) for restored in job.result["restored"]}

    def jobs(self) -> list[Job]:
        with mysql.session(self.settings) as conn:
            ids = [row["id"] for row in mysql.rows(conn, "SELECT id FROM rowferry_jobs ORDER BY id")]
            return [jobs.read(conn, id) for id in ids]


def rows_of(conn: Connection, table: str) -> list[dict[str, Any]]:
    """A table's rows in the order of their keys, each value as the bytes that are stored, or None."""
    columns = table_named(table).names if table in TABLES else ("id", "name")
    exact = ", ".join(f"CAST({name} AS BINARY) AS {name}" for name in columns)
    return [dict(row) for row in mysql.rows(conn, f"SELECT {exact} FROM {table} ORDER BY {table}.id")]


def counts(restored: dict[str, Any]) -> tuple[int, int, int, int]:
    """inserted, updated, deleted, unchanged."""
    return tuple(restored[name] for name in ("inserted", "updated", "deleted", "unchanged"))


def extremes(vault: Vault) -> None:
    """Rows with every type's limits; the backups in backups_of_format_1 hold the same."""
    vault.fill("departments", [(key, text) for key, text in zip(NUMBERS, [*TEXTS, ""], strict=True)])
    vault.fill("jobs", [(1, "Cook")])
    hired = [(at, TEXTS[at], MOMENTS[at % len(MOMENTS)], NUMBERS[at], 1) for at in range(len(TEXTS))]
    vault.fill("hired_employees", hired)
    vault.fill("readings", [(at, *numbers, "a") for at, numbers in enumerate(READINGS, 1)])
