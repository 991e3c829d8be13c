"""The sweep: uploads that nobody announced, and runs that died or failed for a reason that passes, to be started again.

Functions in the VPC can't reach Step Functions: this says what to start, the state machine `sweep` starts it.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rowferry import ledger
from rowferry.db import Connection
from rowferry.plan import PLACES
from rowferry.s3 import Bucket, Version

MAX_STARTS = 6
"""Executions that a run gets; then it is left to people."""

AT_ONCE = 100
"""Versions in one answer: with keys of 1,024 bytes they fit the 256 KiB that a state may hold."""


@dataclass(frozen=True)
class Swept:
    """Versions to start executions for, by key and version; `after`: where to go on, None where that is all."""

    versions: Sequence[Version]
    after: tuple[str, str] | None = None


def sweep(
    conn: Connection,
    bucket: Bucket,
    uploaded_before: dt.datetime,
    after: tuple[str, str] = ("", ""),
    at_once: int = AT_ONCE,
) -> Swept:
    """What lies in raw/ and check/ and nobody is at work on. Reads only; starting one too many does no harm.

    `uploaded_before`: what has no run since then lost its event, or its execution could not begin one.

    Raises: DatabaseUnavailable, StorageUnavailable.
    """
    to_start = sorted(_to_start(conn, bucket, uploaded_before), key=_place)
    rest = [version for version in to_start if _place(version) > after]
    return Swept(rest[:at_once], _place(rest[at_once - 1]) if len(rest) > at_once else None)


def _place(version: Version) -> tuple[str, str]:
    return version.key, version.id


def _to_start(conn: Connection, bucket: Bucket, uploaded_before: dt.datetime) -> Iterator[Version]:
    for run in ledger.to_start_again(conn, bucket.name, MAX_STARTS):
        yield Version(run.key, run.version, run.etag, 0, run.uploaded_at)
    for place in PLACES:
        for version in bucket.versions(place):
            left = not version.withdrawn and not version.key.endswith("/") and version.modified < uploaded_before
            if left and ledger.status_of(conn, bucket.name, version.key, version.id) is None:
                yield version
