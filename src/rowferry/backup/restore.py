"""Restores: a table becomes what a backup holds, in one transaction that writes only the rows that differ.

Everything is examined before the table is touched: the manifest, the file's bytes, its columns, and, in a shadow table,
that what was loaded is what was backed up. Readers see the table as it was, and then as it is.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator

from rowferry.backup import export, foreign_keys, record, staging, table_schema
from rowferry.backup.foreign_keys import Family
from rowferry.backup.key_range import Range
from rowferry.backup.staging import Counts, NotLoaded, Target
from rowferry.declare.catalog import TABLES, table_named
from rowferry.errors import BadRequest, Contention, SchemaDiffers
from rowferry.ledger import jobs
from rowferry.ledger.jobs import Tick
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket

_TRIES = 5
_NAME = re.compile("[A-Za-z0-9_]{1,64}")


def _written_out(value: object) -> object:
    if value is not None and not (isinstance(value, str) and _ISO.fullmatch(value)):
        raise ValueError("must be an ISO 8601 date and time with its zone, as in 2026-11-24T03:00:00Z")
    return value


Moment = Annotated[dt.datetime, BeforeValidator(_written_out)]
"""From outside: text that is written out. Pydantic alone takes 20200101000000 for milliseconds since 1970."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE)


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
        if self.id is not None and not jobs.is_id(self.id):
            raise BadRequest(f"{self.id!r} is no backup's id")
        if self.id and self.before:
            raise BadRequest("either the backup's id or a moment is given, not both")
        if self.before and self.before.tzinfo is None:
            raise BadRequest("the moment is without a time zone")
        if self.into is not None and len(self.tables) > 1:
            raise BadRequest("one table is restored into another, not several")
        if self.into is not None and not _NAME.fullmatch(self.into):
            raise BadRequest(f"{self.into!r} is no table's name")
        if (self.into or "").startswith("rowferry_"):
            raise BadRequest(f"{self.into} is Rowferry's own")
        if self.into in TABLES:
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
        told = {
            "table": self.table,
            "backup": self.backup,
            "snapshot_at": self.snapshot_at.isoformat().replace("+00:00", "Z"),
        }
        return {**told, "rows": self.rows, **asdict(self.counts)}


def restore(conn: Connection, bucket: Bucket, order: Order, id: str, tick: Tick) -> list[Restored]:
    """Carries out an order as the job with this id, whose row says that it is done if and only if the tables are.

    Raises: NotFound, BackupDamaged, SchemaDiffers, WouldOrphan, Busy, OutOfTime, Contention after five tries,
    DatabaseUnavailable, StorageUnavailable: nothing is changed then.
    """
    mysql.run(conn, f"SET SESSION wait_timeout = {jobs.LEASE_MINUTES * 60 // 2}")  # where this machine is cut off
    targets = [_target(conn, bucket, order, name, tick) for name in order.names]
    work = _Work(conn, bucket, foreign_keys.family(conn, order.names), tick)
    foreign_keys.refuse_unfit(work.family)
    if order.dry_run:
        done = work.rehearse(targets)
        jobs.finish(conn, id, _result(done))
        return done
    try:
        return work.carry_out([work.direct(target) for target in targets], id)
    except NotLoaded:  # a table that was empty no longer is; where the backup is wrong, its shadow will say so
        return work.carry_out(targets, id)


def _target(conn: Connection, bucket: Bucket, order: Order, name: str, tick: Tick) -> Target:
    source = table_named(order.tables[0] if order.into else name)
    manifest = (
        export.manifest(bucket, source.name, order.id) if order.id else export.latest(bucket, source.name, order.before)
    )
    table = replace(source, name=name)
    now = table_schema.avro_schema(conn, table)
    if words := record.differences(manifest.record, now):
        raise SchemaDiffers(f"backup {manifest.id} does not fit {name}: {'; '.join(words)}; nothing was changed")
    export.verify(bucket, manifest, tick)
    return Target(table, now, manifest)


def _restored(target: Target, counts: Counts) -> Restored:
    return Restored(target.name, target.manifest.id, target.manifest.snapshot_at, target.manifest.rows, counts)


def _result(done: Sequence[Restored]) -> Any:
    return {"restored": [restored.as_json() for restored in done]}


@dataclass(frozen=True)
class _Work:
    """A restore that is going on."""

    conn: Connection
    bucket: Bucket
    family: Family
    tick: Tick

    def direct(self, target: Target) -> Target:
        """An empty table needs no shadow: it is loaded within the transaction and verified before the commit."""
        odd = target.name in self.family.odd
        return replace(target, direct=not odd and staging.is_empty(self.conn, target))

    def rehearse(self, targets: Sequence[Target]) -> list[Restored]:
        self._prepare(targets)
        foreign_keys.refuse_orphans(self.conn, self.family, targets, self.tick)
        return [_restored(target, self._classified(target)[0]) for target in targets]

    def carry_out(self, targets: Sequence[Target], id: str) -> list[Restored]:
        self._prepare(targets)
        for tries_left in reversed(range(_TRIES)):
            try:
                with mysql.transaction(self.conn):
                    jobs.hold(self.conn, id)
                    done = self._write(targets)
                    jobs.finish(self.conn, id, _result(done))
                return done
            except Contention:
                if not tries_left:
                    raise
            except mysql.BreaksConstraint as error:
                if error.code != "not_unique" or not tries_left:  # a value that somebody else took is deleted next time
                    raise SchemaDiffers(f"{error}: the backup does not fit; nothing was changed") from error
        raise AssertionError("never reached")

    def _prepare(self, targets: Sequence[Target]) -> None:
        for target in targets:
            foreign_keys.make_notes(self.conn, self.family, target)
            if not target.direct:
                staging.load(self.conn, self.bucket, target, self.tick)
                foreign_keys.collect_references(self.conn, self.family, target, self.tick)

    def _write(self, targets: Sequence[Target]) -> list[Restored]:
        """Within the transaction: parents' new rows before children's, then children's old rows before parents'.

        Where a table has a unique index besides its key, its old rows go first: a new one may have their values.
        """
        if foreign_keys.family(self.conn, [target.name for target in targets]) != self.family:
            raise SchemaDiffers("a table, or one that refers to it, was altered meanwhile; nothing was changed")
        counts = {target.name: self._loaded(target) for target in targets if target.direct}
        for target in targets:
            if not target.direct:
                foreign_keys.hold_losses(self.conn, self.family, target, self.tick)
        foreign_keys.refuse_orphans(self.conn, self.family, targets, self.tick)
        ranges = dict[str, Sequence[_Part]]()
        for target in targets:
            if target.direct:
                foreign_keys.hold_parents(self.conn, self.family, target, self.tick)
            else:
                would, parts = self._classified(target)
                cleared = Counts()
                if target.name in self.family.unique:
                    cleared = self._cleared(target, parts)
                else:
                    ranges[target.name] = parts
                with foreign_keys.held(self.conn, self.family, target, self.tick):
                    done = self._upserted(target, parts)
                counts[target.name] = replace(done, unchanged=would.unchanged) + cleared
        for target in reversed(targets):
            counts[target.name] += self._deleted(target, ranges.get(target.name, ()))
        return [_restored(target, counts[target.name]) for target in targets]

    def _loaded(self, target: Target) -> Counts:
        with mysql.foreign_keys_unchecked(self.conn):
            staging.fill(self.conn, self.bucket, target, target.name, self.tick)
        foreign_keys.collect_references(self.conn, self.family, target, self.tick)
        return Counts(inserted=target.manifest.rows)

    def _classified(self, target: Target) -> tuple[Counts, Sequence["_Part"]]:
        """What would be done, altogether and in each range of keys in which there is something to do."""
        staging.forget(self.conn, target, self.tick)
        whole, parts = Counts(), []
        for part in staging.ranges(self.conn, [target.name, target.shadow], target.table.key, self.tick):
            would = staging.classify(self.conn, target, part)
            whole += would
            if would.inserted or would.updated or would.deleted:
                parts.append((part, would))
        return whole, parts

    def _cleared(self, target: Target, parts: Sequence["_Part"]) -> Counts:
        """Deletes what is not in the backup, and what is there otherwise and comes again.

        Unchecked, as its children may still be there: that they fit what is there in the end was looked at, and the
        rows are locked.
        """
        with mysql.foreign_keys_unchecked(self.conn):
            done = self._deleted(target, parts)
            for part, would in parts:
                self.tick()
                if would.updated:
                    staging.delete_changed(self.conn, target, part)
        return done

    def _upserted(self, target: Target, parts: Sequence["_Part"]) -> Counts:
        done = Counts()
        for part, would in parts:
            self.tick()
            if target.name in self.family.unique:
                written = staging.insert(self.conn, target, part, also_changed=True)
                done += Counts(written - would.updated, would.updated)
                continue
            inserted = staging.insert(self.conn, target, part) if would.inserted else 0
            updated = staging.update(self.conn, target, part) if would.updated else 0
            done += Counts(inserted, updated)
        return done

    def _deleted(self, target: Target, parts: Sequence["_Part"]) -> Counts:
        done = Counts()
        for part, would in parts:
            self.tick()
            done += Counts(deleted=staging.delete(self.conn, target, part) if would.deleted else 0)
        return done


_Part = tuple[Range, Counts]
