"""What an AWS account would refuse, or would do wrongly without a word, although the linters accept it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.emulator import ROOT
from tests.support.template_file import read_template


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read_template()


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(template["Resources"])


def of_type(resources: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def nodes(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its path."""
    yield path, part
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        yield from nodes(child, f"{path}/{key}")


def test_nothing_is_null(template: dict[str, Any]) -> None:
    """CloudFormation refuses null; an unquoted comma inside a flow mapping makes a key with a null value."""
    assert [path for path, value in nodes(template) if value is None] == []


def test_ec2_takes_each_description(resources: dict[str, dict[str, Any]]) -> None:
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    groups = of_type(resources, "AWS::EC2::SecurityGroup")
    words = [group["Properties"]["GroupDescription"] for group in groups.values()]
    words += [value for path, value in nodes(groups) if path.endswith("/Description")]
    assert len(words) > 10
    assert [text for text in words if not allowed.fullmatch(text)] == []


def test_two_stacks_of_one_region_have_no_name_in_common(resources: dict[str, dict[str, Any]]) -> None:
    """SAM would name a schedule by its logical id; each other name that is given begins with the stack's."""
    schedules = [
        value for path, value in nodes(resources) if isinstance(value, dict) and value.get("Type") == "ScheduleV2"
    ]
    assert len(schedules) >= 2
    assert all(schedule["Properties"].get("OmitName") is True for schedule in schedules)
    kinds = ("/Name", "GroupName", "DashboardName", "/Properties/RoleName", "/FunctionName")
    given = [value for path, value in nodes(resources) if path.endswith(kinds) and path.count("/") == 3]
    names = [name for name in given if not (isinstance(name, dict) and set(name) & {"Ref", "If"})]
    assert names
    assert all("${AWS::StackName}" in str(name) for name in names), names


def test_two_stacks_of_two_regions_have_a_dashboard_each(resources: dict[str, dict[str, Any]]) -> None:
    (dashboard,) = of_type(resources, "AWS::CloudWatch::Dashboard").values()
    assert dashboard["Properties"]["DashboardName"] == {"Sub": "${AWS::StackName}-${AWS::Region}"}


def test_a_first_create_that_fails_leaves_nothing(template: dict[str, Any]) -> None:
    """Protection and backups that outlive the database are for prod; a bucket is kept only once its stack was made."""
    resources = template["Resources"]
    for name, resource in resources.items():
        kept = resource.get("DeletionPolicy", "Delete")
        assert kept in ("Delete", "RetainExceptOnCreate"), f"{name}: {kept} also holds when a create is rolled back"
    database = resources["Database"]["Properties"]
    assert database["DeletionProtection"] == {"If": ["InProd", True, False]}
    assert database["DeleteAutomatedBackups"] == {"If": ["InProd", False, True]}


def test_a_users_secret_gets_another_name_with_another_value(resources: dict[str, dict[str, Any]]) -> None:
    """A changed GenerateSecretString makes a new password, which a dynamic reference of the same text may not bring."""
    named = [secret["Properties"] for secret in of_type(resources, "AWS::SecretsManager::Secret").values()]
    named = [secret for secret in named if "Name" in secret]
    assert len(named) == 4
    for secret in named:
        assert "${CredentialsVersion}" in str(secret["Name"])
        changes = re.findall(r"\$\{\w+\}", str(secret["GenerateSecretString"]))
        assert all(change in str(secret["Name"]) for change in changes), secret["Name"]


def test_a_database_from_a_snapshot_has_the_snapshots_size(resources: dict[str, dict[str, Any]]) -> None:
    """RDS restores into no smaller disk, and it enlarges the disk by itself (MaxAllocatedStorage)."""
    condition, restored, _ = resources["Database"]["Properties"]["AllocatedStorage"].get("If", ["", "", ""])
    assert (condition, restored) == ("HasSnapshot", {"Ref": "AWS::NoValue"})


def test_an_existing_vpcs_endpoint_restricts_nothing(resources: dict[str, dict[str, Any]]) -> None:
    condition, ours, existing = resources["S3Endpoint"]["Properties"]["PolicyDocument"]["If"]
    assert (condition, existing) == ("OwnNetwork", {"Ref": "AWS::NoValue"})
    assert ours["Statement"]


def test_credits_are_named_only_for_classes_that_have_them(template: dict[str, Any]) -> None:
    launched = template["Resources"]["ApiLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert launched["CreditSpecification"] == {"CpuCredits": "unlimited"}
    classes = template["Mappings"]["Settings"]["Instance"].values()
    assert all(re.fullmatch(r"t\d\w*\.\w+", name) for name in classes), "another class takes no CreditSpecification"


def test_no_subnet_is_put_into_the_zone_without_the_instance_classes(template: dict[str, Any]) -> None:
    subnets = of_type(template["Resources"], "AWS::EC2::Subnet").values()
    assert len(subnets) == 3
    for subnet in subnets:
        assert subnet["Properties"]["AvailabilityZoneId"]["If"][0] == "NamesZones"
    zones = template["Mappings"]["Zones"]["us-east-1"]
    assert len(set(zones.values())) == 2
    assert "use1-az3" not in zones.values()


@pytest.mark.parametrize("script", ["boot.sh", "watch.sh", "user data"])
def test_an_instance_that_gives_up_is_replaced_within_its_grace_period_too(
    template: dict[str, Any], script: str
) -> None:
    launched = template["Resources"]["ApiLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    text = str(launched["UserData"]) if script == "user data" else (ROOT / "api_ec2/instance" / script).read_text()
    said = re.findall(
        r"autoscaling set-instance-health .*?--health-status Unhealthy( --no-should-respect-grace-period)?", text
    )
    assert said
    assert all(said)
