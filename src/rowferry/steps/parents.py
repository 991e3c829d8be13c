"""Rows of parent tables that are missing: are they on their way?"""

import datetime as dt
from collections.abc import Iterator, Sequence

from rowferry import ledger
from rowferry.declare.catalog import table_of_path
from rowferry.errors import StartAgain
from rowferry.ledger import Run
from rowferry.steps.plan import is_upload
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

PARENT_GRACE = dt.timedelta(minutes=1)
"""A run waits so long from its start for parents that are missing: their file may be on its way."""

PARENT_BOUND = dt.timedelta(hours=2)
"""How long a run waits for a parent's file: each hour, the sweep starts parents' files whose S3 event was lost."""


class ParentNeverCame(StartAgain):
    """A parent's file was under way and did not arrive in time, or its run failed: the child's run fails too."""


def worth_waiting(conn: Connection, bucket: Bucket, run: Run, parents: Sequence[str], now: dt.datetime) -> str | None:
    """Why to look again later for rows that these parent tables lack, None where they are not coming.

    Raises: ParentNeverCame.
    """
    waited = now - run.claimed_at
    failed = list[str]()
    for parent in parents:
        for key, is_failed in _not_ended(conn, bucket, parent):
            if is_failed:
                failed.append(key)
            elif waited > PARENT_BOUND:
                raise ParentNeverCame(f"{run.key} refers to {parent}, whose file {key} is still under way")
            else:
                return f"{key} is under way"
    if failed:
        raise ParentNeverCame(f"{run.key} refers to rows of {failed[0]}, whose run failed; start that again first")
    if now - run.started_at < PARENT_GRACE:
        return f"a file of {', '.join(parents)} may be on its way"
    return None


def _not_ended(conn: Connection, bucket: Bucket, parent: str) -> Iterator[tuple[str, bool]]:
    """Files of a table that have not ended, and whether their run failed."""
    if key := ledger.unfinished_run(conn, parent):
        yield key, False
    for version in bucket.versions("raw/"):
        table = table_of_path(version.key.removeprefix("raw/"))
        if table and table.name == parent and is_upload(version.key):
            status = ledger.status_of(conn, bucket.name, version.key, version.id)
            if status in ("running", "failed") or (status is None and not version.withdrawn):
                yield version.key, status == "failed"
