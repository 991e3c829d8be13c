"""The sweep: starts uploads whose S3 event was lost, and runs that died or failed because of a temporary error.

Functions in the VPC can't reach Step Functions: this module lists what to start; the state machine `sweep` starts it.
"""

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from rowferry import ledger
from rowferry.ledger import Run
from rowferry.steps.plan import PLACES, is_upload
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, Version

MAX_STARTS = 6
"""Executions that a run gets; then it is left to people."""

AT_ONCE = 100
"""Versions in one answer: with keys of 1,024 bytes they fit the 256 KiB that a state may hold."""


_ASKED_AT_ONCE = 1_000
"""Versions whose runs are looked up with one statement."""

Place = tuple[str, str]
"""A version's key and id: the order in which versions are started."""


@dataclass(frozen=True)
class Swept:
    """Versions to start executions for, by key and version; `after`: where to go on, None where that is all."""

    versions: Sequence[Version]
    after: Place | None = None


def sweep(
    conn: Connection,
    bucket: Bucket,
    uploaded_before: dt.datetime,
    after: Place = ("", ""),
    at_once: int = AT_ONCE,
) -> Swept:
    """What lies in raw/ and check/ and nobody is at work on. Reads only; starting one too many does no harm.

    It looks no further than it needs: any number of uploads is swept in time and memory that grow with one answer.
    `uploaded_before`: what has no run since then lost its event, or its execution could not begin one.

    Raises: DatabaseUnavailable, StorageUnavailable.
    """
    again = map(_version_of, ledger.to_start_again(conn, bucket.name, MAX_STARTS, after, at_once + 1))
    left = (v for v in _without_run(conn, bucket, uploaded_before, after[0]) if _place(v) > after)
    found = list(islice(heapq.merge(again, left, key=_place), at_once + 1))
    return Swept(found[:at_once], _place(found[at_once - 1]) if len(found) > at_once else None)


def _place(version: Version) -> Place:
    return version.key, version.id


def _version_of(run: Run) -> Version:
    return Version(run.key, run.version, run.etag, 0, run.uploaded_at)


def _without_run(conn: Connection, bucket: Bucket, uploaded_before: dt.datetime, begin: str) -> Iterator[Version]:
    """In the order of places, from the key `begin` on."""
    for folder in sorted(PLACES):
        if begin > folder and not begin.startswith(folder):
            continue
        waiting = (
            version
            for version in _by_place(bucket.versions(folder, begin))
            if not version.withdrawn and is_upload(version.key) and version.modified < uploaded_before
        )
        while some := list(islice(waiting, _ASKED_AT_ONCE)):
            known = ledger.with_run(conn, bucket.name, list(map(_place, some)))
            yield from (version for version in some if _place(version) not in known)


def _by_place(listed: Iterable[Version]) -> Iterator[Version]:
    """S3 lists by key, and a key's versions by age."""
    for _, versions in groupby(listed, key=lambda version: version.key):
        yield from sorted(versions, key=_place)
