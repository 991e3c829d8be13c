"""The whole way of a file against one bare LOAD DATA of the same file on the same server, in turns.

    python -m bench [--rows 1000000] [--pairs 5]

The whole way: from the upload's end to the run's end, through the deployed template on a local stack of its own, with
validation, reconciliation, the ledger and the summary. The bare load: one `LOAD DATA LOCAL INFILE` of the same bytes
into a table of the same shape with the same foreign keys, one transaction, nothing checked (each `Z` is a warning).
Both into empty tables, which must agree afterwards. Machines wander, so only the ratio of neighbours is worth much; the
median of the pairs is what to quote.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3

from local.mysql import ADMIN
from local.samples import write_samples
from local.stack import Stack, running
from rowferry.config import Settings
from rowferry.declare.catalog import TABLES
from rowferry.declare.ddl import create_table
from rowferry.storage import mysql

TABLE = "hired_employees"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rowferry-bench-") as name, running(Path(name)) as stack:
        folder = Path(name) / "samples"
        folder.mkdir()
        write_samples(folder, arguments.rows, seed=1, bad_share=0)
        bench = Bench(stack, folder, arguments.rows)
        bench.warm_up()
        bench.compare(arguments.pairs)


class Bench:
    """A stack, and the sample files that go into it."""

    def __init__(self, stack: Stack, folder: Path, rows: int) -> None:
        env = stack.environment()
        assert stack.emulator
        self._stack = stack
        self._folder = folder
        self._rows = rows
        self._s3: Any = boto3.client("s3", **stack.emulator.client_options())
        self._bucket = env["ROWFERRY_BUCKET"]

    def warm_up(self) -> None:
        """Parents, and each function once."""
        for table in ("departments", "jobs"):
            self._migrate(f"raw/{table}.csv", self._folder / f"{table}.csv")
        few = self._folder / "few.csv"
        with (self._folder / f"{TABLE}.csv").open() as whole:
            few.write_text("".join(line for _, line in zip(range(2_000), whole, strict=False)))
        self._migrate(f"raw/{TABLE}-few.csv", few)

    def compare(self, pairs: int) -> None:
        print(f"{self._rows:,} rows; bare LOAD DATA, whole way, their rates' ratio")
        found = []
        for pair in range(1, pairs + 1):
            bare = self._bare_load()
            whole = self._whole_way()
            assert self._checksum(TABLE) == self._checksum(f"{TABLE}_bare"), "the tables differ"
            found.append((bare, whole))
            rates = f"{self._rows / bare / 1000:6.1f} k rows/s {self._rows / whole / 1000:6.1f} k rows/s"
            print(f"{pair:3}  {bare:6.2f} s  {whole:6.2f} s  {rates}  {bare / whole:5.2f}", flush=True)
        ratios = [bare / whole for bare, whole in found]
        print(
            f"median: bare {statistics.median(bare for bare, _ in found):.2f} s,"
            f" whole way {statistics.median(whole for _, whole in found):.2f} s,"
            f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )

    def _whole_way(self) -> float:
        self._empty()
        report = self._migrate(f"raw/{TABLE}.csv", self._folder / f"{TABLE}.csv")
        assert report["inserted"] == report["read"] == self._rows, report
        return float(report["waited"])

    def _bare_load(self) -> float:
        names = ", ".join(f"`{name}`" for name in TABLES[TABLE].names)
        ddl = create_table(TABLES[TABLE]).replace(TABLE, f"{TABLE}_bare")
        with closing(self._connect()) as conn, conn.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {TABLE}_bare")
            cursor.execute(ddl)
            started = time.monotonic()
            cursor.execute(
                f"LOAD DATA LOCAL INFILE %s INTO TABLE {TABLE}_bare CHARACTER SET utf8mb4"
                " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\n'"
                f" ({names})",
                (str(self._folder / f"{TABLE}.csv"),),
            )
            conn.commit()
            return time.monotonic() - started

    def _checksum(self, table: str) -> Any:
        columns = ", ".join(f"`{name}`" for name in TABLES[TABLE].names)
        with closing(self._connect()) as conn, conn.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', {columns}))) FROM {table}")
            return cursor.fetchone()

    def _migrate(self, key: str, path: Path) -> dict[str, Any]:
        """A file's report; `waited`: seconds from the upload's end until the run's row says that it is finished."""
        with path.open("rb") as fp:
            version = self._s3.put_object(Bucket=self._bucket, Key=key, Body=fp)["VersionId"]
        started = time.monotonic()
        with closing(self._connect()) as conn, conn.cursor() as cursor:
            while True:
                cursor.execute("SELECT report, status, reason FROM rowferry_runs WHERE version_id = %s", (version,))
                found = cursor.fetchone()
                conn.rollback()
                if found and found[0]:
                    return {**json.loads(found[0]), "waited": time.monotonic() - started}
                if found and found[1] == "failed":
                    raise SystemExit(f"the run failed: {found[2]}")
                time.sleep(0.02)

    def _empty(self) -> None:
        with closing(self._connect()) as conn, conn.cursor() as cursor:
            cursor.execute(f"TRUNCATE TABLE {TABLE}")

    def _connect(self) -> Any:
        """As the administrator: the application may not empty or make tables."""
        server = self._stack.mysql
        assert server
        as_admin = {"DB_USER": ADMIN, "DB_PASSWORD": server.admin_password}
        return mysql.connect(Settings.from_env(server.environment() | as_admin))


if __name__ == "__main__":
    main()
