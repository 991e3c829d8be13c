"""Puts in place what the project runs on: three virtual environments and a MySQL server. Only the standard library.

.venv             the project, its tests and its tools
.tools/sam        the SAM CLI and cfn-lint
.tools/ministack  the emulated AWS, and the interpreter that runs the functions on it
.tools/lint       linters of what SAM's transform makes of the template, and of the state machines
.tools/checkov    a linter of the template; a quarter of a gigabyte that only `make check` needs, so only it asks for it

Each is made from a hash-pinned requirement file and changed only when that file or the Python did.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".rowferry-stamp"


class InstallError(Exception):
    """Something on this machine is missing; the message says what to do."""


@dataclass(frozen=True)
class Environment:
    folder: Path
    requirements: Path
    project: Path | None = None
    """Installed editable on top, without its dependencies: the requirement file has them."""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def wanted(self) -> str:
        """What the stamp must say for the environment to be up to date: a line for its Python, one for its list."""
        base = f"{sys.version}\0{self.folder}".encode()
        return "\n".join(hashlib.sha256(part).hexdigest() for part in (base, self.requirements.read_bytes()))

    def stamp(self) -> str:
        path = self.folder / STAMP
        return path.read_text() if path.exists() else ""

    def is_ready(self) -> bool:
        return self.stamp() == self.wanted()

    def make(self) -> None:
        """Anew for another Python; for another list what differs is changed in place."""
        say(f"installing {self.requirements.relative_to(ROOT)} into {self.folder.relative_to(ROOT)}")
        before, wanted = self.stamp(), self.wanted()
        if before.partition("\n")[0] != wanted.partition("\n")[0]:
            shutil.rmtree(self.folder, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(self.folder)])
        self.pip("install", "--no-compile", "--require-hashes", "--no-deps", "-r", str(self.requirements))
        if extra := self.installed() - listed(self.requirements) - {"pip", "setuptools", "rowferry"}:
            self.pip("uninstall", "--yes", *sorted(extra))
        if self.project:
            self.pip("install", "--no-compile", "--no-deps", "--no-build-isolation", "-e", str(self.project))
        (self.folder / STAMP).write_text(wanted)

    def installed(self) -> set[str]:
        found = json.loads(self.pip("list", "--format", "json"))
        return {normal(package["name"]) for package in found}

    def pip(self, *arguments: str) -> str:
        options = ["--disable-pip-version-check", "--no-input"]
        return run([str(self.python), "-m", "pip", *options, *arguments])


def listed(requirements: Path) -> set[str]:
    """The packages of a locked list, those for other systems too."""
    lines = requirements.read_text().splitlines()
    return {normal(line.partition("==")[0].partition("[")[0]) for line in lines if "==" in line and line[0].isalpha()}


def normal(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def say(line: str) -> None:
    """In one piece, as several threads do it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


ENVIRONMENTS = (
    Environment(ROOT / ".venv", ROOT / "requirements" / "dev.txt", project=ROOT),
    Environment(ROOT / ".tools" / "sam", ROOT / "requirements" / "sam.txt"),
    Environment(ROOT / ".tools" / "ministack", ROOT / "requirements" / "ministack.txt"),
    Environment(ROOT / ".tools" / "lint", ROOT / "requirements" / "lint.txt"),
)
CHECKOV = Environment(ROOT / ".tools" / "checkov", ROOT / "requirements" / "checkov.txt")
ALONE = {"venv": ENVIRONMENTS[0], "sam": ENVIRONMENTS[1], "checkov": CHECKOV}


def run(command: list[str]) -> str:
    """Runs it quietly and gives what it printed; that is shown only when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip()
        raise InstallError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def check_python() -> None:
    """That it is new enough is seen to by the Makefile."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        import ensurepip  # noqa: F401  (Debian leaves it out of python3 itself)
        import venv  # noqa: F401
    except ImportError:
        raise InstallError(
            f"Python {version} has no venv here, so nothing can be installed; on Debian and Ubuntu: "
            f"apt-get install python{version}-venv"
        ) from None


def install(environments: Iterable[Environment]) -> None:
    missing = [environment for environment in environments if not environment.is_ready()]
    with ThreadPoolExecutor(max_workers=4) as pool:
        for made in [pool.submit(environment.make) for environment in missing]:
            made.result()


def main(arguments: Sequence[str]) -> int:
    """Without an argument what everything stands on; with a name of ALONE that environment alone."""
    try:
        check_python()
        if arguments:
            install([ALONE[name] for name in arguments])
            return 0
        install(ENVIRONMENTS)
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    mysqld = subprocess.run([str(ENVIRONMENTS[0].python), "-m", "local.mysqld"], cwd=ROOT, check=False)
    return mysqld.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
