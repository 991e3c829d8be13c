"""The API against its own description: schemathesis makes requests that fit it and requests that don't."""

import subprocess
import sys
from pathlib import Path

from rowferry import ledger
from rowferry.config import Settings
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN

EXAMPLES = 100

CONFIG = """
[[operations]]  # any text may be CSV, and not all is: quotes must be closed. A schema can't say that
include-path = "/upload_csv"
checks.positive_data_acceptance.expected-statuses = ["200", "422"]
checks.negative_data_rejection.expected-statuses = ["200", "400", "404", "413", "422"]

[[operations]]  # a backup or a moment, not both; a moment has a zone; another table is no table of ours
include-path = "/restore/{{table}}"
checks.positive_data_acceptance.expected-statuses = ["200", "202", "404", "409", "422"]

[[operations]]
include-path = "/runs/{{run}}"
parameters = {{ "path.run" = "{run}" }}
"""


def test_every_answer_is_as_the_description_says(
    settings: Settings, tmp_path: Path, pipeline: Pipeline, conn: Connection
) -> None:
    """Every check is on: no 500, no undescribed status, type or body, no route that opens without a token."""
    pipeline.migrate("raw/departments.csv", "1,A\n,B\n")
    (progress,) = ledger.newest(conn, 1)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(run=progress.run.id))
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
        *("run", f"{settings.api_url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}"),
        *("--checks", "all", "--max-examples", str(EXAMPLES), "--generation-database", "none"),
        *("--max-response-time", "30", "--no-color"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
