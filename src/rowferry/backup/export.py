"""Backups: tables as they were at one moment, each as backups/<table>/<id>/data.avro and, last, manifest.json.

A backup without a manifest is none. Tables that are backed up together share their id and their moment.
"""

import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

import rowferry
from rowferry.backup import avro, record, table_schema
from rowferry.backup.record import Checksum, Schema
from rowferry.declare.definition import TableDefinition
from rowferry.declare.key_sql import columns_sql
from rowferry.errors import BackupDamaged, NotFound, SchemaDiffers
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Tick
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

PLACE = "backups/"


class Manifest(BaseModel):
    """What a backup is: written last, so that where it is, everything is.

    `snapshot_at`: what was committed until then is in it. `together`: the tables of the same moment. `bytes` and
    `sha256` are the file's; `checksum` is that of the rows' lines, whatever their order (`record.checksum_sql`). `seal`
    is the SHA-256 of everything else here; it shows that the manifest is as it was written. In format 1 `checksum` was
    that of the records' Avro bytes, which nobody computes any more: `sha256` alone says that the file is as it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 2
    id: str
    table: str
    together: tuple[str, ...]
    snapshot_at: AwareDatetime
    rows: int
    bytes: int
    sha256: str
    checksum: str
    codec: str
    avro_schema: dict[str, Any]
    fingerprint: str
    seconds: float
    server_version: str
    rowferry_version: str
    seal: str = ""

    @property
    def record(self) -> Schema:
        """Raises: BackupDamaged."""
        return Schema.of_json(self.avro_schema)

    def describes(self, rows: int, checksum: str) -> bool:
        """Whether these are the rows that were backed up."""
        return rows == self.rows and (self.format == 1 or checksum == self.checksum)


def folder(table: str, id: str = "") -> str:
    """Where a table's backups lie, or one of them."""
    return f"{PLACE}{table}/{id}/" if id else f"{PLACE}{table}/"


def data_key(table: str, id: str) -> str:
    return f"{folder(table, id)}data.avro"


def manifest_key(table: str, id: str) -> str:
    return f"{folder(table, id)}manifest.json"


# --- making one ------------------------------------------------------------------------------------------------------


def backup(conn: Connection, bucket: Bucket, tables: Sequence[TableDefinition], id: str, tick: Tick) -> list[Manifest]:
    """Backs up tables as they are at one moment, over one connection and whatever their size in constant memory.

    Where it fails, no manifest is written; the connection may be closed then.

    Raises: SchemaDiffers, NotFound, OutOfTime, Contention, DatabaseUnavailable, StorageUnavailable; Busy where the job
    was taken for dead meanwhile.
    """
    with mysql.snapshot(conn) as moment:
        schemas = _opened(conn, tables)
        version = str((mysql.row(conn, "SELECT VERSION() AS v") or {})["v"])
        manifests = []
        for table, found in zip(tables, schemas, strict=True):
            begun = time.monotonic()
            data, contents = _write(conn, bucket, table, found, data_key(table.name, id), tick)
            manifests.append(
                Manifest(
                    id=id,
                    table=table.name,
                    together=tuple(table.name for table in tables),
                    snapshot_at=moment,
                    rows=contents.rows,
                    bytes=data.bytes,
                    sha256=data.sha256,
                    checksum=contents.digits,
                    codec=avro.CODEC,
                    avro_schema=found.as_json(),
                    fingerprint=found.fingerprint,
                    seconds=round(time.monotonic() - begun, 3),
                    server_version=version,
                    rowferry_version=rowferry.__version__,
                )
            )
    jobs.confirm(conn, id)
    for manifest in manifests:
        told = manifest.model_dump(mode="json")
        bucket.write(manifest_key(manifest.table, id), json.dumps(told | {"seal": seal(told)}, indent=2).encode())
    return manifests


def seal(told: Mapping[str, Any]) -> str:
    """Of a manifest as JSON, in whatever order and spacing."""
    rest = {name: value for name, value in told.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _opened(conn: Connection, tables: Sequence[TableDefinition]) -> list[Schema]:
    """Looks into each table, so that none can be altered or dropped before it is read."""
    for table in tables:
        mysql.row(conn, f"SELECT 1 FROM `{table.name}` LIMIT 1")
    return [table_schema.avro_schema(conn, table) for table in tables]


def _write(
    conn: Connection, bucket: Bucket, table: TableDefinition, found: Schema, key: str, tick: Tick
) -> tuple["Passed", Checksum]:
    passed, contents = Passed(), Checksum()
    sql = f"SELECT {record.line_sql(found, 't')} FROM `{table.name}` t ORDER BY {columns_sql(table.key, 't')}"
    with (
        closing(mysql.stream(conn, sql)) as rows,  # whatever S3 does: the server must not go on
        avro.written_beside(found, _lines(rows, table, tick), contents) as pieces,
    ):
        bucket.write_stream(key, passed.by(pieces))
    return passed, contents


def _lines(rows: Iterable[Sequence[tuple[bytes]]], table: TableDefinition, tick: Tick) -> Iterator[Sequence[bytes]]:
    for some in rows:
        tick()
        lines = [line for (line,) in some]
        if None in lines:
            raise SchemaDiffers(f"{table.name} holds a zero date, which is no moment that a backup could keep")
        yield lines


class Passed:
    """Counts and hashes bytes that go by."""

    def __init__(self) -> None:
        self.bytes = 0
        self._hash = hashlib.sha256()

    def by(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes += len(piece)
            self._hash.update(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


# --- finding them ----------------------------------------------------------------------------------------------------


def complete(bucket: Bucket, table: str) -> list[str]:
    """The ids of a table's complete backups, the oldest first."""
    found = (key.removeprefix(folder(table)).split("/") for key in bucket.keys(folder(table)))
    return [id for id, *name in found if name == ["manifest.json"] and jobs.is_id(id)]


def readable(bucket: Bucket, table: str, ids: Iterable[str]) -> tuple[list[Manifest], list[str]]:
    """The manifests of these backups, and the ids of those whose manifest is damaged: the others are still there."""
    found, damaged = list[Manifest](), list[str]()
    for id in ids:
        try:
            found.append(manifest(bucket, table, id))
        except BackupDamaged:
            damaged.append(id)
        except NotFound:  # removed since it was listed
            continue
    return found, damaged


def manifest(bucket: Bucket, table: str, id: str) -> Manifest:
    """Raises: NotFound where there is no such backup or it is not complete; BackupDamaged."""
    try:
        text = bucket.read_all(manifest_key(table, id))
        found = Manifest.model_validate_json(text)
    except NotFound:
        raise NotFound(f"there is no complete backup {id} of {table}") from None
    except ValidationError as error:
        raise BackupDamaged(f"the manifest of backup {id} of {table} is none that Rowferry writes") from error
    if found.seal != seal(json.loads(text)):
        raise BackupDamaged(f"the manifest of backup {id} of {table} is not as it was written")
    if (found.id, found.table) != (id, table):
        raise BackupDamaged(f"the manifest of backup {id} of {table} is another's")
    return found


def latest(bucket: Bucket, table: str, before: dt.datetime | None = None) -> Manifest:
    """The newest complete backup of a table, or the newest that was taken until a moment.

    Raises: NotFound, BackupDamaged.
    """
    ids = [id for id in complete(bucket, table) if before is None or jobs.moment_of(id) <= before]
    while ids:
        try:
            found = manifest(bucket, table, ids.pop())
        except BackupDamaged as error:
            older, _ = readable(bucket, table, reversed(ids))
            words = f"the newest of those before it is {older[0].id}" if older else "there is none before it"
            raise BackupDamaged(f"{error}; {words}") from error
        if before is None or found.snapshot_at <= before:
            return found
    raise NotFound(f"there is no complete backup of {table}{f' until {before.isoformat()}' if before else ''}")


def verify(bucket: Bucket, manifest: Manifest, tick: Tick) -> None:
    """The file is byte for byte the one that the manifest describes.

    Raises: BackupDamaged, NotFound, StorageUnavailable.
    """
    passed, key = Passed(), data_key(manifest.table, manifest.id)
    with bucket.read(key) as fp:
        for _ in passed.by(iter(lambda: fp.read(1024**2), b"")):
            tick()
    if (passed.bytes, passed.sha256) != (manifest.bytes, manifest.sha256):
        raise BackupDamaged(
            f"{key} is not what its manifest describes: {passed.bytes} bytes of {manifest.bytes}, with the SHA-256"
            f" {passed.sha256[:12]}… in place of {manifest.sha256[:12]}…; restore another backup, by its id"
        )
    with reading(bucket, manifest) as reader:
        if reader.schema != manifest.record:
            raise BackupDamaged("it has another schema than its manifest says")


@contextmanager
def reading(bucket: Bucket, manifest: Manifest) -> Iterator[avro.Reader]:
    """A backup's file, opened.

    Raises: BackupDamaged, which names the file, whatever of it is read meanwhile.
    """
    key = data_key(manifest.table, manifest.id)
    with bucket.read(key) as fp:
        try:
            yield avro.Reader(fp)
        except BackupDamaged as error:
            raise type(error)(f"{key}: {error}") from error
