"""`python -m local.lint`: every linter of the template and the state machines; 1 where one of them finds something."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.emulator import ROOT
from local.lint import checkov, machines, templates
from local.lint.findings import complaints
from local.lint.parameters import parameter_sets
from local.lint.stacks import stacks

TEMPLATE = ROOT / "template.yaml"
Linter = Callable[[], list[str]]


def linters(folder: Path) -> dict[str, Linter]:
    """Each answers its complaints. What they read is written into the folder."""
    made = stacks(TEMPLATE, parameter_sets())
    resolved = templates.write(made, folder)
    (transformed := folder / "transformed").mkdir()
    whole = templates.write_transformed(made[0], transformed)
    definitions = machines.write(made[0].machines(), transformed)
    found: dict[str, Linter] = {
        "checkov": lambda: complaints(checkov.findings(TEMPLATE), checkov.exemptions(TEMPLATE)),
        "cfn-lint": lambda: complaints(templates.cfn_linted([whole, *resolved]), templates.CFN_LINT_EXEMPTIONS),
        "cloudformation-validate": lambda: complaints(templates.validated(folder), templates.VALIDATE_EXEMPTIONS),
        "statelint": lambda: complaints(machines.statelinted(definitions), machines.STATELINT_EXEMPTIONS),
    }
    if program := machines.asl_validator():
        found["asl-validator"] = lambda: complaints(machines.asl_validated(definitions, program), ())
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max_workers=2) as pool:
        running = {name: pool.submit(lint) for name, lint in linters(Path(folder)).items()}
        answers = {name: answer.result() for name, answer in running.items()}
    return report(answers)


def report(answers: Mapping[str, list[str]]) -> int:
    """Says each linter's complaints, and which linter was not run."""
    for name, lines in answers.items():
        for line in lines:
            print(f"{name}: {line}")
    if "asl-validator" not in answers:
        print(machines.NOT_RUN)
    return 1 if any(answers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
