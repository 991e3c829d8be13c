"""Combinations of parameters that could not work are refused before anything is made, and in words."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from local import rds_ca
from local.emulator import ROOT
from tests.support.template_file import read_template
from tests.support.template_rules import Values, refusals, with_defaults

ADMIN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:administrator-AbCdEf"
USER = "arn:aws:secretsmanager:us-east-1:111122223333:secret:user-AbCdEf"
HOST = {"DbHost": "db.example.com"}
VPC = {"VpcId": "vpc-0a", "PrivateSubnetIds": "subnet-0a,subnet-0b"}
IN_VPC = VPC | {"ApiSubnetId": "subnet-0c"}
API = {"ApiUrl": "http://10.0.0.4:8000"}

ACCEPTED: dict[str, Values] = {
    "nothing exists yet": {},
    "for production": {"Environment": "prod", "DbInstanceClass": "db.t4g.small"},
    "without an instance": {"ApiHosting": "lambda"},
    "in both places": {"ApiHosting": "both", "BiCidr": "10.8.0.0/16"},
    "from a snapshot": {"DbSnapshot": "before-the-disaster"},
    "our database in an existing VPC": IN_VPC,
    "our database in an existing VPC that has no way to S3": IN_VPC | {"PrivateRouteTableIds": "rtb-0a,rtb-0b"},
    "our database in an existing VPC, no instance": VPC | {"ApiHosting": "lambda"},
    "our database, an existing API": VPC | API | {"ApiTokenSecretArn": USER},
    "an existing database with an administrator": HOST | IN_VPC | {"DbAdminSecretArn": ADMIN},
    "an existing database with users": HOST | IN_VPC | {"DbUserSecretArn": USER, "DbClientSecurityGroupId": "sg-0a"},
    "an existing database without TLS": HOST | IN_VPC | {"DbUserSecretArn": USER, "DbTlsCa": ""},
    "an existing database and an existing API": HOST | API | {"DbUserSecretArn": USER},
    "a database on the internet, no instance": HOST | {"DbUserSecretArn": USER, "ApiHosting": "lambda"},
    "an existing API, and HTTPS for people": VPC | API | {"ApiHosting": "lambda"},
}

REFUSED: dict[str, Values] = {
    "VpcId needs PrivateSubnetIds": {"VpcId": "vpc-0a", "ApiSubnetId": "subnet-0c"},
    "VpcId needs ApiSubnetId": VPC,
    "PrivateSubnetIds belongs to": {"PrivateSubnetIds": "subnet-0a,subnet-0b"},
    "PrivateRouteTableIds belongs to": {"PrivateRouteTableIds": "rtb-0a"},
    "ApiSubnetId belongs to": {"ApiSubnetId": "subnet-0c"},
    "DbClientSecurityGroupId belongs to": {"DbClientSecurityGroupId": "sg-0a"},
    "DbHost needs DbAdminSecretArn": HOST | IN_VPC,
    "not both": HOST | IN_VPC | {"DbAdminSecretArn": ADMIN, "DbUserSecretArn": USER},
    "DbHost needs VpcId": HOST | {"DbAdminSecretArn": ADMIN},
    "DbSnapshot is for": HOST | IN_VPC | {"DbAdminSecretArn": ADMIN, "DbSnapshot": "any"},
    "BiCidr is for": HOST | IN_VPC | {"DbAdminSecretArn": ADMIN, "BiCidr": "10.8.0.0/16"},
    "DbAdminSecretArn and DbUserSecretArn belong to": {"DbUserSecretArn": USER},
    "DbTlsCa must be rds": {"DbTlsCa": ""},
    "ApiUrl needs VpcId": API,
    "DbTlsCa must not be empty": HOST | IN_VPC | {"DbAdminSecretArn": ADMIN, "DbTlsCa": ""},
    "With ApiUrl the stack makes no instance": VPC | API | {"ApiHosting": "both"},
    "ApiTokenSecretArn belongs to": {"ApiTokenSecretArn": USER},
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read_template()


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_works_is_accepted(template: dict[str, Any], name: str) -> None:
    assert list(refusals(template, ACCEPTED[name])) == []


def test_what_the_page_for_deploying_shows_is_accepted(template: dict[str, Any]) -> None:
    shown = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/deploy.md").read_text(), re.S)
    assert len(shown) >= 5
    for block in shown:
        given = dict(one.split("=", 1) for one in tomllib.loads(block)["parameter_overrides"])
        assert list(refusals(template, given)) == [], block


@pytest.mark.parametrize("words", REFUSED)
def test_what_could_not_work_is_refused_for_one_reason(template: dict[str, Any], words: str) -> None:
    (said,) = refusals(template, REFUSED[words])
    assert words in said


def test_each_assertion_is_reached(template: dict[str, Any]) -> None:
    reached = {said for given in REFUSED.values() for said in refusals(template, given)}
    reached |= set(refusals(template, {}, region="il-central-1"))
    assert reached == {one["AssertDescription"] for rule in template["Rules"].values() for one in rule["Assertions"]}


def test_a_region_whose_authority_is_not_in_the_file_is_refused(template: dict[str, Any]) -> None:
    authorities = rds_ca.regions(rds_ca.FILE.read_text())
    (assertion,) = template["Rules"]["AuthoritiesOfTheRegion"]["Assertions"]
    assert sorted(assertion["Assert"]["Contains"][0]) == sorted(authorities)
    for region in authorities:
        assert list(refusals(template, {}, region)) == []
    (said,) = refusals(template, {}, "mx-central-1")
    assert "make rds-ca" in said
    other = HOST | IN_VPC | {"DbAdminSecretArn": ADMIN, "DbTlsCa": "/var/task/authority.pem"}
    assert list(refusals(template, other, "mx-central-1")) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DbUser", "a" * 30),
        ("PrivateSubnetIds", "subnet-0a"),
        ("PrivateSubnetIds", "subnet-0a, subnet-0b"),
        ("ApiUrl", "http://10.0.0.4:8000/"),
        ("DbHost", "mysql://db"),
        ("BiCidr", "10.8.0.0"),
        ("DbAdminSecretArn", "the-name-of-a-secret"),
        ("AlarmEmail", "nobody"),
    ],
)
def test_a_value_of_another_form_is_refused_by_its_parameter(template: dict[str, Any], name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        with_defaults(template, {name: value})


def test_the_user_for_reporting_has_a_name_that_mysql_takes(template: dict[str, Any]) -> None:
    longest = with_defaults(template, {"DbUser": "a" * 29})["DbUser"]
    assert len(f"{longest}_bi") <= 32


def combinations() -> Iterator[Values]:
    """Each of what can be given in some way, with each of the others."""
    network: list[Values] = [{}, VPC, IN_VPC, {"ApiSubnetId": "subnet-0c"}]
    database: list[Values] = [{}, HOST, {"DbAdminSecretArn": ADMIN}, HOST | {"DbAdminSecretArn": ADMIN}]
    database += [HOST | {"DbUserSecretArn": USER}, HOST | {"DbUserSecretArn": USER, "DbTlsCa": ""}]
    api: list[Values] = [{"ApiHosting": kind, **url} for kind in ("ec2", "lambda", "both") for url in ({}, API)]
    for one in network:
        for two in database:
            for three in api:
                yield {**one, **two, **three}


def test_what_is_accepted_has_all_that_its_resources_need(template: dict[str, Any]) -> None:
    """Held against the template's own conditions, which say what is made."""
    accepted = [given for given in combinations() if not list(refusals(template, given))]
    assert len(accepted) > 20
    for given in accepted:
        values = with_defaults(template, given)
        instance = not values["ApiUrl"] and values["ApiHosting"] != "lambda"
        own_network = not values["VpcId"] and (instance or not values["DbHost"])
        assert not (own_network and values["DbHost"]), "its VPC does not reach the database"
        assert not (own_network and values["ApiUrl"]), "its VPC does not reach the API"
        assert own_network or not instance or values["ApiSubnetId"], "the instance has no subnet"
        assert values["DbHost"] or own_network or values["PrivateSubnetIds"], "the database has no subnets"
        assert not values["DbHost"] or values["DbAdminSecretArn"] or values["DbUserSecretArn"], "no password"


def test_there_are_few_parameters(template: dict[str, Any]) -> None:
    assert len(template["Parameters"]) <= 25
