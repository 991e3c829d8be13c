"""make chaos: the long form. Prints its seed, a line for each round, and the figures."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.chaos_stack import arena


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="go on until so many have been injected")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--each", type=int, default=3, help="kinds of faults in one round")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    say = lambda line: print(line, flush=True)  # noqa: E731
    with (
        tempfile.TemporaryDirectory(prefix="rowferry-chaos-") as folder,
        arena(Path(folder), random.Random(asked.seed), say) as made,
    ):
        campaign = Campaign(made, asked.seed, say)
        campaign.begin()
        figures = campaign.rounds(asked.faults, asked.each)
    print(f"seed              {asked.seed}")
    print(*figures.lines(), sep="\n")
    return 1 if figures.differences else 0


if __name__ == "__main__":
    sys.exit(main())
