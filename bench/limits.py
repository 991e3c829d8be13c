"""How long Plan, Reconcile and Summarise work on a file of so many records, and how much memory they take.

    python -m bench.limits [--records 1000000] [--order sorted|shuffled] [--rejected 0.0] [--quoted]

Each step runs in a process of its own against a real MySQL server, which holds the parents only; work files lie in a
folder that stands in for the bucket, so S3's time is not in it. What Validate leaves is written here, 25,000 records to
a batch. `--rejected`: the share of records that Validate has rejected. `--quoted`: a line feed within quotes in each
record, the slowest that Plan reads. Seconds are of the processor; memory is the process's most (Linux), with some
60 MB of Python and libraries in it.
"""

import argparse
import datetime as dt
import io
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO, cast

from local.mysql import MySQLServer
from rowferry import ledger
from rowferry.config import Options, Settings
from rowferry.csvfile.dialect import Dialect
from rowferry.csvfile.split import Batch, split
from rowferry.csvfile.splitter import Chunk
from rowferry.declare.catalog import table_named
from rowferry.ledger import Claim, LedgerRow, Totals
from rowferry.steps.reconcile import reconcile
from rowferry.steps.summarise import summarise
from rowferry.steps.validate import _write
from rowferry.steps.work_files import RunFiles
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket, Version
from rowferry.validate.verdict import Reject

TABLE = table_named("hired_employees")
KEY = "raw/hired_employees.csv"
NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)


class Folder(Bucket):
    """Objects as files: what the three steps ask of a bucket."""

    def __init__(self, path: Path) -> None:
        self.name = "folder"
        self._path = path

    def _file(self, key: str) -> Path:
        path = self._path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def read(self, key: str, version: str | None = None) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(io.FileIO(self._file(key)), 256 * 1024))

    def read_range(self, key: str, start: int, end: int) -> bytes:
        with self._file(key).open("rb") as fp:
            fp.seek(start)
            return fp.read(end - start)

    def read_all(self, key: str) -> bytes:
        return self._file(key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        self._file(key).write_bytes(body)

    def write_once(self, key: str, body: bytes) -> bool:
        self.write(key, body)
        return True

    def write_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        with self._file(key).open("wb") as fp:
            fp.writelines(blocks)

    def versions(self, prefix: str, begin: str = "") -> Iterator[Version]:
        return iter([Version(KEY, "1", "etag", 1, NOW)] if prefix == KEY else [])

    def metadata(self, key: str, version: str | None = None) -> dict[str, str]:
        return {}

    def copy(self, version: Version, to: str, metadata: object) -> None:
        pass

    def delete(self, version: Version) -> None:
        pass

    def tag(self, keys: Iterable[str], name: str, value: str) -> None:
        pass

    def keys(self, prefix: str) -> Iterator[str]:
        return iter([])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--order", choices=("sorted", "shuffled"), default="sorted")
    parser.add_argument("--rejected", type=float, default=0.0)
    parser.add_argument("--quoted", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rowferry-limits-") as name, MySQLServer.start(Path(name)) as server:
        settings = Settings(
            server.host, server.port, server.user, server.password, server.database, str(server.ca), "folder"
        )
        id = _prepare(settings, Folder(Path(name) / "bucket"), given)
        for step in (_plan, _reconcile, _summarise):
            with get_context("spawn").Pool(1) as pool:
                found = pool.apply(_measured, (step, settings, Path(name) / "bucket", id))
                print(f"{step.__name__[1:]}: {found}", flush=True)


def _measured(act: Callable[[Settings, Bucket, str], object], settings: Settings, path: Path, id: str) -> str:
    began, began_wall = time.process_time(), time.monotonic()
    said = act(settings, Folder(path), id)
    most = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
    spent = time.process_time() - began
    return f"{spent:.1f} s, {time.monotonic() - began_wall:.1f} s with waiting, {most:.0f} MB, {said}"


def _plan(settings: Settings, bucket: Bucket, id: str) -> str:
    began = time.process_time()
    with bucket.read(f"runs/{id}/input.csv") as fp:
        layout = split(fp, TABLE, 25)
    size = layout.batches[-1].end
    rate = size / 1e6 / (time.process_time() - began)
    return f"{layout.records:,} records, {size / 1e6:.0f} MB, {rate:.0f} MB/s"


def _reconcile(settings: Settings, bucket: Bucket, id: str) -> str:
    with mysql.session(settings) as conn:
        return reconcile(conn, bucket, ledger.read(conn, id), NOW + dt.timedelta(days=1)).outcome


def _summarise(settings: Settings, bucket: Bucket, id: str) -> str:
    with mysql.session(settings) as conn:
        run = ledger.read(conn, id)
        files = RunFiles(bucket, id, run.manifest)
        for batch in files.batches() if run.verdict and run.verdict.gate == "open" else ():
            late = run.verdict.batches.get(batch.batch, 0) if run.verdict else 0
            rejected = files.stats(batch.batch, TABLE).rejected + late
            totals = Totals(batch.records, inserted=batch.records - rejected, rejected=rejected)
            with mysql.transaction(conn):
                ledger.open_batch(conn, id, batch.batch, batch.records)
                ledger.close_batch(conn, id, LedgerRow(batch.batch, totals, None))
        report = summarise(conn, bucket, replace(run, status="running"))
        return f"{report['read']:,} read, {report['rejected']:,} rejected"


def _prepare(settings: Settings, bucket: Folder, given: argparse.Namespace) -> str:
    """A run as Validate leaves it."""
    keys = list(range(1, given.records + 1))
    if given.order == "shuffled":
        random.Random(1).shuffle(keys)
    with mysql.session(settings) as conn:
        for table in ("departments", "jobs"):
            mysql.run(conn, f"INSERT INTO {table} VALUES {', '.join(f'({n}, 1)' for n in range(1, 13))}")
        id = ledger.run_id("folder", KEY, "1")
        claim = Claim(id, "folder", KEY, "1", "etag", NOW, TABLE.name, "load", "arn:limits", Options())
        ledger.claim(conn, claim)
        files = RunFiles(bucket, id)
        batches = list(_batches(files, keys, given.rejected, given.quoted))
        ledger.keep_plan(conn, id, Dialect(), len(keys), len(batches), files.write_manifest(batches))
    return id


def _batches(files: RunFiles, keys: list[int], rejected: float, quoted: bool) -> Iterator[Batch]:
    bucket, at, lines = files.bucket, 0, 2 if quoted else 1
    assert isinstance(bucket, Folder)
    with bucket._file(files.input).open("wb") as fp:
        for number, begin in enumerate(range(0, len(keys), 25_000)):
            chunks, rows, rejects = list[Chunk](), list[bytes](), list[Reject]()
            for start in range(begin, min(begin + 25_000, len(keys)), 1_000):
                text = []
                for line, key in enumerate(keys[start : start + 1_000], start + 1):
                    name = f'"Harold\nVogt {key}"' if quoted else f"Harold Vogt {key}"
                    text.append(f"{key},{name},2021-11-07T02:48:42Z,{key % 12 + 1},{key % 12 + 1}\n")
                    if line % 1_000 < rejected * 1_000:
                        fields = (str(key), f"Harold Vogt {key}", "2021-11-07", "1", "1")
                        rejects.append(Reject(line * lines, ("datetime_format",), "line: " + "x" * 80, fields))
                    else:
                        moment = "2021-11-07 02:48:42"
                        rest = f"Harold Vogt {key}\t{moment}\t{key % 12 + 1}\t{key % 12 + 1}"
                        rows.append(f"{line * lines}\t{key}\t{rest}\n".encode())
                body = "".join(text).encode()
                fp.write(body)
                chunks.append(Chunk(at, at + len(body), start * lines + 1, len(text)))
                at += len(body)
            batch = Batch(number, tuple(chunks))
            files.keep_stats(number, _write(files, TABLE, batch, rejects, b"".join(rows)))
            yield batch


if __name__ == "__main__":
    main()
