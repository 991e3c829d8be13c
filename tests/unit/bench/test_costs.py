"""docs/costs.md is what bench/prices.json, bench/counts.json and the template make it."""

import copy
import json

import pytest

from bench import costs
from local.emulator import ROOT


def test_the_page_is_up_to_date() -> None:
    assert costs.PAGE.read_text() == costs.page(), "write it anew: make costs"


def test_the_readme_has_its_totals() -> None:
    totals = [line for line in costs.page().splitlines() if line.startswith("| **with")]
    assert len(totals) == 2
    readme = (ROOT / "README.md").read_text()
    assert [line for line in totals if line not in readme] == []


def test_each_price_has_a_date_and_a_source() -> None:
    prices = json.loads(costs.PRICES.read_text())
    for given in (*prices["prices"].values(), *prices["free"].values()):
        assert given["kind"] in ("primary", "secondary", "unconfirmed")
        assert given["date"]
        assert given["source"]


def test_each_quantity_has_a_price_and_each_price_is_asked_for() -> None:
    prices, counts = json.loads(costs.PRICES.read_text()), json.loads(costs.COUNTS.read_text())
    for month in costs.MONTHS:
        assert set(costs.quantities(month, counts)) <= set(prices["prices"])
    assert set(costs.quantities(costs.MONTHS[-1], counts)) == set(prices["prices"])
    assert set(prices["free"]) <= set(prices["prices"])


def test_a_month_is_what_a_hand_comes_to() -> None:
    """4 batches a file: 11 + 4 x 8 transitions, and the hourly sweep's 7."""
    counts = {
        "bytes_of_a_row": 50,
        "file": dict.fromkeys((*costs.EXACT, "lambda_gb_second"), 0.0) | {"transition": 11},
        "batch": dict.fromkeys((*costs.EXACT, "lambda_gb_second"), 0.0) | {"transition": 8},
        "sweep": dict.fromkeys((*costs.EXACT, "lambda_gb_second"), 0.0) | {"transition": 7},
    }
    found = costs.quantities(costs.Month("two files", 2, 100_000), counts)
    assert found["transition"] == 2 * (11 + 4 * 8) + 730 * 7
    prices = {"prices": {"transition": {"usd": 0.000025}}, "free": {"transition": {"units": 4000}}}
    assert costs.cost("transition", found["transition"], prices, False) == pytest.approx(5196 * 0.000025)
    assert costs.cost("transition", found["transition"], prices, True) == pytest.approx(1196 * 0.000025)
    assert costs.cost("transition", 10, prices, True) == 0


def test_another_price_would_be_seen_in_the_table() -> None:
    prices, counts = json.loads(costs.PRICES.read_text()), json.loads(costs.COUNTS.read_text())
    dearer = copy.deepcopy(prices)
    dearer["prices"]["rds_hour"]["usd"] *= 2
    assert list(costs.bill(dearer, counts)) != list(costs.bill(prices, counts))
