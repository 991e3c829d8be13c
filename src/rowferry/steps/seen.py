"""What a report says of how a file was read: its format, what was left out, what was seen and left alone."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rowferry.csvfile.wanted import CSV_FORMAT
from rowferry.ledger import LedgerRow, Run
from rowferry.steps.work_files import RunFiles
from rowferry.storage.s3 import in_parallel
from rowferry.validate.reading import SEEN

Report = dict[str, Any]


def what_was_seen(files: RunFiles, run: Run, rows: Sequence[LedgerRow]) -> Report:
    """What was left out as it carries no data, and what was seen and left alone, by what it is."""
    counts = Counter[str](run.dialect.left_out if run.dialect else {})
    for found in in_parallel(files.counts, [row.batch for row in rows]):
        counts.update(found)
    seen = {name: counts.pop(name) for name in SEEN if name in counts}
    return {"left_out": dict(sorted(counts.items())), "seen": seen}


def format_of(run: Run) -> Report | None:
    """The format that the file was read with."""
    if run.dialect is None:
        return None
    given: Report = CSV_FORMAT.dump_python(run.dialect.format, mode="json")
    return given | {"delimiter": run.dialect.delimiter, "header": bool(run.dialect.columns)}
