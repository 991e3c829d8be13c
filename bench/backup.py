"""Backups against `mysqldump | gzip`, restores against loading that dump: same server, same run, in turns.

    python -m bench.backup [--rows 1000000] [--pairs 3] [--shares 0 1 10 100]

A backup goes through S3 (the emulator's), a dump to a local file. A dump is loaded into tables that it drops and makes
anew; a restore finds an empty table, or one where a share of the rows differ. Each backup and restore is a process of
its own, whose peak memory is that of the process as a whole, Python and libraries with it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from local.emulator import Emulator
from local.mysql import MySQLServer
from local.mysqld import ROOT, one_at_a_time, unpack_packages
from local.samples import write_samples
from rowferry.backup import service
from rowferry.backup.restore import Order
from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket

CLIENT = ROOT / ".tools" / "mysql-client"
PACKAGES = ("mysql-client-core", "mysql-client-core-8.4", "mysql-client-core-8.0")
TABLE = "hired_employees"
BUCKET = "rowferry-bench"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--shares", type=float, nargs="*", default=[0, 1, 10, 100], help="of rows that differ, percent")
    parser.add_argument("--child", choices=["backup", "restore"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child)))
        return
    with tempfile.TemporaryDirectory(prefix="rowferry-bench-") as name, world(Path(name)) as bench:
        bench.fill(arguments.rows)
        bench.compare(arguments.pairs)
        bench.shares(arguments.shares)


# --- one backup or restore, in a process of its own ------------------------------------------------------------------


def child(kind: str) -> dict[str, Any]:
    settings = Settings.from_env(os.environ)
    bucket = Bucket(settings.bucket)
    before = peak()
    begun = time.monotonic()
    with mysql.session(settings) as conn:
        if kind == "backup":
            job = service.carry_out_backup(settings, bucket, service.begin_backup(conn, [TABLE]))
        else:
            order = Order((TABLE,))
            job = service.carry_out_restore(settings, bucket, service.begin_restore(conn, order), order)
    return {"seconds": time.monotonic() - begun, "before": before, "peak": peak(), "result": job.result}


def peak() -> float:
    """MB of this process, at its largest; Linux's own count, as getrusage's has that of the process that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


# --- against the dump ------------------------------------------------------------------------------------------------


@contextmanager
def world(folder: Path) -> Iterator["Bench"]:
    client()
    with MySQLServer.start(folder) as server, closing_emulator(folder) as emulator:
        boto3.client("s3", **emulator.client_options()).create_bucket(Bucket=BUCKET)
        yield Bench(server, emulator, folder)


@contextmanager
def closing_emulator(folder: Path) -> Iterator[Emulator]:
    emulator = Emulator.start(folder)
    try:
        yield emulator
    finally:
        emulator.stop()


@dataclass
class Bench:
    server: MySQLServer
    emulator: Emulator
    folder: Path

    def fill(self, rows: int) -> None:
        samples = write_samples(self.folder / "samples", rows, bad_share=0)
        with mysql.session(Settings.from_env(self.server.environment())) as conn:
            for table, header in (("departments", 1), ("jobs", 0), (TABLE, 0)):
                sql = f"LOAD DATA LOCAL INFILE %s INTO TABLE {table} CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
                quoting = f"OPTIONALLY ENCLOSED BY '\"' IGNORE {header} LINES"
                mysql.run(conn, f"{sql} {quoting}", (str(getattr(samples, table)),))
        print(f"{rows:,} rows of {TABLE}, {self.server.program}", flush=True)

    def compare(self, pairs: int) -> None:
        backups, restores = [], []
        for _ in range(pairs):
            dumped, backed_up = timed(self.dump), self.child("backup")
            size = backed_up["result"]["backups"][0]["bytes"] / 1e6
            backups.append(backed_up["seconds"] / dumped)
            sizes = f"{size:.1f} MB against {self.dumped.stat().st_size / 1e6:.1f}"
            say("backup", backed_up, f"mysqldump | gzip {dumped:6.2f} s, ratio {backups[-1]:4.2f}, {sizes}")
        for _ in range(pairs):
            loaded = timed(self.load_dump)
            self.sql(f"TRUNCATE TABLE {TABLE}")
            restored = self.child("restore")
            restores.append(restored["seconds"] / loaded)
            say("restore", restored, f"loading the dump {loaded:6.2f} s, ratio {restores[-1]:4.2f}")
        medians = (
            f"backup {statistics.median(backups):.2f}, restore into an empty table {statistics.median(restores):.2f}"
        )
        print(f"medians of the ratios: {medians}", flush=True)

    def shares(self, shares: list[float]) -> None:
        for share in shares:
            if share:
                self.sql(f"UPDATE {TABLE} SET name = CONCAT('x', name) WHERE id % 1000 < {share * 10:.0f}")
            restored = self.child("restore")
            counts = {name: restored["result"]["restored"][0][name] for name in ("inserted", "updated", "unchanged")}
            say("restore", restored, f"{share:g} % differ: {counts}")

    def child(self, kind: str) -> dict[str, Any]:
        env = {**os.environ, **self.server.environment(), **self.emulator.environment(), "BUCKET": BUCKET}
        command = [sys.executable, "-m", "bench.backup", "--child", kind]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    @property
    def dumped(self) -> Path:
        return self.folder / "dump.sql.gz"

    def dump(self) -> None:
        with self.dumped.open("wb") as fp:
            dump = subprocess.Popen(
                self.client("mysqldump", "--single-transaction", self.server.database, TABLE),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            subprocess.run(["gzip"], stdin=dump.stdout, stdout=fp, check=True)
            assert dump.wait() == 0, "mysqldump failed"

    def load_dump(self) -> None:
        with subprocess.Popen(["gzip", "-dc", str(self.dumped)], stdout=subprocess.PIPE) as unzip:
            subprocess.run(
                self.client("mysql", self.server.database), stdin=unzip.stdout, stderr=subprocess.DEVNULL, check=True
            )

    def client(self, program: str, *arguments: str) -> list[str]:
        who = ["--user=root", f"--password={self.server.root_password}"]
        where = [f"--host={self.server.host}", f"--port={self.server.port}", f"--ssl-ca={self.server.ca}"]
        return [*client(), program_path(program), "--no-defaults", *who, *where, *arguments]

    def sql(self, statement: str) -> None:
        with closing(self.server.connect("root")) as conn, conn.cursor() as cursor:
            cursor.execute(statement)
            conn.commit()


def timed(act: Callable[[], None]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def say(what: str, done: dict[str, Any], words: str) -> None:
    print(
        f"{what:8}{done['seconds']:7.2f} s  peak {done['peak']:4.0f} MB ({done['before']:.0f} at its begin)  {words}",
        flush=True,
    )


def client() -> list[str]:
    """How to start a client's program: nothing before it where it is installed, its loader where it was unpacked."""
    if shutil.which("mysqldump") and shutil.which("mysql"):
        return []
    with one_at_a_time():
        if not CLIENT.exists():
            unpack_packages(PACKAGES, CLIENT, "mysqldump")
    loader = next(CLIENT.glob("usr/lib*/**/ld-linux-*.so.*"))
    return [str(loader), "--library-path", str(next(CLIENT.glob("usr/lib/*/libc.so.6")).parent)]


def program_path(name: str) -> str:
    return shutil.which(name) or str(CLIENT / "usr" / "bin" / name)


if __name__ == "__main__":
    main()
