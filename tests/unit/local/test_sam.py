"""Which commands `make build` and `make deploy` run, and what they say where the chosen Python is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local.emulator import ROOT
from local.sam import SamError, check_runtime, command, default_runtime, parameters

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())


def test_without_a_choice_samconfig_says_all() -> None:
    assert command("deploy", "prod", None, CONFIG)[1:] == ["deploy", "--config-env", "prod"]


def test_a_chosen_python_goes_with_the_parameters_of_samconfig() -> None:
    for act in ("build", "deploy"):
        assert command(act, "prod", "python3.12", CONFIG)[1:] == [
            act,
            "--config-env",
            "prod",
            "--parameter-overrides",
            "Environment=prod",
            "DbInstanceClass=db.t4g.small",
            "PythonRuntime=python3.12",
        ]


def test_build_and_deploy_are_told_the_same_parameters() -> None:
    """A table of one command alone would go before the one for all."""
    for name, environment in CONFIG.items():
        if name != "version":
            own = [act for act, told in environment.items() if "parameter_overrides" in told["parameters"]]
            assert own in ([], ["global"]), name


def test_an_environment_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SamError, match="has no environment production; it has default, dev, prod"):
        parameters(CONFIG, "production")


def test_a_python_that_is_missing_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    there = tmp_path / "python3.12"
    there.symlink_to(sys.executable)
    (tmp_path / "python3.11").write_text("#!/bin/sh\nexit 127\n")  # as a shim does whose Python is not installed
    (tmp_path / "python3.11").chmod(0o755)
    check_runtime("python3.12", str(tmp_path))
    with pytest.raises(SamError, match=r"python3\.13 is not on your PATH") as missing:
        check_runtime("python3.13", str(tmp_path))
    assert "make build RUNTIME=python3.12" in str(missing.value)
    there.unlink()
    with pytest.raises(SamError, match="Found: none that Lambda has"):
        check_runtime("python3.13", str(tmp_path))


def test_the_templates_own_python_is_asked_for_where_nobody_chose(tmp_path: Path) -> None:
    assert default_runtime((ROOT / "template.yaml").read_text()) == "python3.13"
    build = [sys.executable, "local/sam.py", "build"]
    done = subprocess.run(build, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("build: python3.13 is not on your PATH")


def test_building_and_deploying_need_no_database_and_no_system_package() -> None:
    for target in ("build", "deploy", "rds-ca"):
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        installs = [line for line in done.stdout.splitlines() if "local/install.py" in line]
        assert [line.split("local/install.py")[1].split() for line in installs] in ([["sam"]], [["venv"]])
