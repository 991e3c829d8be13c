"""Plain `sam deploy`, as samconfig.toml has it: no question is asked, and CloudFormation takes the change set.

The change set is not executed, as the emulator has no database behind it, and is without the API's instance, whose
network interface the emulator does not know.
"""

import tomllib

import boto3
import pytest

from local.deploy import BUILD, sam
from local.emulator import ROOT
from local.sam import parameters
from tests.support.stack_client import World


@pytest.mark.parametrize("environment", ["default", "prod"])
def test_a_first_deploy_asks_nothing_and_its_change_set_is_made(
    stack_world: World, environment: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    emulator = stack_world.stack.emulator
    assert emulator
    log = tmp_path_factory.mktemp("deploy") / "sam.log"
    files = ["--template-file", str(BUILD / "build/template.yaml"), "--config-file", str(ROOT / "samconfig.toml")]
    other = ["--stack-name", f"first-{environment}", "--no-execute-changeset"]
    given = parameters(tomllib.loads((ROOT / "samconfig.toml").read_text()), environment) | {"ApiHosting": "lambda"}
    overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in given.items())]
    sam(["deploy", "--config-env", environment, *files, *other, *overrides], log, emulator.environment())
    client = boto3.client("cloudformation", **emulator.client_options())
    (change_set,) = client.list_change_sets(StackName=f"first-{environment}")["Summaries"]
    described = client.describe_change_set(ChangeSetName=change_set["ChangeSetId"])
    assert described["Capabilities"] == ["CAPABILITY_IAM"]
    made = {change["ResourceChange"]["LogicalResourceId"] for change in described["Changes"]}
    assert {"Vpc", "Database", "DatabaseReady", "CredentialsFunction", "HttpsApi"} <= made
