"""Real MySQL and the real API over HTTP; S3 by moto. Each test has empty tables and a bucket of its own."""

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from local.mysql import ADMIN, MySQLServer
from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.backups import Vault
from tests.support.declared import UNIQUE_NAMES, Reading, altered, declared
from tests.support.functions import Functions, functions_environment
from tests.support.pipeline import Pipeline
from tests.support.serving import VALIDATOR, served

BUCKET = "rowferry-test"
LEDGER = ("rowferry_batches", "rowferry_attempts", "rowferry_runs", "rowferry_jobs")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    with MySQLServer.start(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def database(server: MySQLServer) -> Settings:
    """Settings for the server as its application has them; users and tables were made by the bootstrap."""
    return Settings(
        db_host=server.host,
        db_port=server.port,
        db_user=server.user,
        db_password=server.password,
        db_name=server.database,
        db_tls_ca=str(server.ca),
        bucket=BUCKET,
    )


@pytest.fixture(scope="session")
def administrator(server: MySQLServer, database: Settings) -> Settings:
    """The same with the rights of an RDS instance's master user."""
    return replace(database, db_user=ADMIN, db_password=server.admin_password)


@pytest.fixture(scope="session")
def api(database: Settings) -> Iterator[str]:
    """The API's base URL."""
    with served(database) as url:
        yield url


@pytest.fixture
def settings(database: Settings, administrator: Settings, api: str) -> Settings:
    with mysql.session(administrator) as conn:
        mysql.run(conn, "SET foreign_key_checks = 0")
        for table in ("hired_employees", "jobs", "departments", *LEDGER):
            mysql.run(conn, f"TRUNCATE TABLE {table}")
    return replace(database, api_url=api, api_token=VALIDATOR)


@pytest.fixture
def conn(settings: Settings) -> Iterator[Connection]:
    with mysql.session(settings) as conn:
        yield conn


@pytest.fixture
def admin(settings: Settings, administrator: Settings) -> Iterator[Connection]:
    """For what the application's user may not do: changing tables."""
    with mysql.session(administrator) as conn:
        yield conn


@pytest.fixture
def readings(settings: Settings, administrator: Settings) -> Iterator[None]:
    """A table with decimals and 64-bit integers."""
    with declared(administrator, Reading):
        yield


@pytest.fixture
def unique_names(admin: Connection) -> Iterator[None]:
    """The first 20 characters of a department's name are unique; upper and lower case are the same."""
    with altered(admin, UNIQUE_NAMES, undo=["ALTER TABLE departments DROP INDEX by_name"]):
        yield


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield Bucket(BUCKET, client)


@pytest.fixture
def vault(settings: Settings, bucket: Bucket) -> Vault:
    return Vault(settings, bucket)


@pytest.fixture
def pipeline(settings: Settings, bucket: Bucket) -> Pipeline:
    return Pipeline(settings, bucket)


@pytest.fixture
def functions(pipeline: Pipeline, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    with functions_environment(settings, monkeypatch):
        yield Functions(pipeline)
