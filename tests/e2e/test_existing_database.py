"""A second stack for a database and a VPC that are there already: the bootstrap as CloudFormation asks for it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest

from local.deploy import BUILD, deploy, make_secret
from local.mysql import ADMIN
from local.processes import LocalError
from rowferry.config import Settings
from rowferry.errors import DatabaseError
from rowferry.setup import tables
from rowferry.storage import mysql
from tests.support.stack_client import World

STACK = "existing"


@dataclass
class Existing:
    """The deployed stack; `settings` is what its functions have."""

    world: World
    parameters: dict[str, str]
    options: dict[str, Any]

    def deploy(self) -> None:
        stack = self.world.stack
        assert stack.emulator
        deploy(BUILD / "build/template.yaml", stack.emulator, self.parameters, stack.folder, STACK)

    def resources(self) -> dict[str, str]:
        client = boto3.client("cloudformation", **self.options)
        found = client.describe_stack_resources(StackName=STACK)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

    def status(self) -> str:
        client = boto3.client("cloudformation", **self.options)
        return str(client.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"])

    def settings(self, function: str = "LoadFunction") -> Settings:
        client = boto3.client("lambda", **self.options)
        found = client.get_function_configuration(FunctionName=self.resources()[function])
        return Settings.from_env(found["Environment"]["Variables"])

    def reader(self) -> Settings:
        client = boto3.client("secretsmanager", **self.options)
        secret = json.loads(client.get_secret_value(SecretId=self.resources()["BiSecret"])["SecretString"])
        return replace(self.settings(), db_user=secret["username"], db_password=secret["password"])


@pytest.fixture(scope="module")
def existing(stack_world: World) -> Iterator[Existing]:
    server, emulator, api = stack_world.stack.mysql, stack_world.stack.emulator, stack_world.stack.api
    assert server and emulator and api
    options = emulator.client_options()
    ec2 = boto3.client("ec2", **options)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    parameters = {
        "ApiUrl": api.url,
        "DbHost": server.host,
        "DbPort": str(server.port),
        "DbName": "their_data",
        "DbUser": "theirs",
        "DbTlsCa": str(server.ca),
        "DbAdminSecretArn": make_secret(emulator, "admin", username=ADMIN, password=server.admin_password),
        "VpcId": vpc,
        "PrivateSubnetIds": ",".join(subnets),
        "PrivateRouteTableIds": table,
    }
    existing = Existing(stack_world, parameters, options)
    existing.deploy()
    yield existing
    admin = replace(existing.settings(), db_user=ADMIN, db_password=server.admin_password)
    with mysql.session(admin) as conn:
        for statement in ("DROP DATABASE their_data", "DROP USER theirs", "DROP USER theirs_bi"):
            mysql.run(conn, statement)


def test_the_stack_makes_users_and_tables(existing: Existing) -> None:
    with mysql.session(existing.settings()) as conn:
        assert tables.missing(conn) == []
        mysql.run(conn, "INSERT INTO jobs (id, name) VALUES (1, 'Clerk')")
    with mysql.session(existing.reader()) as conn:
        assert mysql.rows(conn, "SELECT * FROM jobs") == [{"id": 1, "name": "Clerk"}]
        with pytest.raises(DatabaseError, match="denied"):
            mysql.run(conn, "DELETE FROM jobs")


def test_it_makes_no_network_but_an_endpoint_in_the_one_that_is_there(existing: Existing) -> None:
    made = set(existing.resources())
    assert {"S3Endpoint", "FunctionsSecurityGroup"} <= made
    assert not made & {"Vpc", "PrivateSubnetA", "Database", "DatabaseSecurityGroup", "AdminSecret"}


def test_no_function_has_the_administrators_password(existing: Existing) -> None:
    server = existing.world.stack.mysql
    assert server
    client = boto3.client("lambda", **existing.options)
    functions = [found for page in client.get_paginator("list_functions").paginate() for found in page["Functions"]]
    assert any("-CredentialsFunction-" in found["FunctionName"] for found in functions)
    assert server.admin_password not in json.dumps([found.get("Environment") for found in functions])


def test_a_combination_that_could_not_work_is_refused_before_anything_is_made(existing: Existing) -> None:
    stack = existing.world.stack
    assert stack.emulator
    with pytest.raises(LocalError) as refused:
        deploy(
            BUILD / "build/template.yaml",
            stack.emulator,
            {"DbAdminSecretArn": existing.parameters["DbAdminSecretArn"], "ApiHosting": "lambda"},
            stack.folder,
            "refused",
        )
    words = (
        "rule OwnDatabase failed: DbAdminSecretArn and DbUserSecretArn belong to an existing database and need DbHost"
    )
    assert words in " ".join(str(refused.value).split())
    client = boto3.client("cloudformation", **existing.options)
    assert "refused" not in [found["StackName"] for found in client.describe_stacks()["Stacks"]]


def test_another_credentials_version_changes_all_passwords_and_the_old_ones_last_until_the_next_deploy(
    existing: Existing,
) -> None:
    old, old_reader = existing.settings(), existing.reader()
    existing.parameters["CredentialsVersion"] = "2"
    existing.deploy()
    new, new_reader = existing.settings(), existing.reader()
    assert new.db_password != old.db_password
    assert new_reader.db_password != old_reader.db_password
    for settings in (old, old_reader, new, new_reader):
        mysql.connect(settings).close()


def test_a_deploy_that_a_table_stops_is_rolled_back_and_functions_have_passwords_that_are_good(
    existing: Existing,
) -> None:
    server = existing.world.stack.mysql
    assert server
    admin = replace(existing.settings(), db_user=ADMIN, db_password=server.admin_password)
    with mysql.session(admin) as conn:
        mysql.run(conn, "ALTER TABLE jobs RENAME COLUMN name TO title")
        existing.parameters["CredentialsVersion"] = "3"
        with pytest.raises(LocalError):
            existing.deploy()
        assert existing.status() == "UPDATE_ROLLBACK_COMPLETE"
        for function in ("PlanFunction", "LoadFunction", "SweepFunction", "BackupFunction"):
            mysql.connect(existing.settings(function)).close()
        mysql.run(conn, "ALTER TABLE jobs RENAME COLUMN title TO name")
    existing.parameters["CredentialsVersion"] = "4"
    existing.deploy()
    assert existing.status() == "UPDATE_COMPLETE"
    for settings in (existing.settings(), existing.reader()):
        mysql.connect(settings).close()
