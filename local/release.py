"""What is deployed: whether the code has changed since, and whether its tables can be used at all."""

import hashlib
import subprocess
import sys
from pathlib import Path

from local.emulator import ROOT
from local.processes import LocalError


def fingerprint() -> str:
    """Of all that a deploy takes: another one means that `up` has something to take in."""
    files = sorted(path for name in DEPLOYED for path in _files(ROOT / name))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


DEPLOYED = ("template.yaml", "src", "functions", "api_ec2", "layers", "statemachine")


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [path for path in place.rglob("*") if path.is_file() and not _is_made(path)]


def _is_made(path: Path) -> bool:
    return any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)


def check_tables() -> None:
    """Raises: LocalError, with what is wrong in tables.py."""
    code = "import rowferry.declare.catalog"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it can't be imported"])[-1]
        raise LocalError(f"src/rowferry/tables.py can't be used: {reason}. The stack goes on with the tables it has")
