"""The server program: which mysqld this machine uses, and how one is put in place where there is none.

`python -m local.mysqld` makes sure that there is one. In this order:
1. ROWFERRY_MYSQLD, whatever it is
2. a mysqld that is installed, if it is MySQL: on many systems that name is MariaDB's
3. on Debian and Ubuntu Oracle's MySQL from the distribution's packages, unpacked into .tools/mysql without root
4. the mysql:8.4 image, if a Docker engine answers
5. MariaDB, for the demo only: RDS runs MySQL, so what passes there alone is not proven
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.processes import LocalError

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin")
"""Where servers are that PATH need not name."""
UNPACKED = ROOT / ".tools" / "mysql"
IMAGE = "mysql:8.4"
PACKAGES = ("mysql-server-core", "mysql-server-core-8.4", "mysql-server-core-8.0")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HOW_TO_GET_ONE = (
    "Rowferry needs a MySQL server (8.0.20 or later) and found none: install one, or start Docker, "
    "or say where one is: ROWFERRY_MYSQLD=/path/to/mysqld"
)


@dataclass(frozen=True)
class Program:
    """A server program that can be started: its version, the command, and options that it always needs."""

    version: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    in_docker: bool = False

    @property
    def is_mariadb(self) -> bool:
        return "MariaDB" in self.version

    @property
    def name(self) -> str:
        number = re.search(r"\d+\.\d+\.\d+", self.version)
        return f"{'MariaDB' if self.is_mariadb else 'MySQL'} {number[0] if number else self.version}"


def find(allow_stand_in: bool = False) -> Program:
    """The program to use. A MariaDB only where the caller can do with a stand-in, or where ROWFERRY_MYSQLD names it."""
    if named := os.environ.get("ROWFERRY_MYSQLD"):
        return probe(Path(named)) or fail(f"ROWFERRY_MYSQLD={named} is not a server program that runs here")
    installed = [program for path in installed_paths() if (program := probe(path))]
    for program in installed:
        if not program.is_mariadb:
            return program
    if program := unpacked() or docker():
        return program
    if installed and allow_stand_in:
        return installed[0]
    return fail(HOW_TO_GET_ONE + (f" ({installed[0].name} serves for `make demo` only)" if installed else ""))


def fail(message: str) -> Program:
    raise LocalError(message)


def installed_paths() -> list[Path]:
    folders = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    return [Path(path) for name in ("mysqld", "mariadbd") if (path := shutil.which(name, path=folders))]


def probe(path: Path) -> Program | None:
    version = output_of(str(path), "--version")
    return Program(version, (str(path.absolute()),)) if version else None


def docker() -> Program | None:
    """A stand-by that looks like a program: the client runs in the foreground and hands SIGTERM on to the server."""
    if not shutil.which("docker") or not output_of("docker", "info", "--format", "{{.ServerVersion}}"):
        return None
    return Program(f"Ver 8.4.0 ({IMAGE})", ("docker", "run", "--rm"), in_docker=True)


def unpacked() -> Program | None:
    """The server under .tools/mysql, run by the loader and the libraries that came with it."""
    server = UNPACKED / "usr" / "sbin" / "mysqld"
    loader = next(UNPACKED.glob("usr/lib*/**/ld-linux-*.so.*"), None)
    libc = next(UNPACKED.glob("usr/lib/*/libc.so.6"), None)
    if not (server.exists() and loader and libc):
        return None
    libraries = f"{libc.parent}:{UNPACKED / 'usr/lib/mysql/private'}"
    command = (str(loader), "--library-path", libraries, str(server))
    share = UNPACKED / "usr" / "share" / "mysql"
    options = (
        f"--basedir={UNPACKED / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
    )
    version = output_of(*command, "--version")
    return Program(version, command, options) if version else None


def output_of(*command: str) -> str:
    """What it prints; nothing if it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def install() -> Program:
    """Finds a program, or unpacks one first where the distribution has one."""
    try:
        return find()
    except LocalError:
        if os.environ.get("ROWFERRY_MYSQLD"):
            raise
    if shutil.which("apt-get"):
        try_to_unpack()
    return find(allow_stand_in=True)


def try_to_unpack() -> None:
    try:
        with one_at_a_time():
            if not unpacked():
                unpack_packages()
    except LocalError as error:
        print(f"install: {error}", file=sys.stderr)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    UNPACKED.parent.mkdir(parents=True, exist_ok=True)
    with (UNPACKED.parent / "mysql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack_packages(packages: Sequence[str] = PACKAGES, folder: Path = UNPACKED, what: str = "a MySQL server") -> None:
    """apt-get downloads and verifies signatures as always, but with lists, cache and status in a folder of ours.

    `packages`: the first that is offered is unpacked, with all that it stands on.
    """
    print(f"unpacking {what} from the distribution's packages into {folder.relative_to(ROOT)}", flush=True)
    work = folder.with_suffix(".partial")
    shutil.rmtree(work, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial", "tree"):
        (work / part).mkdir(parents=True)
    apt = ["apt-get", "-qq", *apt_options(work)]
    run_apt([*apt, "update"])
    run_apt([*apt, "install", "--yes", "--no-install-recommends", "--download-only", offered_package(work, packages)])
    for package in sorted((work / "cache/archives").glob("*.deb")):
        run_apt(["dpkg", "-x", str(package), str(work / "tree")])
    shutil.rmtree(folder, ignore_errors=True)
    (work / "tree").rename(folder)
    shutil.rmtree(work)


def apt_options(work: Path) -> list[str]:
    (work / "status").touch()  # an empty one: every library comes along, whatever this machine has
    settings = {
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
    }
    if mirror := debian_mirror():
        (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} sid main\n")
        settings |= {"Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "/dev/null"}
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def debian_mirror() -> str | None:
    """Debian's releases carry MariaDB only, MySQL is in sid; Ubuntu has it in its own sources, so no answer there."""
    if not KEYRING.exists():
        return None
    folder = Path("/etc/apt")
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        for line in lines:
            if found := re.match(r"(?:URIs:|deb\s+(?:\[[^]]*\])?)\s*(https?://\S+/debian)/?(?:\s|$)", line):
                return found[1]
    return None


def offered_package(work: Path, packages: Sequence[str]) -> str:
    for package in packages:
        if output_of("apt-cache", *apt_options(work), "show", "--no-all-versions", package):
            return package
    raise LocalError(f"none of {', '.join(packages)} is offered by apt here, so MySQL was not unpacked")


def run_apt(command: list[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise LocalError(f"{command[0]} failed, so MySQL was not unpacked:\n{done.stderr.strip()}")


def main() -> int:
    try:
        program = install()
    except LocalError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    if program.is_mariadb:
        print(f"warning: {program.name} is a stand-in: the demo runs on it, but the tests want MySQL", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
