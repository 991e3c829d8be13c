"""Who may import what, one library at a time; ruff's TID251 says the same in the editor, more coarsely."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "functions", "api_ec2", "local", "bench")
AWS = ("src/rowferry/storage/s3.py", "src/rowferry/setup/credentials.py", "src/rowferry/steps/executions.py")
ALLOWED = {
    "boto3": (*AWS, "local/", "bench/"),
    "botocore": (*AWS, "local/", "bench/"),
    "pymysql": ("src/rowferry/storage/mysql.py", "local/", "bench/"),
    "fastavro": ("src/rowferry/backup/avro.py",),
    "fastapi": ("api_ec2/",),
    "starlette": ("api_ec2/",),
    "uvicorn": ("api_ec2/",),
    "mangum": ("api_ec2/",),
    "aws_lambda_powertools": ("functions/",),
    "api_ec2": ("api_ec2/",),
    "functions": ("functions/",),
    "samcli": ("local/lint/sam_transform.py",),
    "samtranslator": ("local/lint/sam_transform.py",),
    "cloudformation_validate": ("local/lint/validate_stacks.py",),
    "local": ("local/", "bench/"),
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
