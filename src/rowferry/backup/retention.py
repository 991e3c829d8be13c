"""Which backups stay: the newest ones, young ones, and always the newest complete one. What nobody completed goes."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from rowferry.backup import export
from rowferry.backup.export import Manifest
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Tick
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version

GRACE = dt.timedelta(hours=1)
"""An incomplete backup that no job is at work on stays for so long."""


@dataclass(frozen=True)
class Retention:
    """A backup stays while it is one of the newest `keep` or was taken less than `keep_days` ago."""

    keep: int = 7
    keep_days: float = 30


@dataclass(frozen=True)
class Removed:
    """The ids of complete and of incomplete backups that went, and how many abandoned uploads."""

    backups: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    uploads: int = 0


def sweep(
    conn: Connection, bucket: Bucket, table: str, retention: Retention, now: dt.datetime, tick: Tick = lambda: None
) -> Removed:
    """Removes a table's backups that need not stay, incomplete ones and uploads that nobody is at work on.

    Of each the manifest goes first: what is left when this is broken off is incomplete, and goes next time.

    Raises: StorageUnavailable, DatabaseUnavailable, OutOfTime.
    """
    complete = export.complete(bucket, table)
    readable, _ = export.readable(bucket, table, complete)
    stay = set(_staying(complete, readable, retention, now)) | jobs.running(conn).keys()
    versions = dict[str, list[Version]]()
    for version in bucket.versions(export.folder(table)):
        versions.setdefault(_id_of(version.key), []).append(version)
    gone = [id for id in versions if jobs.is_id(id) and id not in stay and (id in complete or _old(id, now))]
    for id in gone:
        for version in sorted(versions[id], key=lambda version: version.key.endswith("data.avro")):
            tick()
            bucket.delete(version)
    incomplete = tuple(id for id in gone if id not in complete)
    return Removed(tuple(id for id in gone if id in complete), incomplete, _give_up(bucket, table, stay, now))


def _staying(complete: list[str], readable: list[Manifest], retention: Retention, now: dt.datetime) -> Iterator[str]:
    """What can't be read is no backup to count on: it stays by its age alone."""
    newest = max(1, retention.keep)
    yield from (manifest.id for manifest in readable[-newest:])
    oldest = now - dt.timedelta(days=retention.keep_days)
    yield from (id for id in complete if jobs.moment_of(id) > oldest)


def _give_up(bucket: Bucket, table: str, running: set[str], now: dt.datetime) -> int:
    given_up = 0
    for upload in bucket.unfinished_uploads(export.folder(table)):
        id = _id_of(upload.key)
        if id not in running and jobs.is_id(id) and _old(id, now):
            bucket.give_up(upload)
            given_up += 1
    return given_up


def _old(id: str, now: dt.datetime) -> bool:
    return jobs.moment_of(id) < now - GRACE


def _id_of(key: str) -> str:
    return key.split("/")[2]
