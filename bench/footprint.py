"""What a cold start carries: the layers' sizes, package by package, and how long each handler takes to import.

    python -m bench.footprint [--times 7]

Of what SAM built, for this machine's Python. Sizes are unzipped, which is what Lambda's limit of 250 MB counts. Each
import is a fresh process of the interpreter that stands in for Lambda's, with boto3 beside it: without bytecode, as on
Lambda, where a layer can't be written to, and with, for comparison. A laptop is not a Lambda: quote the relations.
"""

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.deploy import BUILD, RUNTIME, build
from local.emulator import ROOT
from local.processes import bare_environment

BUILT = BUILD / "build"
PYTHON = ROOT / ".tools/ministack/bin/python"
LISTED = 100_000
"""Bytes; smaller packages are counted together."""

TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rowferry-footprint-") as name:
        build(Path(name))
        for layer in sorted(BUILT.glob("*Layer")):
            print(f"\n{layer.name}, {total(layer) / 1e6:.1f} MB\n")
            print("| package | MB |\n|---|---|")
            for package, size in shown(packages(layer)):
                print(f"| {package} | {size / 1e6:.2f} |")
        print(f"\nImports on {RUNTIME}, median of {arguments.times}, ms\n")
        print("| handler | without bytecode | with |\n|---|---|---|")
        for handler, plain, compiled in imports(Path(name), arguments.times):
            print(f"| {handler} | {plain * 1000:.0f} | {compiled * 1000:.0f} |")


# --- sizes ----------------------------------------------------------------------------------------------------------


def total(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())


def packages(layer: Path) -> Mapping[str, int]:
    """Bytes of each top-level package or module; what installers leave behind is together `(metadata)`."""
    sizes: dict[str, int] = {}
    for path in (layer / "python").iterdir():
        name = package_of(path) or "(metadata)"
        sizes[name] = sizes.get(name, 0) + total(path)
    return sizes


def package_of(path: Path) -> str | None:
    """What is imported by; None for something that is not imported at all."""
    if path.suffix in (".dist-info", ".data", ".txt", ".in"):
        return None
    return path.name.partition(".")[0]


def shown(sizes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    large = {name: size for name, size in sizes.items() if size >= LISTED}
    yield from sorted(large.items(), key=lambda item: -item[1])
    yield f"{len(sizes) - len(large)} others", sum(sizes.values()) - sum(large.values())


# --- imports --------------------------------------------------------------------------------------------------------


def imports(folder: Path, times: int) -> Iterator[tuple[str, float, float]]:
    """Handlers with seconds, without and with bytecode; the API's is that of its function."""
    code = BUILT / "PlanFunction"  # each function's is all of functions/
    paths = [code, BUILT / "CoreLayer/python", BUILT / "HttpsLayer/python"]
    compiled = compiled_copy(folder, *paths)
    layers = dict.fromkeys(sorted(path.stem for path in code.glob("*.py")), 2) | {"api_ec2.on_lambda": 3}
    for handler, has in layers.items():
        pairs = [(seconds(handler, *paths[:has]), seconds(handler, *compiled[:has])) for _ in range(times)]
        plain, fast = (statistics.median(found) for found in zip(*pairs, strict=True))
        yield handler, plain, fast


def compiled_copy(folder: Path, *paths: Path) -> list[Path]:
    copies = [Path(shutil.copytree(path, folder / str(number))) for number, path in enumerate(paths)]
    for copy in copies:
        subprocess.run([PYTHON, "-m", compileall.__name__, "-q", copy], check=True)
    return copies


def seconds(module: str, *paths: Path) -> float:
    env = bare_environment(PYTHONPATH=os.pathsep.join(map(str, paths)), PYTHONDONTWRITEBYTECODE="1")
    env |= {"POWERTOOLS_SERVICE_NAME": "rowferry", "POWERTOOLS_METRICS_NAMESPACE": "Rowferry"}
    command = [str(PYTHON), "-c", TIMED.format(module)]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
