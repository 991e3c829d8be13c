"""Files that bit people who do this job: they lie beside the project, and may be absent."""

from pathlib import Path

import pytest

_CASES = Path(__file__).parents[3] / "shared/cases"


def given(case: str, name: str) -> bytes:
    """A file of a case; skips the test where the cases are absent."""
    path = _CASES / case / name
    if not path.exists():
        pytest.skip("the shared cases are not beside this project")
    return path.read_bytes()
