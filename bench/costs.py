"""What a month costs: calls counted on the local stack (counts.json) times AWS's prices (prices.json).

    python -m bench.costs            # writes docs/costs.md from both
    python -m bench.costs --count    # counts first, on a local stack of its own, and writes counts.json

A file of one batch and one of four give what a file and what each batch of it costs; the rest is multiplication. Made
for the defaults of template.yaml.
"""

import argparse
import datetime as dt
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.counting import Counted, Counts, employees, parents
from local.emulator import ROOT
from local.recorder import Recorder
from local.stack import running

HERE = Path(__file__).parent
PRICES, COUNTS, PAGE = HERE / "prices.json", HERE / "counts.json", ROOT / "docs/costs.md"
BATCH_ROWS = 25_000
HOURS = 730
KEPT_DAYS = 14
"""Of work files, by the bucket's lifecycle."""
WORK_FILES = 2
"""The run's own copy and the valid rows are about as large as the upload, each."""
PASSES = 3
"""A file's bytes go to the API, come back, and go to MySQL."""
METRICS = 6
"""That functions write: rows by their fate, and runs that failed for good."""
BY_STEP_FUNCTIONS: Counts = {"s3_get": 2, "s3_put": 8}
"""That Step Functions itself asks of S3 for a file's two Maps, and tagging their results: not seen on the emulator."""

EXACT = ("transition", "lambda_request", "s3_put", "s3_get", "s3_free", "log_byte")
"""Counted, not timed; the logs' bytes differ by some digits."""


@dataclass(frozen=True)
class Month:
    name: str
    files: int
    rows: int
    """To a file."""


MONTHS = (Month("idle", 0, 0), Month("1 M rows", 30, 33_333), Month("100 M rows", 300, 333_333))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", action="store_true", help="count anew")
    if parser.parse_args().count:
        COUNTS.write_text(json.dumps(counted(), indent=2) + "\n")
    PAGE.write_text(page())


# --- counting -------------------------------------------------------------------------------------------------------


def counted(batches: int = 4) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rowferry-costs-") as name, running(Path(name)) as stack:
        assert stack.emulator and stack.deployment
        with Recorder(stack.emulator) as recorder:
            recorder.point_functions(stack.deployment.bucket)
            with closing(Counted(stack, recorder)) as counter:
                return {"measured": dt.datetime.now(dt.UTC).date().isoformat(), **counts_of(counter, batches)}


def counts_of(counter: Counted, batches: int) -> dict[str, Any]:
    """Of a file with one batch, one with so many, and the sweep."""
    parents(counter)
    one, many = employees(BATCH_ROWS), employees(batches * BATCH_ROWS, 1_000_000)
    first = counter.file("raw/hired_employees-one.csv", one)
    last = counter.file("raw/hired_employees-many.csv", many)
    per_batch = {unit: (last[unit] - first[unit]) / (batches - 1) for unit in EXACT}
    per_file = {unit: first[unit] - per_batch[unit] for unit in EXACT}
    per_batch["lambda_gb_second"] = last["gb_second_batches"] / batches
    per_file["lambda_gb_second"] = (first["gb_second"] + last["gb_second"]) / 2
    sweep = counter.sweep()
    return {
        "bytes_of_a_row": round(len(one) / BATCH_ROWS, 1),
        "file": rounded(per_file),
        "batch": rounded(per_batch),
        "sweep": rounded({unit: sweep[unit] for unit in EXACT} | {"lambda_gb_second": sweep["gb_second"]}),
    }


def rounded(counts: Counts) -> Counts:
    return {unit: round(value, 3) for unit, value in counts.items()}


# --- a month --------------------------------------------------------------------------------------------------------


def quantities(month: Month, counts: Mapping[str, Any]) -> Counts:
    """By the units of prices.json."""
    found = standing()
    add(found, counts["sweep"], HOURS)
    if month.files:
        add(found, counts["file"], month.files)
        add(found, BY_STEP_FUNCTIONS, month.files)
        add(found, counts["batch"], month.files * math.ceil(month.rows / BATCH_ROWS))
        gigabytes = month.files * month.rows * counts["bytes_of_a_row"] / 1e9
        kept = gigabytes * (1 + WORK_FILES * KEPT_DAYS / 30)
        add(found, {"s3_gb_month": kept, "zone_gb": gigabytes * PASSES / 2, "metric_month": METRICS}, 1)
    found["log_gb"] = found.pop("log_byte") / 1e9
    found["event"] = found["s3_put"] + found.pop("s3_free")
    found["trace"] = found["lambda_request"]
    return found


def standing() -> Counts:
    """What is there whether it works or not."""
    text = (ROOT / "template.yaml").read_text()
    storage = re.search(r"dev: {.*DbStorageGiB: \"(\d+)\"", text)
    volume = re.search(r"VolumeSize: (\d+)", text)
    assert storage and volume
    return {
        "rds_hour": HOURS,
        "rds_gb_month": int(storage[1]),
        "ec2_hour": HOURS,
        "ebs_gb_month": int(volume[1]),
        "ipv4_hour": HOURS,
        "secret_month": text.count("Type: AWS::SecretsManager::Secret\n"),
        "alarm_month": text.count("Type: AWS::CloudWatch::Alarm\n"),
        "dashboard_month": text.count("Type: AWS::CloudWatch::Dashboard\n"),
        "metric_month": 2,  # ApiHealthy, by the instance; BackupsCompleted, each night
    }


def add(found: Counts, more: Counts, times: float) -> None:
    for unit, value in more.items():
        found[unit] = found.get(unit, 0) + value * times


def cost(unit: str, quantity: float, prices: Mapping[str, Any], free: bool) -> float:
    allowance = prices["free"].get(unit, {}).get("units", 0) if free else 0
    return float(max(0, quantity - allowance) * prices["prices"][unit]["usd"])


# --- the page -------------------------------------------------------------------------------------------------------


def page() -> str:
    prices, counts = json.loads(PRICES.read_text()), json.loads(COUNTS.read_text())
    return "\n".join([*introduction(counts), *bill(prices, counts), *counts_table(counts), *sources(prices)]) + "\n"


def introduction(counts: Mapping[str, Any]) -> Iterator[str]:
    yield "<!-- Written by `make costs`; a test compares. Change bench/prices.json or bench/costs.py instead. -->"
    yield "# What a month costs"
    yield ""
    yield "In us-east-1, with the template's defaults: our own database, our own instance, one zone."
    yield from (f"{month.name}: {month.files} files of {month.rows:,} rows." for month in MONTHS if month.files)
    yield f"Calls were counted on {counts['measured']} on the local stack, not on AWS; prices are data in"
    yield "`bench/prices.json`, most of them from secondary sources. No bill of a real account was seen."
    yield ""


def bill(prices: Mapping[str, Any], counts: Mapping[str, Any]) -> Iterator[str]:
    months = [quantities(month, counts) for month in MONTHS]
    yield "| USD a month, by what is charged | " + " | ".join(month.name for month in MONTHS) + " |"
    yield "|---|" + "---:|" * len(MONTHS)
    for unit, price in prices["prices"].items():
        cells = [f"{cost(unit, found.get(unit, 0), prices, False):.2f}" for found in months]
        yield f"| {price['per']} | " + " | ".join(cells) + " |"
    for words, free in (("**without** any free tier", False), ("**with** what AWS never charges for", True)):
        cells = [f"**{total(found, prices, free):.2f}**" for found in months]
        yield f"| {words} | " + " | ".join(cells) + " |"
    yield ""
    yield from remarks(prices, months)


def remarks(prices: Mapping[str, Any], months: list[Counts]) -> Iterator[str]:
    rows = [{**found, "metric_month": 0} for found in months]
    idle, million, hundred = (total(found, prices, False) for found in rows)
    yield f"What stands there is nearly all of it: the rows themselves cost {million - idle:.2f} USD for a million and"
    yield f"{hundred - idle:.2f} USD for a hundred million. (Metrics aside: they are given for a whole month, and AWS"
    yield "charges for the hours in which they are written.) New accounts' credits and the first year's free hours of"
    yield "older ones are not in the table."
    yield ""
    yield "Not in it: data that leaves AWS, rejects (read and written once more), the instance's own logs, backups of"
    yield "the database beyond its size (up to that they are free), the Avro files of each night (14 bytes a row of"
    yield "`hired_employees`) and the function that writes them, and what lies in `processed/` from earlier months."
    yield "A database that needs more than its first 20 GB grows by itself and costs more."
    yield ""


def total(found: Counts, prices: Mapping[str, Any], free: bool) -> float:
    return sum(cost(unit, found.get(unit, 0), prices, free) for unit in prices["prices"])


def counts_table(counts: Mapping[str, Any]) -> Iterator[str]:
    yield "## What was counted"
    yield ""
    yield "| | a file | each batch of 25,000 rows | a sweep, hourly |"
    yield "|---|---:|---:|---:|"
    for unit, words in WORDS.items():
        shown = ".1f" if unit == "lambda_gb_second" else ",.0f"
        yield f"| {words} | " + " | ".join(format(counts[part][unit], shown) for part in PARTS) + " |"
    yield ""
    yield "By a file of one batch and one of four, without a bad row. State transitions are the states entered, and one"
    yield "for each child of a Map. GB-seconds are the emulator's durations on a shared machine of two cores, with warm"
    yield "functions: a Lambda of 1 GB has a little more than half a core, so on AWS it may be two or three times as"
    yield "much, which changes no total by a dollar. `make costs COUNT=1` counts again."
    yield ""


PARTS = ("file", "batch", "sweep")
WORDS = {
    "transition": "state transitions",
    "lambda_request": "invocations",
    "lambda_gb_second": "GB-seconds",
    "s3_put": "S3 PUT, COPY, POST, LIST",
    "s3_get": "S3 GET, HEAD",
    "s3_free": "S3 DELETE, which is free",
    "log_byte": "bytes of functions' logs",
}


def sources(prices: Mapping[str, Any]) -> Iterator[str]:
    yield "## Prices"
    yield ""
    yield prices["note"]
    yield ""
    yield "| USD | per | free a month | source | |"
    yield "|---:|---|---:|---|---|"
    for unit, price in prices["prices"].items():
        free = prices["free"].get(unit, {}).get("units")
        amount = f"{price['usd']:.10f}".rstrip("0").rstrip(".")
        yield f"| {amount} | {price['per']} | {free or ''} | {price['source']} | {price['kind']}, {price['date']} |"


if __name__ == "__main__":
    main()
