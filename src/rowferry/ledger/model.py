"""What the ledger holds, as values: a run, its verdict, what became of its records."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rowferry.config import Options
from rowferry.csvfile.dialect import Dialect

Gate = Literal["open", "refused", "too_many_rejects", "no_valid_row"]


ENDED_BY_VERDICT = ("refused", "gated", "superseded", "checked")
"""The status of runs whose reason is that of their verdict."""


def run_id(bucket: str, key: str, version: str) -> str:
    """32 hexadecimal digits, the same for the same version of an object."""
    name = "\0".join((bucket, key, version))
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Would:
    """What loading would do to rows that a check withholds."""

    insert: int = 0
    update: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Verdict:
    """What was decided over the whole file, by Plan (refused) or by Reconcile and the gate.

    `code` and `reason`: why the gate is shut, as a stable word for programs and as a sentence; None where it is open.
    `rejected`: records of the whole file that Validate or Reconcile rejected. `prefix`: where Reconcile's rejects lie,
    one object for each batch that is in `batches`, which has how many of that batch's rows it rejected. `would`: for a
    check, by batch. Keys: the range of the valid rows', each end as bytes (`declare.key.encoder`) in hexadecimal
    digits; None where MySQL makes the keys. Earlier releases wrote whole numbers.
    """

    gate: Gate
    code: str | None = None
    reason: str | None = None
    rejected: int = 0
    prefix: str = ""
    batches: Mapping[int, int] = field(default_factory=dict)
    would: Mapping[int, Would] = field(default_factory=dict)
    low_key: str | int | None = None
    high_key: str | int | None = None


@dataclass(frozen=True)
class Run:
    """A row of rowferry_runs. `records`, `batches` and `dialect` are there after Plan, `verdict` after Reconcile.

    `manifest`: its key; None before Plan, and of a run that an earlier release planned.
    """

    id: str
    bucket: str
    key: str
    version: str
    etag: str
    uploaded_at: dt.datetime
    table: str
    kind: str
    execution: str
    status: str
    stage: str
    reason: str | None
    options: Options
    dialect: Dialect | None
    records: int | None
    batches: int | None
    manifest: str | None
    verdict: Verdict | None
    report: Mapping[str, Any] | None
    started_at: dt.datetime
    claimed_at: dt.datetime
    finished_at: dt.datetime | None

    @property
    def path(self) -> str:
        """The object's key without its first folder: `raw/jobs.csv` -> `jobs.csv`."""
        return self.key.partition("/")[2]

    @property
    def code(self) -> str | None:
        """The code of the verdict that ended the run; None where another cause or none ended it."""
        return self.verdict.code if self.verdict and self.status in ENDED_BY_VERDICT else None


@dataclass(frozen=True)
class Totals:
    """What became of records. Holds for a batch and for a file: read is the sum of the others."""

    records: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    withheld: int = 0

    @property
    def balances(self) -> bool:
        return self.records == self.inserted + self.updated + self.unchanged + self.rejected + self.withheld

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Totals)))


@dataclass(frozen=True)
class LedgerRow:
    """A batch's row: its totals, and the object with the rejects that were found while it was loaded."""

    batch: int
    totals: Totals
    rejects_key: str | None
    would: Would = Would()


@dataclass(frozen=True)
class Claim:
    """What a run is claimed with."""

    id: str
    bucket: str
    key: str
    version: str
    etag: str
    uploaded_at: dt.datetime
    table: str
    kind: str
    execution: str
    options: Options
