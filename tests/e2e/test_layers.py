"""Each layer that SAM built has what its user needs, and nothing else."""

from pathlib import Path

import pytest
import yaml

from bench.footprint import packages, total
from local.deploy import BUILD
from tests.support.stack_client import World

PYDANTIC = {
    "pydantic": "the tables' models",
    "pydantic_core": "of pydantic",
    "annotated_types": "of pydantic",
    "typing_extensions": "of pydantic",
    "typing_inspection": "of pydantic",
}
CORE = PYDANTIC | {
    "rowferry": "ours",
    "pymysql": "MySQL",
    "urllib3": "Validate's connections to the API, of boto3 too",
}
APP = {
    "api_ec2": "ours",
    "fastapi": "the app",
    "starlette": "of fastapi",
    "annotated_doc": "of fastapi",
    "opentelemetry": "of fastapi",
    "anyio": "of starlette",
    "idna": "of anyio",
    "python_multipart": "forms with a file",
    "multipart": "its older name, of the same package",
    "jinja2": "the console's pages",
    "markupsafe": "of jinja2",
}
AVRO = {"fastavro": "backups and restores"}
NEEDED = {
    "CoreLayer": CORE
    | {
        "aws_lambda_powertools": "logs and metrics",
        "jmespath": "of aws_lambda_powertools",
    },
    "AvroLayer": AVRO,
    "HttpsLayer": PYDANTIC  # of fastapi too: pip brings it, and in the core's layer it is the same version
    | APP
    | AVRO
    | {"mangum": "the app on Lambda"},
    "ApiLayer": CORE
    | APP
    | AVRO
    | {
        "uvicorn": "the server",
        "click": "of uvicorn",
        "h11": "of uvicorn",
        "uvloop": "the server's loop",
        "httptools": "the server's parser",
        "boto3": "S3: an instance has none",
        "botocore": "of boto3",
        "s3transfer": "of boto3",
        "jmespath": "of boto3",
        "dateutil": "of botocore",
        "six": "of dateutil",
    },
}
"""What is imported by, and why it is there."""
LARGEST = {"CoreLayer": 15_000_000, "AvroLayer": 20_000_000, "HttpsLayer": 30_000_000, "ApiLayer": 75_000_000}
LEFT_BEHIND = {"(metadata)"}


@pytest.fixture(params=NEEDED)
def layer(stack_world: World, request: pytest.FixtureRequest) -> Path:
    return Path(BUILD / "build" / request.param)


def test_every_layer_of_the_template_is_looked_at(stack_world: World) -> None:
    template = yaml.safe_load((BUILD / "build/template.yaml").read_text())
    layers = {name for name, r in template["Resources"].items() if r["Type"] == "AWS::Serverless::LayerVersion"}
    assert layers == set(NEEDED) == set(LARGEST)


def test_it_has_what_is_needed_and_no_other_package(layer: Path) -> None:
    assert set(packages(layer)) - LEFT_BEHIND == set(NEEDED[layer.name])


def test_it_has_no_tests_bytecode_or_programs(layer: Path) -> None:
    names = {path.name for path in layer.rglob("*") if path.is_dir()}
    assert not names & {"tests", "test", "__pycache__", "bin", "pip", "setuptools", "wheel"}
    assert list(layer.rglob("*.py[co]")) == []
    assert {path.name for path in layer.iterdir()} == {"python"}


def test_it_is_no_larger_than_written_down(layer: Path) -> None:
    assert total(layer) < LARGEST[layer.name]
    assert packages(layer)["(metadata)"] < 1_000_000
