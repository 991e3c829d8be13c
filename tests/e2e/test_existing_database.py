"""A second stack for a database and a VPC that are there already: the bootstrap as CloudFormation asks for it."""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.deploy import BUILD, deploy, make_secret
from local.mysql import ADMIN
from rowferry import db, schema
from rowferry.config import Settings
from rowferry.errors import DatabaseError
from tests.e2e.world import World

STACK = "existing"


@dataclass
class Existing:
    """The deployed stack; `settings` is what its functions have."""

    world: World
    parameters: dict[str, str]
    options: dict[str, Any]

    def deploy(self, template: Path = BUILD / "build/template.yaml") -> None:
        stack = self.world.stack
        assert stack.emulator
        deploy(template, stack.emulator, self.parameters, stack.folder, STACK)

    def deploy_with_new_passwords(self) -> None:
        """As `CredentialsVersion=2` does on AWS.

        The emulator makes no new password where a secret's template changes, and does not resolve a reference anew
        where only a parameter changes, so here the secrets and the text of the template change.
        """
        client = boto3.client("secretsmanager", **self.options)
        for name in ("AppSecret", "BiSecret"):
            secret = json.loads(client.get_secret_value(SecretId=self.resources()[name])["SecretString"])
            changed = json.dumps(secret | {"password": secrets.token_hex(16)})
            client.put_secret_value(SecretId=self.resources()[name], SecretString=changed)
        template = BUILD / "build/template-2.yaml"  # beside the other, since what was built is named from there
        text = (BUILD / "build/template.yaml").read_text()
        template.write_text(re.sub(r"Ref: CredentialsVersion\b", "Fn::Sub: '2'", text))
        self.deploy(template)

    def resources(self) -> dict[str, str]:
        client = boto3.client("cloudformation", **self.options)
        found = client.describe_stack_resources(StackName=STACK)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

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
    mysql, emulator, api = stack_world.stack.mysql, stack_world.stack.emulator, stack_world.stack.api
    assert mysql and emulator and api
    options = emulator.client_options()
    ec2 = boto3.client("ec2", **options)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    parameters = {
        "ApiUrl": api.url,
        "DbHost": mysql.host,
        "DbPort": str(mysql.port),
        "DbName": "their_data",
        "DbUser": "theirs",
        "DbTlsCa": str(mysql.ca),
        "DbAdminSecretArn": make_secret(emulator, "admin", username=ADMIN, password=mysql.admin_password),
        "VpcId": vpc,
        "PrivateSubnetIds": ",".join(subnets),
        "PrivateRouteTableIds": table,
    }
    existing = Existing(stack_world, parameters, options)
    existing.deploy()
    yield existing
    admin = replace(existing.settings(), db_user=ADMIN, db_password=mysql.admin_password)
    with db.session(admin) as conn:
        for statement in ("DROP DATABASE their_data", "DROP USER theirs", "DROP USER theirs_bi"):
            db.run(conn, statement)


def test_the_stack_makes_users_and_tables(existing: Existing) -> None:
    with db.session(existing.settings()) as conn:
        assert schema.missing(conn) == []
        db.run(conn, "INSERT INTO jobs (id, name) VALUES (1, 'Clerk')")
    with db.session(existing.reader()) as conn:
        assert db.rows(conn, "SELECT * FROM jobs") == [{"id": 1, "name": "Clerk"}]
        with pytest.raises(DatabaseError, match="denied"):
            db.run(conn, "DELETE FROM jobs")


def test_it_makes_no_network_but_an_endpoint_in_the_one_that_is_there(existing: Existing) -> None:
    made = set(existing.resources())
    assert {"S3Endpoint", "FunctionsSecurityGroup"} <= made
    assert not made & {"Vpc", "PrivateSubnetA", "Database", "DatabaseSecurityGroup", "AdminSecret"}


def test_another_credentials_version_changes_all_passwords_and_the_old_ones_last_until_the_next_deploy(
    existing: Existing,
) -> None:
    old, old_reader = existing.settings(), existing.reader()
    existing.deploy_with_new_passwords()
    new, new_reader = existing.settings(), existing.reader()
    assert new.db_password != old.db_password
    assert new_reader.db_password != old_reader.db_password
    for settings in (old, old_reader, new, new_reader):
        db.connect(settings).close()
