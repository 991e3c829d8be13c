"""No secret is in the repository: detect-secrets looks at every file that git has."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[2]

LOOKED_AT = {  # findings that are none
    **dict.fromkeys(("events/load.json", "events/reconcile.json"), 1),  # made-up ids of runs
    "events/fail.json": 3,  # and of a version, and an etag
    **dict.fromkeys(("events/summarise.json", "events/turn.json", "events/validate.json"), 1),
    "docs/deploy.md": 1,  # made-up names
    "events/bootstrap.json": 3,  # the names of secrets
    "events/credentials.json": 1,  # a made-up signature
    "tests/integration/setup/test_credentials.py": 2,  # made up for the test
    "events/plan.json": 2,  # and an etag
    "local/emulator.py": 1,  # the emulator takes any key; this is the word "test"
    "local/lint/parameters.py": 1,  # the name of a secret that is not there
    "local/rds_ca.py": 1,  # a checksum
    "template.yaml": 3,  # references to secrets
    "tests/integration/api_ec2/requests/function-url-metrics.json": 1,  # ids and boundaries of requests
    "tests/integration/api_ec2/requests/function-url-stranger.json": 1,
    "tests/integration/api_ec2/requests/function-url-upload-form.json": 2,
    "tests/integration/api_ec2/requests/function-url-upload-text.json": 1,
    "tests/integration/api_ec2/requests/http-api-upload-form.json": 1,
    "tests/e2e/test_instance.py": 1,  # made up for the test
    "tests/integration/functions/database_of_0160ce8.json": 1,  # an etag
    "tests/integration/functions/half_done_runs.json": 1,  # an etag
    "tests/integration/storage/test_mysql.py": 1,
    "tests/unit/local/test_mysqld.py": 2,  # checksums
    "tests/unit/test_config.py": 1,
}


def findings(paths: list[str]) -> Iterator[str]:
    """A path for each thing in it that looks like a secret."""
    with default_settings():
        for path in paths:
            yield from [path] * len({found.secret_hash for found in scan_file(str(ROOT / path))})


@pytest.fixture(scope="module")
def files() -> list[str]:
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so what belongs to the repository is not known")
    hashed = ("requirements.txt", "rds-ca.pem", "/manifest.json")  # checksums and certificates
    return [
        name for name in listed.stdout.split() if not name.endswith(hashed) and not name.startswith("requirements/")
    ]


def test_no_file_has_a_secret(files: list[str]) -> None:
    assert len(files) > 100
    assert dict(Counter(findings(files))) == LOOKED_AT


def test_a_secret_would_be_found(tmp_path: Path) -> None:
    leaked = tmp_path / "leaked.py"
    leaked.write_text("AWS = '" + "AKIA" + "Q3EGRIGTRT6WL4XS'\n")
    assert list(findings([str(leaked)])) == [str(leaked)]
