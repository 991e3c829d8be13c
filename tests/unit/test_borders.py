"""Who may import what, one library at a time; ruff's TID251 says the same in the editor, more coarsely."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "functions", "api_ec2", "cli", "local", "bench")
AWS = ("src/rowferry/storage/s3.py", "src/rowferry/setup/credentials.py", "src/rowferry/steps/executions.py")
ALLOWED = {
    "boto3": (*AWS, "cli/stack.py", "local/", "bench/"),
    "botocore": (*AWS, "cli/", "local/", "bench/"),
    "pymysql": ("src/rowferry/storage/mysql.py", "local/", "bench/"),
    "fastavro": ("src/rowferry/backup/avro.py",),
    "fastapi": ("api_ec2/",),
    "jinja2": ("api_ec2/console/",),
    "starlette": ("api_ec2/",),
    "uvicorn": ("api_ec2/",),
    "mangum": ("api_ec2/",),
    "aws_lambda_powertools": ("functions/",),
    "api_ec2": ("api_ec2/",),
    "functions": ("functions/",),
    "samcli": ("local/lint/sam_transform.py",),
    "samtranslator": ("local/lint/sam_transform.py",),
    "cloudformation_validate": ("local/lint/validate_stacks.py",),
    "typer": ("cli/",),
    "cli": ("cli/",),
    "local": ("local/", "bench/", "cli/laptop.py"),
    "bench": ("bench/",),
}


def imported(path: Path) -> Iterator[str]:
    """The first part of each absolute import's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("library", ALLOWED)
def test_a_library_is_imported_only_behind_its_door(library: str) -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    users = [str(path.relative_to(ROOT)) for path in files if library in imported(path)]
    assert [user for user in users if not user.startswith(ALLOWED[library])] == []


CORE = ROOT / "src/rowferry"
PACKAGES = {
    "storage": set[str](),
    "declare": {"storage", "tables"},
    "csvfile": {"declare"},
    "validate": {"csvfile", "declare"},
    "ledger": {"csvfile", "declare", "storage"},
    "steps": {"csvfile", "declare", "ledger", "storage", "validate"},
    "backup": {"declare", "ledger", "storage"},
    "setup": {"declare", "ledger", "storage"},
    "reports": {"declare", "ledger", "storage"},
}
"""What each package of the core may import, besides errors.py and config.py; each only what stands above it.

tables.py belongs to declare: it holds the declarations that declare/catalog.py reads.
"""


def imported_packages(package: str) -> set[str]:
    found = set()
    for path in (CORE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rowferry":
                parts = node.module.split(".")
                found |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
    return found - {package, "errors", "config"}


def test_each_package_is_known_here() -> None:
    assert {path.parent.name for path in CORE.glob("*/__init__.py")} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_packages_above_it(package: str) -> None:
    above = {*list(PACKAGES)[: list(PACKAGES).index(package)], "tables"}
    assert PACKAGES[package] <= above
    assert imported_packages(package) == PACKAGES[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_is_for_and_what_it_may_import(package: str) -> None:
    words = ast.get_docstring(ast.parse((CORE / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "May import:" in words
    assert "Never knows:" in words
    named = set(re.findall(r"\w+", words.partition("May import:")[2].partition("Never knows:")[0].partition("(")[0]))
    assert named - {"errors", "config", "tables", "py"} == PACKAGES[package] - {"tables"}


def test_no_test_imports_another_test() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_")
    ]
    assert found == []
