"""Parts that must name each other rightly: template, functions, events, state machine, settings, Makefile, README."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rowferry.config import BootstrapSettings, Options, Settings
from tests.support.machines import states
from tests.support.template_file import read_template

ROOT = Path(__file__).parents[2]
CFN_LINT = ROOT / ".tools/sam/bin/cfn-lint"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read_template()


@pytest.fixture(scope="module")
def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    resources = template["Resources"].items()
    return {name: r["Properties"] for name, r in resources if r["Type"] == "AWS::Serverless::Function"}


@pytest.fixture(scope="module")
def machine() -> str:
    return (ROOT / "statemachine/migrate.asl.json").read_text()


MACHINES = {"Migrate": "migrate.asl.json", "Sweep": "sweep.asl.json"}


def definition_of(name: str) -> str:
    return (ROOT / "statemachine" / MACHINES[name]).read_text()


def test_each_handler_in_the_template_exists_and_each_function_file_is_in_it(functions: dict[str, Any]) -> None:
    handlers = {properties["Handler"] for properties in functions.values()}
    files = {path.stem for path in (ROOT / "functions").glob("*.py")} - {"runtime"}
    assert handlers == {f"{file}.handle" for file in files} | {"api_ec2.on_lambda.handle"}
    for file in (*(f"functions/{file}" for file in files), "api_ec2/on_lambda"):
        assert "\ndef handle(event: " in (ROOT / f"{file}.py").read_text()


def test_each_function_has_an_event(functions: dict[str, Any]) -> None:
    events = {path.stem for path in (ROOT / "events").glob("*.json")}
    assert events == {name.removesuffix("Function").lower() for name in functions}


def test_each_environment_variable_of_the_template_is_a_setting(template: dict[str, Any]) -> None:
    variables = set(template["Globals"]["Function"]["Environment"]["Variables"])
    settings = {field.name.upper() for kind in (Settings, Options) for field in fields(kind)} - {
        "OPTIONS",
        "CHUNK_RECORDS",
        "PATIENCE",
        "CONNECT_SECONDS",
        "ANSWER_SECONDS",
        "MIGRATE_ARN",  # for the API on its instance: functions reach no Step Functions
    }
    assert {name for name in variables if not name.startswith("POWERTOOLS_")} == settings


def test_the_bootstrap_is_called_with_what_it_reads() -> None:
    called_with = json.loads((ROOT / "events/bootstrap.json").read_text())["credentials"]
    assert set(called_with) == {field.name.upper() for field in fields(BootstrapSettings)} - {"APP"} | {"DB_PASSWORD"}


def test_no_environment_has_the_administrators_password(template: dict[str, Any], functions: dict[str, Any]) -> None:
    environments = [template["Globals"]["Function"]["Environment"], *(f.get("Environment") for f in functions.values())]
    assert not re.search("AdminSecret|ADMIN", json.dumps(environments))


def test_the_bootstrap_runs_again_when_a_setting_of_the_database_changes(template: dict[str, Any]) -> None:
    """CloudFormation asks a custom resource again only where one of its own properties has changed."""
    resources = template["Resources"]
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    variables = variables | resources["BootstrapFunction"]["Properties"]["Environment"]["Variables"]
    settings = {name for name in variables if name.startswith("DB_")} - {"DB_PASSWORD"}  # that is in AppSecret
    assert len(settings) == 5
    properties = resources["DatabaseReady"]["Properties"].values()
    assert {name for name in settings if variables[name] not in properties} == set()


def test_who_waits_for_the_bootstrap_waits_longer_than_it_runs(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    bootstrap, credentials = (resources[f"{name}Function"]["Properties"] for name in ("Bootstrap", "Credentials"))
    spare = 60  # of CredentialsFunction, to read secrets and to answer
    assert bootstrap["Timeout"] + spare <= credentials["Timeout"]
    assert credentials["Timeout"] + spare <= resources["DatabaseReady"]["Properties"]["ServiceTimeout"]
    assert credentials["VpcConfig"] == {"Ref": "AWS::NoValue"}, "it reaches Secrets Manager only outside"


def test_a_new_token_is_sent_only_after_the_api_knows_it(template: dict[str, Any]) -> None:
    """The instance knows the token before it too; one that is still of the deploy before would answer 401."""
    after = template["Resources"]["ValidateFunction"]["Properties"]["Tags"]["api"]
    assert after == {"If": ["OwnApi", {"Ref": "ApiGroup"}, {"Ref": "ApiUrl"}]}, (
        "CloudFormation's order is that of references"
    )
    launched = json.dumps(template["Resources"]["ApiLaunchTemplate"])
    assert "CREDENTIALS_VERSION=${CredentialsVersion}" in launched, "another number must make another instance"


def test_the_instance_finds_the_former_tokens_by_the_names_that_the_template_gives(template: dict[str, Any]) -> None:
    for role in ("Validator", "Operator"):
        name = template["Resources"][f"{role}TokenSecret"]["Properties"]["Name"]["Sub"][0]
        assert name == f"${{AWS::StackName}}/${{Stack}}/{role.lower()}/${{CredentialsVersion}}"
    script = (ROOT / "api_ec2/instance/serve.sh").read_text()
    assert "Values=${name%/*}/" in script, "all names of a role but for the version"


def test_each_parameter_is_used_and_shown_in_a_group(template: dict[str, Any]) -> None:
    text = (ROOT / "template.yaml").read_text()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name in template["Parameters"]:
        assert re.search(rf"!Ref {name}\b|\${{{name}}}", text), f"{name} is used nowhere"


def test_each_environment_of_samconfig_builds_fast_and_sets_parameters_that_exist(template: dict[str, Any]) -> None:
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert environments.pop("version") == 0.1
    assert set(environments) == {"default", "dev", "prod"}
    for environment in environments.values():
        assert environment["build"]["parameters"] == {"cached": True, "parallel": True}
        assert environment["validate"]["parameters"] == {"lint": True}
        for override in environment["global"]["parameters"].get("parameter_overrides", []):
            name, _, value = override.partition("=")
            parameter = template["Parameters"][name]
            assert value in map(str, parameter.get("AllowedValues", [value])), override


def test_each_definition_belongs_to_a_state_machine() -> None:
    assert {path.name for path in (ROOT / "statemachine").iterdir()} == set(MACHINES.values())


@pytest.mark.parametrize("name", MACHINES)
def test_each_substitution_of_a_state_machine_is_given(template: dict[str, Any], name: str) -> None:
    properties = template["Resources"][name]["Properties"]
    assert properties["DefinitionUri"] == f"statemachine/{MACHINES[name]}"
    assert set(re.findall(r"\${(\w+)}", definition_of(name))) == set(properties["DefinitionSubstitutions"])


def substituted(machine: str) -> dict[str, Any]:
    """The definition as it is deployed, with made-up names."""
    text = re.sub(r"\${(\w+)Concurrency}", "2", machine)
    text = re.sub(r"\${(\w+Function)}", r"arn:aws:lambda:us-east-1:123456789012:function:\1", text)
    text = text.replace("${Migrate}", "arn:aws:states:us-east-1:123456789012:stateMachine:a-stack-migrate")
    loaded = json.loads(text.replace("${Bucket}", "a-bucket"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", MACHINES)
def test_cfn_lint_finds_nothing_in_a_state_machine(name: str, tmp_path: Path) -> None:
    """`sam validate --lint` does not look into AWS::Serverless::StateMachine, so it is wrapped in the raw type."""
    raw = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": substituted(definition_of(name))},
    }
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": raw}}))
    run = subprocess.run([CFN_LINT, "--regions", "us-east-1", "--", path], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout + run.stderr


def test_cfn_lint_would_find_a_fault_in_the_state_machine(machine: str, tmp_path: Path) -> None:
    broken = substituted(machine) | {"StartAt": "Nowhere"}
    raw = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": broken},
    }
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": raw}}))
    run = subprocess.run([CFN_LINT, "--regions", "us-east-1", "--", path], capture_output=True, text=True, check=False)
    assert "E3601" in run.stdout


def test_both_maps_bound_their_concurrency_and_keep_their_results_out_of_the_state(machine: str) -> None:
    maps = [state for _, state in states(substituted(machine)) if state["Type"] == "Map"]
    assert len(maps) == 2
    for state in maps:
        assert state["MaxConcurrency"] >= 1
        assert state["ResultPath"] is None
        assert "ResultWriter" in state
        assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        assert len(state["Label"]) <= 40


CALLS = {  # what rowferry.storage.s3 calls, and the action that it needs
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "upload_fileobj": "s3:PutObject",
    "copy_object": "s3:PutObject",
    "copy": "s3:PutObject",
    "delete_object": "s3:DeleteObjectVersion",
    "put_object_tagging": "s3:PutObjectTagging",
    "list_object_versions": "s3:ListBucketVersions",
    "list_objects_v2": "s3:ListBucket",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
}


def test_the_functions_that_have_fastavros_layer_are_those_that_import_it(functions: dict[str, Any]) -> None:
    code = """import importlib, sys
sys.modules["fastavro"] = None  # as where it is not installed
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""
    modules = {name: f["Handler"].partition(".handle")[0] for name, f in functions.items() if name != "ApiFunction"}
    asked = [sys.executable, "-c", code, *modules.values()]
    path = {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT / 'src'}"}
    failing = subprocess.run(asked, env=path, capture_output=True, text=True, check=True).stdout.split()
    layered = [module for name, module in modules.items() if functions[name].get("Layers")]
    assert failing == layered == ["backup", "restore"]


def test_each_call_to_s3_has_a_statement(functions: dict[str, Any]) -> None:
    code = (ROOT / "src/rowferry/storage/s3.py").read_text()
    calls = set(re.findall(r"self\._client\.(\w+)\(", code)) - {"get_paginator"}
    calls |= set(re.findall(r'get_paginator\("(\w+)"\)', code))
    assert calls == set(CALLS), "a call is new or gone: give its action here and to the roles that need it"
    granted = set()
    for properties in functions.values():
        for policy in properties.get("Policies", []):
            for statement in policy["Statement"]:
                actions = statement["Action"]
                granted |= set(actions if isinstance(actions, list) else [actions])
    assert {CALLS[call] for call in calls} <= granted
    assert not any("*" in action for action in granted)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_each_make_target_and_path_named_in_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:^|[`(])make (?:-s )?([a-z0-9-]+)", readme, re.MULTILINE))
    assert named, "the README names no target"
    assert named <= make_targets()
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme):
        assert (ROOT / link).exists(), f"{link} is linked in the README and is not there"
    for path in re.findall(r"`([\w./-]+/[\w.-]*)`", readme):
        if path.split("/")[0] in {p.name for p in ROOT.iterdir()}:
            assert (ROOT / path).exists(), f"{path} is named in the README and is not there"


def test_each_test_that_the_page_of_proofs_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs/proof.md").read_text()))
    assert named
    assert all((ROOT / path).exists() for path in named)


def test_each_alarm_has_its_line_on_the_page_for_running_it(template: dict[str, Any]) -> None:
    alarms = {name for name, made in template["Resources"].items() if made["Type"] == "AWS::CloudWatch::Alarm"}
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/running.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == alarms


def test_the_page_for_deploying_has_each_parameter_as_the_template_has_it(template: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.+) \|$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    told = {name: (default.strip("` "), words) for name, default, words in rows if name in template["Parameters"]}
    assert told == {
        name: (str(one.get("Default", "")), one["Description"]) for name, one in template["Parameters"].items()
    }


def test_make_help_says_something_about_each_target() -> None:
    documented = set(re.findall(r"^([a-z0-9-]+):.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert make_targets() == documented
