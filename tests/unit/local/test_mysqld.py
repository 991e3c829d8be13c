from pathlib import Path

import pytest

from local import mysqld
from local.mysqld import Program, find
from local.processes import LocalError

MYSQL = "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)"
MARIADB = "mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)"


def fake_server(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "mysqld"
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing installed but /bin; its first folder for programs is given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/bin")
    monkeypatch.delenv("ROWFERRY_MYSQLD", raising=False)
    monkeypatch.setattr(mysqld, "PLACES", ())
    monkeypatch.setattr(mysqld, "UNPACKED", tmp_path / "unpacked")
    return programs


def test_an_installed_mysql_is_taken(machine: Path) -> None:
    path = fake_server(machine, MYSQL)
    assert find() == Program(MYSQL, (str(path),))
    assert find().name == "MySQL 8.4.3"


def test_a_mariadb_by_the_name_of_mysqld_is_not_taken_for_mysql(machine: Path) -> None:
    fake_server(machine, MARIADB)
    with pytest.raises(LocalError, match=r"MariaDB 10\.11\.6 serves for `make demo` only"):
        find()
    assert find(allow_stand_in=True).is_mariadb


def test_the_named_server_goes_before_the_installed_one(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(machine, MYSQL)
    named = fake_server(tmp_path / "elsewhere", MYSQL.replace("8.4.3", "9.1.0"))
    monkeypatch.setenv("ROWFERRY_MYSQLD", str(named))
    assert find().name == "MySQL 9.1.0"


def test_a_named_server_that_does_not_run_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_server(machine, MYSQL)
    monkeypatch.setenv("ROWFERRY_MYSQLD", "/no/such/mysqld")
    with pytest.raises(LocalError, match="ROWFERRY_MYSQLD=/no/such/mysqld"):
        find()


def test_docker_is_a_stand_by(machine: Path) -> None:
    engine = machine / "docker"
    engine.write_text("#!/bin/sh\necho 27.0\n")
    engine.chmod(0o755)
    assert find().in_docker


def test_without_any_server_it_says_what_to_do(machine: Path) -> None:
    with pytest.raises(LocalError, match="ROWFERRY_MYSQLD=/path/to/mysqld"):
        find()
