"""checkov on the template, with the exemptions that stand in the template's Metadata.

What one resource alone leaves out stands in that resource's Metadata, which checkov reads itself.
"""

import json
import subprocess
from pathlib import Path

import yaml

from local.emulator import ROOT
from local.lint.findings import Exemption, Finding

CHECKOV = ROOT / ".tools/checkov/bin/checkov"


class _Untagged(yaml.SafeLoader):
    """For a template's plain parts; what stands under one of CloudFormation's tags is not read."""


_Untagged.add_multi_constructor("!", lambda loader, tag, node: None)


def findings(template: Path) -> list[Finding]:
    """Without the network: checkov would ask its maker's servers for links to its guidelines."""
    command = [str(CHECKOV), "--file", str(template), "--framework", "cloudformation", "--output", "json"]
    done = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False)
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"checkov ended with {done.returncode}:\n{done.stderr}{done.stdout}") from None
    if results["parsing_errors"]:
        raise SystemExit(f"checkov can't read {results['parsing_errors']}")
    return [Finding(found["check_id"], found["resource"], found["check_name"]) for found in results["failed_checks"]]


def exemptions(template: Path) -> list[Exemption]:
    listed = yaml.load(template.read_text(), _Untagged)["Metadata"]["checkov"]["skip"]  # noqa: S506 (a SafeLoader)
    return [Exemption(entry["id"], entry["comment"]) for entry in listed]
