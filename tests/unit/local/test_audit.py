"""What make audit says; the real thing needs PyPI's advisories, which are not everywhere in reach."""

from local.audit import LOCKS, vulnerabilities
from local.emulator import ROOT


def test_each_lock_file_is_audited() -> None:
    named = {path.with_suffix(".txt").name for path in ROOT.glob("*/*requirements*.in")}
    assert {path.name for path in LOCKS} >= named
    assert len(LOCKS) >= len(list(ROOT.glob("requirements/*.in"))) + 3


def test_a_vulnerability_is_told_with_what_mends_it() -> None:
    package: dict[str, object] = {
        "name": "jinja",
        "version": "1.0",
        "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}],
    }
    assert vulnerabilities(package) == ["jinja 1.0: PYSEC-1, mended in 1.1, 2.0"]
    assert vulnerabilities({"name": "jinja", "version": "1.1", "vulns": []}) == []
    assert vulnerabilities({"name": "jinja", "skip_reason": "not found"}) == []
