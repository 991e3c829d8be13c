"""Runs and their batches in MySQL: claims, leases, locks on key ranges, totals; jobs; and the tables for all that.

A run is one version of one object. What decides which rows "batch 3" has, or what becomes of them, is written once and
then only read: the options at the claim, the plan's counts, Reconcile's verdict.

May import: errors, config, csvfile, declare, storage.
Never knows: objects in S3, Lambda, HTTP.
"""

from rowferry.ledger.attempts import Attempt
from rowferry.ledger.batch_rows import batch, batches, close_batch, open_batch, withhold
from rowferry.ledger.failures import fail, fail_unclaimed, note
from rowferry.ledger.history import Progress, newest, progress
from rowferry.ledger.interventions import Ended, abandon, retry
from rowferry.ledger.key_ranges import (
    RETRIED_MINUTES,
    Turn,
    TurnBlocked,
    TurnLost,
    WaitedTooLong,
    ahead_in_table,
    check_turn,
    patience,
    superseded_by,
    take_tables,
    take_turn,
)
from rowferry.ledger.migrations import WrongSchema, session
from rowferry.ledger.model import Claim, Gate, LedgerRow, Run, Totals, Verdict, Would, run_id
from rowferry.ledger.runs import (
    LEASE_MINUTES,
    RunAbandoned,
    TakenOver,
    claim,
    finish,
    held,
    keep_plan,
    keep_verdict,
    newer_done,
    of_execution,
    of_object,
    read,
    refuse,
    renew,
    stamps,
    status_of,
    to_start_again,
    unfinished_run,
    with_run,
)

__all__ = [
    "LEASE_MINUTES",
    "RETRIED_MINUTES",
    "Attempt",
    "Claim",
    "Ended",
    "Gate",
    "LedgerRow",
    "Progress",
    "Run",
    "RunAbandoned",
    "TakenOver",
    "Totals",
    "Turn",
    "TurnBlocked",
    "TurnLost",
    "Verdict",
    "WaitedTooLong",
    "Would",
    "WrongSchema",
    "abandon",
    "ahead_in_table",
    "batch",
    "batches",
    "check_turn",
    "claim",
    "close_batch",
    "fail",
    "fail_unclaimed",
    "finish",
    "held",
    "keep_plan",
    "keep_verdict",
    "newer_done",
    "newest",
    "note",
    "of_execution",
    "of_object",
    "open_batch",
    "patience",
    "progress",
    "read",
    "refuse",
    "renew",
    "retry",
    "run_id",
    "session",
    "stamps",
    "status_of",
    "superseded_by",
    "take_tables",
    "take_turn",
    "to_start_again",
    "unfinished_run",
    "with_run",
    "withhold",
]
