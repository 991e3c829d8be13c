"""make audit: known vulnerabilities in the locked dependencies, as PyPI's advisories have them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local.emulator import ROOT

LOCKS = sorted(path for folder in ("src", "api_ec2", "requirements") for path in (ROOT / folder).glob("*.txt"))


def main() -> int:
    """1 where a package has a known vulnerability; that the advisories are out of reach is said, and is no failure."""
    found, audited, skipped = list[str](), 0, 0
    for lock in LOCKS:
        packages = audit(lock)
        skipped += sum("skip_reason" in package for package in packages)
        audited += sum("vulns" in package for package in packages)
        found += [f"{lock.relative_to(ROOT)}: {words}" for package in packages for words in vulnerabilities(package)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"audit: {audited} packages audited, {len(found)} vulnerabilities")
    if skipped:
        print(f"audit: {skipped} packages NOT audited: their advisories are out of reach of this machine")
    return 1 if found else 0


def audit(lock: Path) -> Sequence[dict[str, object]]:
    """What pip-audit says of each package of a lock file."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "-r", str(lock), *options], capture_output=True, text=True, check=False
    )
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        return [{"name": lock.name, "skip_reason": done.stderr[-500:]}]


def vulnerabilities(package: dict[str, object]) -> list[str]:
    """In words, with the versions that mend each."""
    vulns = package.get("vulns") or []
    assert isinstance(vulns, list)
    return [
        f"{package['name']} {package['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'none yet'}"
        for one in vulns
    ]


if __name__ == "__main__":
    sys.exit(main())
