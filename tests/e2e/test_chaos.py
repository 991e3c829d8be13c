"""A short campaign of faults on a stack of its own; `make chaos` is the long one."""

import os
import random
from collections.abc import Iterator

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.chaos_stack import arena

SEED = int(os.environ.get("ROWFERRY_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
FAULTS = 25


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    print(f"seed {SEED}: ROWFERRY_CHAOS_SEED={SEED} makes the same files and faults again")
    with arena(tmp_path_factory.mktemp("chaos"), random.Random(SEED)) as made:
        campaign = Campaign(made, SEED)
        campaign.begin()
        yield campaign


def test_faults_lose_nothing_and_double_nothing(campaign: Campaign) -> None:
    figures = campaign.rounds(FAULTS)
    print(*figures.lines(), sep="\n")
    assert figures.differences == []
    assert figures.faults.total() >= FAULTS
    assert figures.accounted == figures.rows > 0


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE departments SET name = 'Not it' WHERE id = 1",
        "DELETE FROM hired_employees ORDER BY id LIMIT 1",
        "INSERT INTO jobs VALUES (777, 'Nobody sent it')",
    ],
)
def test_the_audit_would_notice_a_row(campaign: Campaign, tampering: str) -> None:
    campaign.arena.world.execute(tampering)
    assert len(campaign.tables_differ()) == 1
