import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.install import STAMP, Environment, InstallError, listed, run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "list.txt").write_text("one==1\n")
    (tmp_path / "env").mkdir()
    return Environment(tmp_path / "env", tmp_path / "list.txt")


def test_an_environment_is_ready_once_it_bears_the_stamp_of_its_list(environment: Environment) -> None:
    assert not environment.is_ready()
    (environment.folder / STAMP).write_text(environment.wanted())
    assert environment.is_ready()


def test_it_is_made_again_when_the_list_changed(environment: Environment) -> None:
    (environment.folder / STAMP).write_text(environment.wanted())
    environment.requirements.write_text("one==2\n")
    assert not environment.is_ready()


def test_a_failing_command_shows_what_it_said() -> None:
    with pytest.raises(InstallError, match="the disk is full"):
        run([sys.executable, "-c", "import sys; sys.exit('the disk is full')"])


def test_without_a_python_make_says_which_package_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "install", "PYTHON="], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode != 0
    assert "apt-get install python3 python3-venv" in done.stderr


def test_each_locked_list_names_a_hash_for_each_package_and_no_address() -> None:
    lists = [path for folder in ("requirements", "src", "api_ec2") for path in (ROOT / folder).glob("*.txt")]
    assert len(lists) == 9
    for path in lists:
        text = path.read_text()
        pinned = [entry for entry in text.replace("\\\n", " ").splitlines() if "==" in entry.partition("#")[0]]
        assert pinned
        assert all("--hash=sha256:" in entry for entry in pinned)
        assert "://" not in text


def test_a_locked_list_is_read_by_its_packages_names(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# a comment\nPyYAML==6.0 \\\n    --hash=sha256:aa==\nmoto[s3]==5.0 ; sys_platform != 'x' \\\n")
    assert listed(path) == {"pyyaml", "moto"}
