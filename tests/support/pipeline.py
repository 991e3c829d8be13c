"""The state machine's steps, called one after the other in this process: the core as the functions call it."""

import csv
import datetime as dt
import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rowferry import ledger
from rowferry.config import Options, Settings
from rowferry.csvfile.split import Batch
from rowferry.declare.catalog import table_named
from rowferry.ledger import Run
from rowferry.steps.load import load_batch
from rowferry.steps.plan import Planned, Uploaded, plan
from rowferry.steps.reconcile import reconcile
from rowferry.steps.summarise import Report, summarise
from rowferry.steps.validate import validate_batch
from rowferry.steps.work_files import RunFiles, Stats
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket
from rowferry.validate.client import Judge, Validator

LONG_AFTER = dt.timedelta(minutes=2)
"""By default Reconcile looks at the clock as if the upload were this old: nobody waits for parents."""


@dataclass
class Pipeline:
    """Uploads files and takes them through the steps."""

    settings: Settings
    bucket: Bucket
    options: Options = field(default_factory=Options)

    def upload(self, key: str, body: bytes | str, metadata: Mapping[str, str] | None = None) -> Uploaded:
        self.bucket.write(key, body.encode() if isinstance(body, str) else body)
        if metadata:
            self.bucket.copy(self.bucket.versions_of(key)[-1], key, metadata)
        newest = self.bucket.versions_of(key)[-1]
        return Uploaded(key, newest.etag, newest.id)

    def migrate(self, key: str, body: bytes | str, **options: Any) -> Report:
        """A file's whole way; answers its report."""
        return self.run(self.upload(key, body), **options)

    def run(self, uploaded: Uploaded, execution: str | None = None, **options: Any) -> Report:
        planned = self.plan(uploaded, execution, **options)
        if planned.outcome == "planned":
            self.validate(planned.run)
            if self.reconcile(planned.run) == "load":
                assert self.turn(planned.run)
                self.load(planned.run)
        assert planned.outcome in ("planned", "empty", "refused"), planned
        return self.summarise(planned.run)

    def plan(self, uploaded: Uploaded, execution: str | None = None, **options: Any) -> Planned:
        with mysql.session(self.settings) as conn:
            chosen = replace(self.options, **options)
            return plan(conn, self.bucket, uploaded, execution or f"arn:{uuid.uuid4()}", chosen)

    def validate(self, id: str) -> None:
        validator = Validator(self.settings.api_url, self.settings.api_token)
        for batch in self.batches(id):
            self.validate_batch(self.read(id), batch, validator)

    def validate_batch(self, run: Run, batch: Batch, validator: Judge) -> Stats:
        return validate_batch(RunFiles(self.bucket, run.id), validator, run, batch)

    def reconcile(self, id: str, after: dt.timedelta = LONG_AFTER) -> str:
        with mysql.session(self.settings) as conn:
            return reconcile(conn, self.bucket, ledger.read(conn, id), dt.datetime.now(dt.UTC) + after).outcome

    def turn(self, id: str) -> bool:
        """Whether the run may load now."""
        return self.take_turn(id) == "go"

    def take_turn(self, id: str) -> str:
        with mysql.session(self.settings) as conn:
            return ledger.take_turn(conn, ledger.read(conn, id)).outcome

    def load(self, id: str) -> None:
        for batch in self.batches(id):
            self.load_batch(id, batch)

    def load_batch(self, id: str, batch: Batch) -> ledger.Totals:
        with mysql.session(self.settings) as conn:
            return load_batch(conn, self.bucket, ledger.read(conn, id), batch)

    def summarise(self, id: str) -> Report:
        with mysql.session(self.settings) as conn:
            return summarise(conn, self.bucket, ledger.read(conn, id))

    def read(self, id: str) -> Run:
        with mysql.session(self.settings) as conn:
            return ledger.read(conn, id)

    def batches(self, id: str) -> Sequence[Batch]:
        return list(RunFiles(self.bucket, id, self.read(id).manifest).batches())

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """A table's rows in the order of their keys; timestamps as text."""
        with mysql.session(self.settings) as conn:
            columns = ", ".join(
                f"CAST(`{column}` AS CHAR) AS `{column}`" if column == "datetime" else f"`{column}`"
                for column in table_named(name).names
            )
            return [tuple(row.values()) for row in mysql.rows(conn, f"SELECT {columns} FROM `{name}` ORDER BY id")]

    def rejects(self, report: Report, kind: str = "rejects") -> list[dict[str, str]]:
        """The rows of rejects.csv or duplicates.csv."""
        key = report[f"{kind}_key"]
        if key is None:
            return []
        text = self.bucket.read_all(key).decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def places(self, prefixes: Sequence[str] = ("raw/", "processed/", "errors/")) -> Iterator[str]:
        """The keys of all objects where files begin and end."""
        for prefix in prefixes:
            yield from self.bucket.keys(prefix)
