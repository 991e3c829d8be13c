"""Restores: a table becomes what a backup holds, in one transaction that writes only the rows that differ.

Everything is examined before the table is touched: the manifest, the file's bytes, its columns, and, in a shadow table,
that what was loaded is what was backed up. Readers see the table as it was, and then as it is.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rowferry import avro, backup, db, families, jobs, schema, shadow
from rowferry.db import Connection
from rowferry.errors import BadRequest, Contention, SchemaDiffers
from rowferry.families import Family
from rowferry.jobs import Tick
from rowferry.s3 import Bucket
from rowferry.shadow import Counts, Range, Target
from rowferry.tables import TABLES, table_named

_TRIES = 5


@dataclass(frozen=True)
class Order:
    """What is to be restored: tables from one backup by its id, or each from its newest until a moment.

    `into`: another table, with the same columns, that takes the rows of the only one. `dry_run`: only say what would be
    done.
    """

    tables: tuple[str, ...]
    id: str | None = None
    before: dt.datetime | None = None
    into: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Raises: BadRequest, UnknownTable."""
        if not self.tables:
            raise BadRequest("no table is named")
        for table in self.tables:
            table_named(table)
        if self.id and self.before:
            raise BadRequest("either the backup's id or a moment is given, not both")
        if self.before and self.before.tzinfo is None:
            raise BadRequest("the moment is without a time zone")
        if self.into and len(self.tables) > 1:
            raise BadRequest("one table is restored into another, not several")
        if self.into in TABLES or (self.into or "").startswith("rowferry_"):
            raise BadRequest(f"{self.into} has rows of its own; restore it from its own backups")

    @property
    def names(self) -> tuple[str, ...]:
        """The tables that are written, parents first."""
        return (self.into,) if self.into else tuple(name for name in TABLES if name in self.tables)


@dataclass(frozen=True)
class Restored:
    """What became of one table, or would become of it."""

    table: str
    backup: str
    snapshot_at: dt.datetime
    rows: int
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        told = {"table": self.table, "backup": self.backup, "snapshot_at": self.snapshot_at.isoformat()}
        return {**told, "rows": self.rows, **asdict(self.counts)}


def restore(conn: Connection, bucket: Bucket, order: Order, id: str, tick: Tick) -> list[Restored]:
    """Carries out an order as the job with this id, whose row says that it is done if and only if the tables are.

    Raises: NotFound, BackupDamaged, SchemaDiffers, WouldOrphan, Busy, OutOfTime, Contention after five tries,
    DatabaseUnavailable, StorageUnavailable: nothing is changed then.
    """
    targets = [_target(conn, bucket, order, name, tick) for name in order.names]
    for target in targets:
        shadow.load(conn, bucket, target, tick)
    found = families.family(conn, order.names)
    if order.dry_run:
        with db.snapshot(conn):
            families.refuse_orphans(conn, found, targets)
            done = [_restored(target, _compared(conn, target, tick)) for target in targets]
        jobs.finish(conn, id, _result(done))
        return done
    return _written(conn, found, targets, id, tick)


def _target(conn: Connection, bucket: Bucket, order: Order, name: str, tick: Tick) -> Target:
    source = table_named(order.tables[0] if order.into else name)
    manifest = (
        backup.manifest(bucket, source.name, order.id) if order.id else backup.latest(bucket, source.name, order.before)
    )
    table = replace(source, name=name)
    now = schema.avro_schema(conn, table)
    if words := avro.differences(manifest.record, now):
        raise SchemaDiffers(f"backup {manifest.id} does not fit {name}: {'; '.join(words)}; nothing was changed")
    backup.verify(bucket, manifest, tick)
    return Target(table, now, manifest, f"rowferry_shadow_{name}"[:64])


def _restored(target: Target, counts: Counts) -> Restored:
    return Restored(target.name, target.manifest.id, target.manifest.snapshot_at, target.manifest.rows, counts)


def _result(done: Sequence[Restored]) -> Any:
    return {"restored": [restored.as_json() for restored in done]}


def _compared(conn: Connection, target: Target, tick: Tick) -> Counts:
    return sum((shadow.compare(conn, target, part) for part in shadow.ranges(conn, target, tick)), Counts())


def _written(conn: Connection, family: Family, targets: Sequence[Target], id: str, tick: Tick) -> list[Restored]:
    for tries_left in reversed(range(_TRIES)):
        try:
            with db.transaction(conn):
                jobs.hold(conn, id)
                done = _write(conn, family, targets, tick)
                jobs.finish(conn, id, _result(done))
            return done
        except Contention:
            if not tries_left:
                raise
    raise AssertionError("never reached")


def _write(conn: Connection, family: Family, targets: Sequence[Target], tick: Tick) -> list[Restored]:
    """Within the transaction: parents' new rows before children's, then children's old rows before parents'."""
    families.refuse_orphans(conn, family, targets)
    counts, surplus = dict[str, Counts](), dict[str, list[Range]]()
    for target in targets:
        counts[target.name], surplus[target.name] = _upserted(conn, family, target, tick)
    for target in reversed(targets):
        for part in surplus[target.name]:
            tick()
            counts[target.name] += Counts(deleted=shadow.delete(conn, target, part))
    return [_restored(target, counts[target.name]) for target in targets]


def _upserted(conn: Connection, family: Family, target: Target, tick: Tick) -> tuple[Counts, list[Range]]:
    """What was done, and the ranges that have rows to be deleted."""
    counts, surplus = Counts(), []
    with families.held(conn, family, target):
        for part in shadow.ranges(conn, target, tick):
            would = shadow.compare(conn, target, part)
            inserted = shadow.insert(conn, target, part) if would.inserted else 0
            updated = shadow.update(conn, target, part) if would.updated else 0
            counts += Counts(inserted, updated, 0, would.unchanged)
            if would.deleted:
                surplus.append(part)
    return counts, surplus
