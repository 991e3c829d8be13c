"""Puts in place what the project runs on: three virtual environments and a MySQL server. Only the standard library.

.venv             the project, its tests and its tools
.tools/sam        the SAM CLI and cfn-lint
.tools/ministack  the emulated AWS, and the interpreter that runs the functions on it

Each is made from a hash-pinned requirement file and made again only when that file or the Python changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".rowferry-stamp"
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install", "--no-compile"]


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
        """What the stamp must say for the environment to be up to date."""
        parts = (sys.version.encode(), str(self.folder).encode(), self.requirements.read_bytes())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def is_ready(self) -> bool:
        stamp = self.folder / STAMP
        return stamp.exists() and stamp.read_text() == self.wanted()

    def make(self) -> None:
        sys.stdout.write(f"installing {self.requirements.relative_to(ROOT)} into {self.folder.relative_to(ROOT)}\n")
        shutil.rmtree(self.folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(self.folder)])
        run([str(self.python), *PIP, "--require-hashes", "--no-deps", "-r", str(self.requirements)])
        if self.project:
            run([str(self.python), *PIP, "--no-deps", "--no-build-isolation", "-e", str(self.project)])
        (self.folder / STAMP).write_text(self.wanted())


ENVIRONMENTS = (
    Environment(ROOT / ".venv", ROOT / "requirements" / "dev.txt", project=ROOT),
    Environment(ROOT / ".tools" / "sam", ROOT / "requirements" / "sam.txt"),
    Environment(ROOT / ".tools" / "ministack", ROOT / "requirements" / "ministack.txt"),
)


def run(command: list[str]) -> None:
    """Runs it quietly; its output is shown only when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip()
        raise InstallError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")


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
    with ThreadPoolExecutor(max_workers=3) as pool:
        for made in [pool.submit(environment.make) for environment in missing]:
            made.result()


def main() -> int:
    try:
        check_python()
        install(ENVIRONMENTS)
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    mysqld = subprocess.run([str(ENVIRONMENTS[0].python), "-m", "local.mysqld"], cwd=ROOT, check=False)
    return mysqld.returncode


if __name__ == "__main__":
    sys.exit(main())
