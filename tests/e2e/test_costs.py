"""What docs/costs.md is computed from is still what a file asks for."""

import json

import pytest

from bench.costs import COUNTS, EXACT, counted


def test_a_file_a_batch_and_a_sweep_ask_for_what_is_written_down() -> None:
    written, found = json.loads(COUNTS.read_text()), counted(batches=2)
    for part in ("file", "batch", "sweep"):
        for unit in EXACT:
            if unit != "log_byte":
                assert found[part][unit] == written[part][unit], f"{unit} of a {part}: make costs COUNT=1"
        assert found[part]["log_byte"] == pytest.approx(written[part]["log_byte"], rel=0.1)
