"""checkov on the template, held against the template's own list of what is left out: `python -m local.checks`.

The list stands in Metadata, each entry with its reason. What one resource alone leaves out stands in that resource's
Metadata, which checkov reads itself.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from local.emulator import ROOT

CHECKOV = ROOT / ".tools/checkov/bin/checkov"
TEMPLATE = ROOT / "template.yaml"


class _Untagged(yaml.SafeLoader):
    """For a template's plain parts; what stands under one of CloudFormation's tags is not read."""


_Untagged.add_multi_constructor("!", lambda loader, tag, node: None)


@dataclass(frozen=True)
class Finding:
    """A check that a resource, or a line of it, does not pass; or, `skipped`, that it leaves out with a reason."""

    check: str
    words: str
    resource: str
    skipped: bool = False


def findings(template: Path = TEMPLATE) -> list[Finding]:
    """Without the network: checkov would ask its maker's servers for links to its guidelines."""
    command = [str(CHECKOV), "--file", str(template), "--framework", "cloudformation", "--output", "json"]
    done = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False)
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"checkov ended with {done.returncode}:\n{done.stderr}{done.stdout}") from None
    if results["parsing_errors"]:
        raise SystemExit(f"checkov can't read {results['parsing_errors']}")
    return [
        Finding(found["check_id"], found["check_name"], found["resource"], kind == "skipped_checks")
        for kind in ("failed_checks", "skipped_checks")
        for found in results[kind]
    ]


def left_out(template: Path = TEMPLATE) -> Mapping[str, str]:
    """The template-wide list: a check and why it is left out."""
    listed = yaml.load(template.read_text(), _Untagged)["Metadata"]["checkov"]["skip"]  # noqa: S506 (a SafeLoader)
    return {entry["id"]: entry["comment"] for entry in listed}


def complaints(found: Sequence[Finding], accepted: Mapping[str, str]) -> list[str]:
    """What is not accepted, and what is accepted for nothing."""
    failed = [finding for finding in found if not finding.skipped]
    wrong = [f"{one.check} {one.resource}: {one.words}" for one in failed if one.check not in accepted]
    idle = accepted.keys() - {one.check for one in failed}
    return [
        *wrong,
        *(f"{check} is left out in the template's Metadata, and nothing fails it" for check in sorted(idle)),
    ]


def main(arguments: Sequence[str]) -> int:
    template = Path(arguments[0]) if arguments else TEMPLATE
    wrong = complaints(findings(template), left_out(template))
    print("\n".join(f"checkov: {line}" for line in wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
