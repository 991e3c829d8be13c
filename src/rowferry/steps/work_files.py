"""A run's work files below `runs/<run>/`: their names and their forms.

format.json                the run's CSV format, written once, before the copy
input.csv                  the run's own copy of the uploaded version: inflated, UTF-8, quoted by RFC 4180
batches-<attempt>.jsonl    Plan's manifest, a line for each batch; the run's row names the one that holds
valid/<batch>.json         what Validate found in a batch (`Stats`), written once: it names the attempt that holds
valid/<batch>-<attempt>.tsv     its accepted rows in normal form, in the order of their keys
valid/<batch>-<attempt>.keys    its keys' tokens (declare.key) and their lines, sorted, all of one length
valid/<batch>-<attempt>.refs    what its rows refer to, sorted: the reference's number, and the fields with tabs between
valid/<batch>-<attempt>.jsonl   its rejects
verdicts/<attempt>/…       Reconcile's rejects of a batch; the run's row names the attempt that holds
loaded/<batch>-<attempt>…  rejects found while loading; the batch's ledger row names the attempt that holds
report.json                the run in figures

Earlier releases wrote `batches.jsonl` and `valid/<batch>.*` without an attempt, keys as whole numbers, and references
in the `Stats`; those are still read.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter

from rowferry.csvfile.dialect import Dialect, arrangement, without_surplus
from rowferry.csvfile.records import records
from rowferry.csvfile.split import BATCH, Batch
from rowferry.csvfile.wanted import CSV_FORMAT
from rowferry.declare.csv_format import CsvFormat
from rowferry.declare.definition import TableDefinition
from rowferry.declare.key import encoded_integer
from rowferry.errors import NotFound, SchemaDiffers
from rowferry.steps.normal_rows import RowReader
from rowferry.storage.s3 import Bucket
from rowferry.validate.verdict import REJECT, Reject

REJECT_COLUMNS = ("_line", "_codes", "_message", "_raw")
"""What a file of rejects has behind the table's own columns."""


@dataclass(frozen=True)
class Stats:
    """What Validate found in a batch.

    `low` and `high`: the least and the greatest key (`declare.key.encoder`) as hexadecimal digits, None without a valid
    row, and where MySQL makes the keys. `repeats`: a key stands in it twice. `attempt`: whose rows, keys and rejects
    these are. `declared`: the table's columns at that time. Both are empty in what earlier releases wrote.
    `references` is of earlier releases, whose keys and references were whole numbers: by the reference's column, its
    distinct values. None: keys and references are in files of their own.
    `counts`: what was seen and left alone or left out (validate/reading.COUNTS); empty in what earlier releases wrote.
    """

    read: int
    valid: int
    rejected: int
    low: str | None
    high: str | None
    repeats: bool
    references: Mapping[str, Sequence[int]] | None = None
    attempt: str = ""
    declared: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


class DeclarationChanged(SchemaDiffers):
    """The table's class has other columns than when the run's rows were validated."""


def _stats(text: bytes) -> Stats:
    found = json.loads(text)
    for end in ("low", "high"):
        if isinstance(found[end], int):
            found[end] = encoded_integer(found[end]).hex()
    return _STATS.validate_python(found)


_STATS = TypeAdapter(Stats)


def new_attempt() -> str:
    """A name that no other attempt at the same step has."""
    return uuid.uuid4().hex[:12]


class RunFiles:
    """The work files of one run."""

    def __init__(self, bucket: Bucket, run: str, manifest: str | None = None) -> None:
        """`manifest`: the one that holds, from the run's row; None where an earlier release planned the run."""
        self.bucket = bucket
        self.run = run
        self.prefix = f"runs/{run}/"
        self.input = f"{self.prefix}input.csv"
        self.manifest = manifest or f"{self.prefix}batches.jsonl"
        self.report = f"{self.prefix}report.json"

    def keep_format(self, wanted: CsvFormat) -> CsvFormat:
        """Writes the run's format, or finds the one that was written first; answers the one that holds."""
        if self.bucket.write_once(self._format, CSV_FORMAT.dump_json(wanted)):
            return wanted
        return CSV_FORMAT.validate_json(self.bucket.read_all(self._format))

    def format(self) -> CsvFormat | None:
        """The run's format; None where an earlier release began the run."""
        try:
            return CSV_FORMAT.validate_json(self.bucket.read_all(self._format))
        except NotFound:
            return None

    @property
    def _format(self) -> str:
        return f"{self.prefix}format.json"

    def write_manifest(self, batches: Iterable[Batch]) -> str:
        """Writes the manifest of one attempt at Plan; answers its key, for the run's row."""
        key = f"{self.prefix}batches-{new_attempt()}.jsonl"
        self.bucket.write(key, b"".join(BATCH.dump_json(batch) + b"\n" for batch in batches))
        return key

    def batches(self) -> Iterator[Batch]:
        with self.bucket.read(self.manifest) as fp:
            for line in fp:
                yield BATCH.validate_json(line)

    def rows_key(self, batch: int, attempt: str) -> str:
        return f"{self._valid(batch, attempt)}.tsv"

    def keys_key(self, batch: int, attempt: str) -> str:
        return f"{self._valid(batch, attempt)}.keys"

    def references_key(self, batch: int, attempt: str) -> str:
        return f"{self._valid(batch, attempt)}.refs"

    def rejects_key(self, batch: int, attempt: str) -> str:
        return f"{self._valid(batch, attempt)}.jsonl"

    def stats_key(self, batch: int) -> str:
        return f"{self._valid(batch, '')}.json"

    def _valid(self, batch: int, attempt: str) -> str:
        return f"{self.prefix}valid/{batch:06}{'-' if attempt else ''}{attempt}"

    def verdicts_prefix(self) -> str:
        """A place for one attempt at Reconcile."""
        return f"{self.prefix}verdicts/{new_attempt()}/"

    def loaded_key(self, batch: int) -> str:
        """A place for the rejects of one attempt at loading a batch."""
        return f"{self.prefix}loaded/{batch:06}-{new_attempt()}.jsonl"

    def keep_stats(self, batch: int, stats: Stats) -> bool:
        """Writes what Validate found in a batch, or finds that it was written: False, and what was written holds."""
        return self.bucket.write_once(self.stats_key(batch), json.dumps(asdict(stats), sort_keys=True).encode())

    def stats(self, batch: int, table: TableDefinition) -> Stats:
        """What holds for a batch.

        Raises: DeclarationChanged where its rows have other columns than the table's class now; NotFound.
        """
        stats = _stats(self.bucket.read_all(self.stats_key(batch)))
        if stats.declared not in ("", table.declaration):
            raise DeclarationChanged(
                f"the rows of this run were validated when {table.name} was declared as ({stats.declared}), and now it"
                f" is declared as ({table.declaration}): give the run up and upload its file again, or deploy the"
                " earlier declaration"
            )
        return stats

    def counts(self, batch: int) -> Mapping[str, int]:
        """What Validate counted in a batch beside its records."""
        return _stats(self.bucket.read_all(self.stats_key(batch))).counts

    def write_rejects(self, key: str, rejects: Iterable[Reject]) -> None:
        self.bucket.write(key, b"".join(REJECT.dump_json(reject, exclude_none=True) + b"\n" for reject in rejects))

    def rejects(self, key: str) -> Iterator[Reject]:
        with self.bucket.read(key) as fp:
            for line in fp:
                yield REJECT.validate_json(line)

    def rows(self, batch: int, stats: Stats) -> Iterator[bytes]:
        """The batch's valid rows in normal form."""
        if stats.valid:
            with self.bucket.read(self.rows_key(batch, stats.attempt)) as fp:
                yield from fp

    def key_records(self, batch: int, stats: Stats, reader: RowReader) -> bytes:
        """`RowReader.key_records` of the batch's valid rows."""
        if stats.low is None:
            return b""
        if stats.references is None:
            return self.bucket.read_all(self.keys_key(batch, stats.attempt))
        columns = reader.columns(self.bucket.read_all(self.rows_key(batch, stats.attempt)))
        return reader.key_records(columns[0], reader.encoded_keys(columns))

    def write_references(self, batch: int, attempt: str, references: Sequence[Sequence[bytes]]) -> None:
        lines = [b"%d\t%b\n" % (number, value) for number, values in enumerate(references) for value in values]
        if lines:
            self.bucket.write(self.references_key(batch, attempt), b"".join(lines))

    def references(self, batch: int, stats: Stats, table: TableDefinition) -> list[list[bytes]]:
        """By the table's references, what the batch's valid rows refer to: each once, its fields with tabs between."""
        found: list[list[bytes]] = [[] for _ in table.references]
        if stats.references is not None:
            return [[b"%d" % value for value in stats.references[of.columns[0]]] for of in table.references]
        if stats.valid and found:
            try:
                text = self.bucket.read_all(self.references_key(batch, stats.attempt))
            except NotFound:  # no row refers to anything
                return found
            for line in text.split(b"\n")[:-1]:
                number, _, value = line.partition(b"\t")
                found[int(number)].append(value)
        return found


def verdict_key(prefix: str, batch: int) -> str:
    """Where one attempt at Reconcile keeps a batch's rejects."""
    return f"{prefix}{batch:06}.jsonl"


def given_records(
    files: RunFiles, dialect: Dialect, batch: Batch, table: TableDefinition
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """A batch's records as they were uploaded: line, and the table's own columns in the table's order."""
    arrange = arrangement(table, dialect)
    width = len(dialect.columns or table.columns)
    for chunk in batch.chunks:
        text = files.bucket.read_range(files.input, chunk.start, chunk.end).decode()
        for record in records(text, dialect.delimiter, chunk.line):
            fields = without_surplus(record.fields or (), width)
            if len(fields) == width:
                yield record.line, arrange(fields)
