"""The linters of the template and the state machines: each finds the fault that it is there for."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.emulator import ROOT
from local.lint import checkov, machines, templates
from local.lint.findings import Exemption, Finding, complaints
from local.lint.parameters import parameter_sets
from local.lint.resolve import resolved, values
from local.lint.stacks import Stack, stacks

PUBLIC = Finding("CKV_AWS_53", "AWS::S3::Bucket.Bucket", "Ensure S3 bucket has block public ACLS enabled")


def test_what_is_not_exempted_is_told_with_its_resource() -> None:
    words = "CKV_AWS_53 AWS::S3::Bucket.Bucket: Ensure S3 bucket has block public ACLS enabled"
    assert complaints([PUBLIC], []) == [words]


def test_what_is_exempted_is_not() -> None:
    assert complaints([PUBLIC], [Exemption("CKV_AWS_53", "a reason")]) == []


@pytest.mark.parametrize("words", ["", "another bucket"])
def test_an_exemption_that_covers_nothing_is_told(words: str) -> None:
    told = complaints([PUBLIC], [Exemption("CKV_AWS_53", "a reason"), Exemption("CKV_AWS_54", "another", words)])
    assert told == [f"the exemption CKV_AWS_54 ({words or 'any'}) covers no finding; remove it"]


def test_an_exemption_by_its_words_covers_no_other_finding_of_the_rule() -> None:
    other = Exemption("CKV_AWS_53", "a reason", "another bucket")
    assert str(PUBLIC) in complaints([PUBLIC], [other])


def test_each_exemption_has_a_reason_and_there_are_few() -> None:
    listed = [
        *checkov.exemptions(ROOT / "template.yaml"),
        *templates.VALIDATE_EXEMPTIONS,
        *templates.CFN_LINT_EXEMPTIONS,
        *machines.STATELINT_EXEMPTIONS,
    ]
    assert 0 < len(listed) < 20
    assert all(len(one.reason.split()) > 5 for one in listed)


def breaks(text: str, old: str, new: str) -> str:
    changed, count = re.subn(old, new, text, count=1)
    assert count == 1, f"{old} is not there to be broken"
    return changed


def break_machine(path: Path) -> None:
    """The first state of the second Map gets the name of the first Map's."""
    text = path.read_text()
    _, first, second = re.findall(r'"StartAt": ("[^"]+")', text)
    path.write_text(text.replace(second, first))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "statemachine", folder / "statemachine")
    break_machine(folder / "statemachine/migrate.asl.json")
    text = (ROOT / "template.yaml").read_text()
    text = breaks(text, r"- Description: To .*", "- Description: Amazon Linux's packages")
    text = breaks(text, r"EnableDnsSupport: true", "EnableDnsSupport: true\n      Colour: blue")
    text = breaks(text, r"  Vpc:\n", "  Vpc:\n    Metadata: { why: This is quoted nowhere, so its end is a key }\n")
    (folder / "template.yaml").write_text(text)
    (stack,) = stacks(folder / "template.yaml", {"default": {}})
    return stack


@pytest.fixture(scope="module")
def definitions(broken: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return machines.write(broken.machines(), tmp_path_factory.mktemp("machines"))


def test_cloudformation_validate_finds_what_services_would_refuse(broken: Stack, tmp_path: Path) -> None:
    templates.write([broken], tmp_path)
    found = {finding.rule: str(finding) for finding in templates.validated(tmp_path)}
    assert "Amazon Linux's packages" in found["pf-ec2-sg-rule-description"]
    assert [text for text in found.values() if "Colour" in text], found
    assert "must be unique" in found["pf-sfn-asl-duplicate-state-name"]


def test_cfn_lint_finds_what_the_transformed_template_must_not_have(broken: Stack, tmp_path: Path) -> None:
    found = [str(finding) for finding in templates.cfn_linted([templates.write_transformed(broken, tmp_path)])]
    assert [line for line in found if line.startswith("E3028 Vpc/Metadata") and "None" in line]
    assert [line for line in found if line.startswith("E3002 Vpc") and "Colour" in line]


def test_statelint_finds_a_state_name_in_two_maps(definitions: list[Path]) -> None:
    assert [finding for finding in machines.statelinted(definitions) if "is also defined at" in finding.words]


@pytest.mark.skipif(not machines.PROGRAM.exists(), reason="asl-validator is installed by make check, where npm is")
def test_asl_validator_finds_a_state_name_in_two_maps(definitions: list[Path]) -> None:
    found = machines.asl_validated(definitions, machines.PROGRAM)
    assert [finding for finding in found if finding.words.startswith("DUPLICATE_STATE_NAMES")]


def test_without_npm_asl_validator_is_not_run_and_that_is_said(tmp_path: Path) -> None:
    assert machines.asl_validator(path=str(tmp_path)) is None
    script = "from local.lint.__main__ import report; import sys; sys.exit(report({'checkov': []}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, machines.NOT_RUN)


def test_each_npm_package_is_locked_by_its_hash_and_names_no_address() -> None:
    lock = json.loads((machines.LOCK / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "node_modules/asl-validator" in packages
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def small(parameters: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "any",
        "Parameters": parameters,
        "Mappings": {"Sizes": {"dev": {"GiB": "20"}, "prod": {"GiB": "50"}}},
        "Conditions": {
            "Large": {"Fn::And": [{"Condition": "Named"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Kind"}, "dev"]}]}]},
            "Named": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Kind"}, ""]}]},
        },
        "Resources": {
            "One": {"Type": "A", "DependsOn": "Two", "Properties": properties},
            "Two": {"Type": "B", "Condition": "Large", "Properties": {}},
        },
        "Outputs": {"Two": {"Condition": "Large", "Value": {"Ref": "Two"}}},
    }


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ({"Fn::If": ["Large", "a", {"Ref": "AWS::NoValue"}]}, None),
        ({"Fn::If": ["Named", [{"Ref": "Kind"}, {"Ref": "AWS::NoValue"}], "a"]}, ["dev"]),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Kind"}, "GiB"]}, "20"),
        ({"Fn::Sub": "${AWS::StackName}-${Kind}"}, "rowferry-dev"),
        ({"Fn::Sub": ["${Kind}-${Two.Arn}-${x}", {"x": "y"}]}, {"Fn::Sub": "dev-${Two.Arn}-y"}),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::GetAtt": ["Two", "Arn"]}),
    ],
)
def test_a_template_becomes_what_its_parameters_make_of_it(written: Any, made: Any) -> None:
    template = small({"Kind": {"Type": "String", "Default": "dev"}}, {"Written": written})
    found = resolved(template, {})
    assert found["Resources"]["One"]["Properties"].get("Written") == made
    assert (set(found["Resources"]), found["Outputs"]) == ({"One"}, {})
    assert "DependsOn" not in found["Resources"]["One"]
    assert set(resolved(template, {"Kind": "prod"})["Resources"]) == {"One", "Two"}


def test_a_parameter_that_the_template_lacks_or_refuses_is_named() -> None:
    parameters = {"Kind": {"Type": "String", "AllowedValues": ["dev", "prod"]}}
    with pytest.raises(ValueError, match="Colour: the template has no such parameter"):
        values(parameters, {"Colour": "blue"})
    with pytest.raises(ValueError, match="Kind=blue: must be one of"):
        values(parameters, {"Kind": "blue"})


def test_the_sets_of_parameters_are_those_of_samconfig_and_the_ways_to_deploy() -> None:
    sets = parameter_sets()
    assert sets["prod"]["Environment"] == "prod"
    assert {given.get("ApiHosting") for given in sets.values()} >= {None, "lambda", "both"}
    assert any("VpcId" in given and "DbHost" in given for given in sets.values())
