"""cfn-lint and cloudformation-validate on stacks: transformed templates, and what parameters make of them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.emulator import ROOT
from local.lint.findings import Exemption, Finding
from local.lint.resolve import REGION
from local.lint.stacks import Stack

CFN_LINT = ROOT / ".tools/sam/bin/cfn-lint"
LINT_PYTHON = ROOT / ".tools/lint/bin/python"
WIDTH = 300  # of a finding's words: some list each value that would have been right

VALIDATE_EXEMPTIONS = (
    Exemption("E9006", "RDS takes a major version and chooses the minor one; the rule knows minor ones only", "'8.4'"),
    Exemption(
        "pf-iam-policy-version",
        "SAM writes a policy without a version where the template gives none, and IAM takes an absent version as "
        "2008-10-17; what came later is policy variables, and the template uses none",
        "__pf_absent",
    ),
    Exemption(
        "pf-sfn-asl-jsonpath-syntax",
        "A Fail state's CausePath may be an intrinsic function, as AWS's guide to the Fail state says",
        "CausePath 'States.Format(",
    ),
    Exemption("W9003", "Parameters and mappings hold text, which CloudFormation turns into the type asked for"),
    Exemption("W9013", "The account is that of the made-up parameters; cfn-lint looks at the template without them"),
)
CFN_LINT_EXEMPTIONS = (
    Exemption(
        "W1028", "SAM gives each function all shared settings, whatever its own condition is", "'OwnUsers' to False"
    ),
)


def write(stacks: Sequence[Stack], folder: Path) -> list[Path]:
    """What each set makes of the template; sets that make the same of it are written once."""
    written: dict[str, Path] = {}
    for stack in stacks:
        text = json.dumps(stack.resolved, indent=1)
        if text not in written:
            written[text] = folder / f"{stack.name.replace(' ', '-')}.json"
            written[text].write_text(text)
    return list(written.values())


def write_transformed(stack: Stack, folder: Path) -> Path:
    path = folder / "transformed.json"
    path.write_text(json.dumps(stack.transformed, indent=1))
    return path


def validated(folder: Path) -> list[Finding]:
    script = str(ROOT / "local/lint/validate_stacks.py")
    found = json.loads(_output([str(LINT_PYTHON), script, str(folder)]))
    return [Finding(rule, place, words[:WIDTH]) for rule, place, words in found]


def cfn_linted(templates: Sequence[Path]) -> list[Finding]:
    command = [str(CFN_LINT), "--regions", REGION, "--format", "json", "--", *map(str, templates)]
    return [
        Finding(found["Rule"]["Id"], _place(found["Location"]), found["Message"][:WIDTH])
        for found in json.loads(_output(command, failing=False) or "[]")
    ]


def _place(location: Mapping[str, Any]) -> str:
    path = location.get("Path") or [f"line {location['Start']['LineNumber']}"]
    return "/".join(str(part) for part in path if part not in ("Resources", "Properties"))


def _output(command: Sequence[str], failing: bool = True) -> str:
    """`failing`: whether another exit code than 0 means more than that there are findings."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if (failing and done.returncode) or (done.returncode and not done.stdout):
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stdout
