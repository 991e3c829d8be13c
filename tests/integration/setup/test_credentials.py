"""CloudFormation asks CredentialsFunction, which reads secrets, calls BootstrapFunction and answers."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.mysql import ADMIN, MySQLServer
from rowferry.config import Settings
from rowferry.errors import DatabaseUnavailable
from rowferry.ledger.migrations import STEPS
from rowferry.setup import tables
from rowferry.storage import mysql
from tests.support.cloud import Cloud
from tests.support.functions import Context

ROOT = Path(__file__).parents[3]
NAME = "made_ready"
MODULES = ("bootstrap", "credentials", "runtime")  # of functions/
EVENT = json.loads((ROOT / "events/credentials.json").read_text())
ADMIN_SECRET, APP_SECRET, BI_SECRET = (EVENT["ResourceProperties"][f"{name}Secret"] for name in ("Admin", "App", "Bi"))


@pytest.fixture
def app(administrator: Settings) -> Iterator[Settings]:
    """Names of this test's own, so that the other tests' users and tables stay as they are."""
    yield replace(administrator, db_user="app", db_password="the app's", db_name=NAME)
    with mysql.session(administrator) as conn:
        mysql.run(conn, f"DROP DATABASE IF EXISTS `{NAME}`")
        for user in ("app", "reader"):
            mysql.run(conn, "DROP USER IF EXISTS %s@%s", (user, "%"))


@pytest.fixture
def cloud(
    app: Settings, server: MySQLServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Cloud]:
    for name in ("host", "port", "user", "name", "tls_ca"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(app, f"db_{name}")))
    users = {
        ADMIN_SECRET: (ADMIN, server.admin_password),
        APP_SECRET: ("app", app.db_password),
        BI_SECRET: ("reader", "the reader's"),
    }
    secrets = {arn: json.dumps({"username": user, "password": password}) for arn, (user, password) in users.items()}
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Rowferry")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.name)  # a logger of its own, bound to this test's stderr
    for module in MODULES:  # with this test's environment, not an earlier one's
        monkeypatch.delitem(sys.modules, module, raising=False)
    with Cloud(secrets, importlib.import_module("bootstrap").handle) as cloud:
        for name, value in {
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "BOOTSTRAP_FUNCTION": "the-bootstrap",
        }.items():
            monkeypatch.setenv(name, value)
        yield cloud
    for module in MODULES:
        sys.modules.pop(module, None)


def ask(cloud: Cloud, kind: str, **properties: str) -> tuple[str, str]:
    """Status and reason that CloudFormation is told. `properties`: of a release that was not here yet."""
    event = EVENT | {"RequestType": kind, "ResponseURL": f"{cloud.url}/answer"}
    event["ResourceProperties"] = EVENT["ResourceProperties"] | properties
    importlib.import_module("credentials").handle(event, Context(seconds=61))
    answer = cloud.answers[-1]
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        assert answer[name] == event[name]
    assert answer["PhysicalResourceId"] == "rowferry-database"
    return answer["Status"], answer["Reason"]


def test_cloudformation_is_told_that_all_is_well(cloud: Cloud, app: Settings) -> None:
    for kind in ("Create", "Update"):
        assert ask(cloud, kind) == ("SUCCESS", "")
    assert cloud.headers[0]["content-type"] == "", "the URL is signed for none"
    with mysql.session(app) as conn:
        assert tables.missing(conn) == []


def test_no_log_and_no_answer_has_a_password(
    capsys: pytest.CaptureFixture[str], cloud: Cloud, server: MySQLServer
) -> None:
    ask(cloud, "Create")
    cloud.secrets[BI_SECRET] = json.dumps({"password": "of nobody"})
    ask(cloud, "Update")
    said = "".join(capsys.readouterr()) + json.dumps(cloud.answers)
    assert "the database could not be made ready" in said
    for password in (server.admin_password, "the app's", "the reader's", "of nobody"):
        assert password not in said


def test_cloudformation_is_told_why_it_failed(cloud: Cloud) -> None:
    cloud.secrets[ADMIN_SECRET] = json.dumps({"username": ADMIN, "password": "wrong"})
    status, reason = ask(cloud, "Create")
    assert status == "FAILED"
    assert reason.startswith("DatabaseUnavailable: the database refuses the login (MySQL error 1045): Access denied")
    cloud.secrets[BI_SECRET] = "no JSON"
    assert BI_SECRET in ask(cloud, "Update")[1]
    del cloud.secrets[APP_SECRET]
    assert ask(cloud, "Update")[1].startswith(f"CredentialsUnavailable: the secret {APP_SECRET} can't be read")


def test_an_error_that_the_bootstrap_raises_is_told_in_its_words(cloud: Cloud) -> None:
    def invoked(event: dict[str, Any], context: Context) -> None:
        raise DatabaseUnavailable("the database is out of reach")

    cloud.function = invoked
    assert ask(cloud, "Create") == ("FAILED", "DatabaseUnavailable: the database is out of reach")


def test_a_bootstrap_function_that_became_inactive_is_called_again(cloud: Cloud) -> None:
    """Lambda makes a function in a VPC inactive after weeks without a call, and only deploys call this one."""
    cloud.not_ready = ["ResourceNotReadyException", "ResourceConflictException"]
    assert ask(cloud, "Update") == ("SUCCESS", "")
    assert len(cloud.calls) == 1


def test_rights_that_a_deploy_has_just_given_are_waited_for(cloud: Cloud) -> None:
    """IAM needs some seconds until a new role's rights are known everywhere."""
    cloud.denied, cloud.not_ready = 1, ["AccessDeniedException"]
    assert ask(cloud, "Create") == ("SUCCESS", "")
    assert len(cloud.calls) == 1


def test_a_function_that_can_not_be_called_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTSTRAP_FUNCTION", "another")
    status, reason = ask(cloud, "Create")
    assert status == "FAILED"
    assert reason.startswith("CredentialsUnavailable: another gave no answer")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("DB_USER", "a" * 33, f"DB_USER: {'a' * 33} has 33 characters; a MySQL user has 32"),
        ("DB_TLS_CA", "", "DB_TLS_CA is empty, but users that are made here can log in by TLS only"),
    ],
)
def test_settings_that_no_user_could_log_in_with_are_refused_before_anything_is_made(
    cloud: Cloud, administrator: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert ask(cloud, "Create") == ("FAILED", f"SettingError: {reason}")
    with mysql.session(administrator) as conn:
        assert mysql.rows(conn, "SELECT user FROM mysql.user WHERE user IN ('app', 'reader')") == []


def test_a_table_that_does_not_fit_fails_the_deploy_in_words(cloud: Cloud, administrator: Settings) -> None:
    ask(cloud, "Create")
    with mysql.session(administrator) as conn:
        mysql.run(conn, f"ALTER TABLE {NAME}.jobs DROP COLUMN name")
    failed = ("FAILED", "TablesDiffer: jobs.name is declared, but not in the database")
    assert ask(cloud, "Update", Core="newer") == failed
    assert ask(cloud, "Update", Core="newer") == failed, "Lambda calls again"


def test_a_rollback_does_not_fail_over_a_table_that_was_changed_for_the_newer_release(
    cloud: Cloud, administrator: Settings
) -> None:
    """Whoever changes a table first, as the page says, and then deploys: the deploy may fail for any other reason."""
    ask(cloud, "Create")
    with mysql.session(administrator) as conn:
        mysql.run(conn, f"ALTER TABLE {NAME}.jobs DROP COLUMN name")
    assert ask(cloud, "Update", Core="newer")[0] == "FAILED"
    assert ask(cloud, "Update") == ("SUCCESS", ""), "the release that was here before"


def test_a_rollback_does_not_fail_over_tables_of_ours_that_are_too_new(cloud: Cloud, administrator: Settings) -> None:
    ask(cloud, "Create")
    with mysql.session(administrator) as conn:
        later = len(STEPS) + 1
        sql = f"INSERT INTO {NAME}.rowferry_schema VALUES (%s, 'later', %s, UTC_TIMESTAMP(6))"
        mysql.run(conn, sql, (later, later))
    assert "Rowferry's own tables" in ask(cloud, "Update", Core="older")[1]
    assert ask(cloud, "Update") == ("SUCCESS", "")


def test_deleting_the_stack_leaves_data_and_users(cloud: Cloud, app: Settings) -> None:
    ask(cloud, "Create")
    cloud.calls.clear()
    assert ask(cloud, "Delete") == ("SUCCESS", "")
    assert cloud.calls == []
    with mysql.session(app) as conn:
        assert tables.missing(conn) == []
