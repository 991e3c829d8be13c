"""A run in one sentence, and who has to act: for the console, reports and messages."""

import re

from rowferry.ledger import Run, Totals

_DATABASE = re.compile(r"Database|MySQL|Contention|LoginRefused|WrongSchema|SchemaDiffers|NoSuchTable|BreaksConstraint")
_AWS = re.compile(r"Storage|Validator|WorkerDied|States\.|Lambda\.|Sandbox\.|Runtime\.|S3 |NotStarted|SettingError")


def whose_fault(run: Run) -> str | None:
    """file, database, AWS or Rowferry; None where nothing went wrong or the cause is not known."""
    if run.status in ("refused", "gated"):
        return "file"
    reason = run.reason or ""
    if run.status != "failed":
        return None
    if _DATABASE.search(reason):
        return "database"
    if "BooksDoNotBalance" in reason or "DeclarationChanged" in reason:
        return "Rowferry"
    return "AWS" if _AWS.search(reason) else None


def sentence(run: Run, totals: Totals, batches_done: int) -> str:
    """The run's state."""
    loaded = totals.inserted + totals.updated + totals.unchanged
    if run.status == "running":
        return _running(run, batches_done)
    endings = {
        "done": f"{loaded:,} of {totals.records:,} records are in {run.table}, {totals.rejected:,} were rejected.",
        "checked": f"Checked only: {totals.rejected:,} of {totals.records:,} records would be rejected. Nothing was"
        " written.",
        "refused": f"The file was refused as a whole and nothing was written: {run.reason}.",
        "gated": f"Too many records were rejected, so nothing was written: {run.reason}.",
        "superseded": "A newer version of this file was loaded, so this version was not.",
        "abandoned": f"A person gave this run up: {run.reason}.",
        "failed": f"The run failed in {run.stage}, with {batches_done:,} of {run.batches or 0:,} batches loaded. It can"
        " be started again and continues where it stopped.",
    }
    return endings.get(run.status, f"The run is {run.status}.")


def _running(run: Run, batches_done: int) -> str:
    if run.reason:
        return f"Under way, in {run.stage}: {run.reason}."
    if run.batches:
        return f"Under way, in {run.stage}: {batches_done:,} of {run.batches:,} batches are loaded."
    return f"Under way, in {run.stage}."


def waits_for(run: Run) -> str | None:
    """The key of the upload that a run waits for."""
    found = re.match(r"waits for (.+?)(?:;|$)", run.reason or "")
    return found[1] if found and run.status == "running" else None
