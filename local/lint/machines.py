"""asl-validator and statelint on the definitions of state machines.

asl-validator is an npm package: where npm is not there, it is not run, and `make check` says so.
"""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.emulator import ROOT
from local.lint.findings import Exemption, Finding

STATELINT = ROOT / ".tools/lint/bin/statelint"
LOCK = ROOT / "requirements/asl-validator"
NODE_FOLDER = ROOT / ".tools/asl-validator"
PROGRAM = NODE_FOLDER / "node_modules/.bin/asl-validator"
STAMP = ".rowferry-stamp"
NOT_RUN = "asl-validator was NOT run: npm is not on the PATH (on Debian and Ubuntu: apt-get install npm)"

STATELINT_EXEMPTIONS = (
    Exemption("statelint", "A field of AWS's Distributed Map that the language's specification lacks", 'Field "Label"'),
    Exemption(
        "statelint", "A field of AWS's item readers that the language's specification lacks", 'Field "InputType"'
    ),
)


def write(machines: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    paths = [folder / f"{name}.asl.json" for name in machines]
    for path, definition in zip(paths, machines.values(), strict=True):
        path.write_text(json.dumps(definition))
    return paths


def statelinted(definitions: Sequence[Path]) -> list[Finding]:
    """Numbers such as 2 are right where it wants 2.0."""
    return [
        Finding("statelint", path.name, line)
        for path in definitions
        for line in _complaints([str(STATELINT), "--ignore=FLOAT", str(path)])
    ]


def asl_validated(definitions: Sequence[Path], program: Path) -> list[Finding]:
    return [
        Finding("asl-validator", path.name, line)
        for path in definitions
        for line in _complaints([str(program), "--json-path", str(path)])
    ]


def _complaints(command: Sequence[str]) -> list[str]:
    """Its lines but the first, which says how many, or of which file."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    lines = [line.strip() for line in f"{done.stdout}{done.stderr}".splitlines() if line.strip()]
    return [line for line in lines if not re.match(r"\d+ errors?:|✕ ", line)] or [f"ended with {done.returncode}"]


def asl_validator(path: str | None = None) -> Path | None:
    """The program, installed as the lock says; None without npm on `path` (the PATH). npm checks each hash."""
    npm = shutil.which("npm", path=path)
    if not npm:
        return None
    wanted = hashlib.sha256((LOCK / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE_FOLDER / STAMP
    if not (PROGRAM.exists() and stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(NODE_FOLDER, ignore_errors=True)
        shutil.copytree(LOCK, NODE_FOLDER)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run([npm, "ci", *quiet], cwd=NODE_FOLDER, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"npm ci ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        stamp.write_text(wanted)
    return PROGRAM
