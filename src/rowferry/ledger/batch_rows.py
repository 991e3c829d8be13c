"""The books: a row for each batch that was loaded or withheld, written in the batch's own transaction."""

from collections.abc import Sequence
from dataclasses import astuple, fields

from rowferry.ledger.model import LedgerRow, Totals, Would
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection, Row

SUM_NAMES = [field.name for field in fields(Totals)]


def has_batches(run: str) -> str:
    """Whether a run, by its table's name in the statement, has batches in the books."""
    return f"EXISTS (SELECT 1 FROM rowferry_batches b WHERE b.run_id = {run}.id)"


def open_batch(conn: Connection, id: str, batch: int, records: int) -> bool:
    """Within the batch's transaction, first: False where the batch is already in the books.

    Waits while another transaction has the same batch open.
    """
    sql = """
        INSERT INTO rowferry_batches (run_id, batch, records, committed_at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6))
        ON DUPLICATE KEY UPDATE batch = rowferry_batches.batch"""
    return mysql.run(conn, sql, (id, batch, records)) == 1


def close_batch(conn: Connection, id: str, row: LedgerRow) -> None:
    """Within the batch's transaction, last: what became of its records."""
    names = ", ".join(f"{name} = %s" for name in SUM_NAMES)
    sql = f"""
        UPDATE rowferry_batches SET {names}, would_insert = %s, would_update = %s, would_unchanged = %s,
          rejects_key = %s, committed_at = UTC_TIMESTAMP(6) WHERE run_id = %s AND batch = %s"""
    values = [getattr(row.totals, name) for name in SUM_NAMES]
    mysql.run(conn, sql, (*values, *astuple(row.would), row.rejects_key, id, row.batch))


def batch(conn: Connection, id: str, number: int) -> LedgerRow | None:
    """A batch's row, None where it is not in the books."""
    row = mysql.row(conn, "SELECT * FROM rowferry_batches WHERE run_id = %s AND batch = %s", (id, number))
    return _ledger_row(row) if row else None


def batches(conn: Connection, id: str) -> Sequence[LedgerRow]:
    """A run's ledger, in the order of its batches."""
    found = mysql.rows(conn, "SELECT * FROM rowferry_batches WHERE run_id = %s ORDER BY batch", (id,))
    return list(map(_ledger_row, found))


def _ledger_row(row: Row) -> LedgerRow:
    totals = Totals(*(int(row[name]) for name in SUM_NAMES))
    would = Would(int(row["would_insert"]), int(row["would_update"]), int(row["would_unchanged"]))
    return LedgerRow(int(row["batch"]), totals, row["rejects_key"], would)


def withhold(conn: Connection, id: str, rows: Sequence[LedgerRow]) -> None:
    """Writes the books of a run whose gate is shut, all batches in one transaction; a repeat changes nothing."""
    with mysql.transaction(conn):
        for row in rows:
            if open_batch(conn, id, row.batch, row.totals.records):
                close_batch(conn, id, row)
