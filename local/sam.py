"""`make build` and `make deploy`: the SAM CLI, told which Python to build with. Only the standard library.

What is deployed says samconfig.toml. A Python that is chosen here is given to both commands, beside its parameters.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAM = ROOT / ".tools/sam/bin/sam"
RUNTIME = "PythonRuntime"


class SamError(Exception):
    """Something is missing or misspelt; the message says what to do."""


def parameters(config: Mapping[str, Any], environment: str) -> dict[str, str]:
    """Those that samconfig.toml sets for an environment. Raises: SamError."""
    if environment not in config:
        known = ", ".join(name for name in config if name != "version")
        raise SamError(f"samconfig.toml has no environment {environment}; it has {known}")
    overrides = config[environment].get("global", {}).get("parameters", {}).get("parameter_overrides", [])
    return dict(override.split("=", 1) for override in overrides)


def default_runtime(template: str) -> str:
    found = re.search(rf"\n  {RUNTIME}:\n    Type: String\n    Default: (\S+)", template)
    assert found, "template.yaml names no default Python"
    return found[1]


def check_runtime(runtime: str, path: str) -> None:
    """SAM builds with the Python that the functions run on. Raises: SamError naming those that there are."""
    if runs(runtime, path):
        return
    there = [name for name in (f"python3.{minor}" for minor in range(11, 15)) if runs(name, path)]
    choice = there[-1] if there else "python3.12"
    raise SamError(
        f"{runtime} is not on your PATH, and functions are built by the Python that they run on.\n"
        f"Found: {', '.join(there) or 'none that Lambda has'}. Install {runtime}, or choose another one:\n"
        f"  make build RUNTIME={choice}       (and make deploy RUNTIME={choice})\n"
        "or for good, in samconfig.toml below [default.global.parameters]:\n"
        f'  parameter_overrides = ["{RUNTIME}={choice}"]'
    )


def runs(name: str, path: str) -> bool:
    """A program of that name may be a shim of pyenv, which runs nothing."""
    program = shutil.which(name, path=path)
    return bool(program) and subprocess.run([str(program), "-V"], capture_output=True, check=False).returncode == 0


def command(act: str, environment: str, runtime: str | None, config: Mapping[str, Any]) -> list[str]:
    """SAM takes parameters from one place only, so those of samconfig.toml are repeated where one is added."""
    given = parameters(config, environment)
    options = ["--config-env", environment]
    if runtime:
        merged = given | {RUNTIME: runtime}
        options += ["--parameter-overrides", *(f"{name}={value}" for name, value in merged.items())]
    return [str(SAM), act, *options]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make", description=__doc__)
    parser.add_argument("act", choices=("build", "deploy"))
    parser.add_argument("--environment", default="default")
    parser.add_argument("--runtime")
    chosen = parser.parse_args(arguments)
    path = f"{SAM.parent}{os.pathsep}{os.environ['PATH']}"
    try:
        config = tomllib.loads((ROOT / "samconfig.toml").read_text())
        run = command(chosen.act, chosen.environment, chosen.runtime, config)
        set_there = parameters(config, chosen.environment).get(RUNTIME)
        if chosen.act == "build":
            check_runtime(chosen.runtime or set_there or default_runtime((ROOT / "template.yaml").read_text()), path)
    except SamError as error:
        print(f"{chosen.act}: {error}", file=sys.stderr)
        return 1
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "PATH": path}
    return subprocess.run(run, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
