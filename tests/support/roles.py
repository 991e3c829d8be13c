"""What each role of the template allows, as SAM and CloudFormation would have it on AWS with every default.

Names stay the template's: the bucket is `arn:aws:s3:::Bucket`, a function `arn:…:function:PlanFunction`.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from local.deploy import TOOLS
from local.emulator import ROOT

ACCOUNT = "us-east-1:123456789012"
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "rowferry",
    "AWS::StackId": f"arn:aws:cloudformation:{ACCOUNT}:stack/rowferry",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}
_KINDS = {
    "AWS::Lambda::Function": f"arn:aws:lambda:{ACCOUNT}:function:",
    "AWS::Lambda::LayerVersion": f"arn:aws:lambda:{ACCOUNT}:layer:",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{ACCOUNT}:stateMachine:",
    "AWS::S3::Bucket": "arn:aws:s3:::",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{ACCOUNT}:log-group:",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{ACCOUNT}:secret:",
}
_REF_IS_ARN = {"AWS::Lambda::LayerVersion", "AWS::StepFunctions::StateMachine", "AWS::SecretsManager::Secret"}
_HASH = re.compile(r"(?<=Layer)[0-9a-f]{10}$")  # SAM's, of a layer's content

_TRANSFORM = """
import json, sys
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

class NoManagedPolicies:
    def load(self):
        return {}

template = yaml_parse(open("template.yaml").read())
for resource in template["Resources"].values():
    for place in {"ContentUri", "DefinitionUri"} & set(resource.get("Properties", {})):
        resource["Properties"][place] = "s3://any/where"
template["Globals"]["Function"]["CodeUri"] = "s3://any/where"
json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout)
"""


@dataclass(frozen=True, order=True)
class Grant:
    """`condition`: as JSON; empty where there is none."""

    role: str
    action: str
    resource: str
    condition: str = ""


@lru_cache
def translated() -> dict[str, Any]:
    """The template as SAM's own translator makes it for CloudFormation."""
    command = [str(TOOLS / "sam/bin/python"), "-c", _TRANSFORM]
    env = {"AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert isinstance(loaded, dict)
    return loaded


class Resolver:
    """CloudFormation's functions, where every parameter has its default."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._template = template
        self._parameters = {name: found.get("Default", "") for name, found in template["Parameters"].items()}

    def value(self, given: Any) -> Any:
        if isinstance(given, list):
            return [found for item in given if (found := self.value(item)) is not None]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            ((name, argument),) = given.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._function(name, argument)
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
        return {key: found for key, item in given.items() if (found := self.value(item)) is not None}

    def condition(self, name: str) -> bool:
        return bool(self.value(self._template["Conditions"][name]))

    def exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self.condition(resource["Condition"])

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "Fn::If":
                return self.value(argument[1] if self.condition(argument[0]) else argument[2])
            case "Fn::Equals":
                return self.value(argument[0]) == self.value(argument[1])
            case "Fn::Not":
                return not self.value(argument[0])
            case "Fn::And":
                return all(self.value(argument))
            case "Fn::Or":
                return any(self.value(argument))
            case "Fn::Join":
                items = self.value(argument[1])
                return argument[0].join(items) if isinstance(items, list) else items
            case "Fn::FindInMap":
                mapping, first, second = self.value(argument)
                return self._template["Mappings"][mapping][first][second]
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::Sub":
                text, values = argument if isinstance(argument, list) else (argument, {})
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._named(found[1], values), text)
        raise NotImplementedError(f"{name} in a policy")

    def _named(self, name: str, values: Mapping[str, Any]) -> str:
        if name in values:
            return str(self.value(values[name]))
        resource, _, attribute = name.partition(".")
        return str(self._attribute(resource, attribute) if attribute else self._ref(name))

    def _ref(self, name: str) -> Any:
        if name in _PSEUDO or name in self._parameters:
            return {**self._parameters, **_PSEUDO}[name]
        kind = self._template["Resources"][name]["Type"]
        return self._arn(name) if kind in _REF_IS_ARN else name

    def _attribute(self, resource: str, attribute: str) -> str:
        return self._arn(resource) if attribute == "Arn" else f"{resource}.{attribute}"

    def _arn(self, name: str) -> str:
        resource = self._template["Resources"][name]
        called = self.value(resource["Properties"].get("StateMachineName")) or _HASH.sub("", name)
        return f"{_KINDS[resource['Type']]}{called}"


class Roles:
    """The roles of a translated template by name; a function's and a state machine's without `Role` at the end."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template
        self.resolver = Resolver(template)
        self._found = {
            name.removesuffix("Role"): self.resolver.value(resource["Properties"])
            for name, resource in template["Resources"].items()
            if resource["Type"] == "AWS::IAM::Role" and self.resolver.exists(resource)
        }
        strange = {r["Type"] for r in template["Resources"].values()} & {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}
        assert not strange, f"{strange} are not looked at here"

    @property
    def names(self) -> set[str]:
        return set(self._found)

    def managed(self, role: str) -> set[str]:
        """The names of AWS's own policies that it has."""
        return {arn.rpartition("/")[2] for arn in self._found[role].get("ManagedPolicyArns", [])}

    def grants(self) -> set[Grant]:
        """Of the policies that are written in the template."""
        return {
            grant
            for role, properties in self._found.items()
            for policy in properties.get("Policies", [])
            for statement in policy["PolicyDocument"]["Statement"]
            for grant in grants_of(role, statement)
        }


def grants_of(role: str, statement: Mapping[str, Any]) -> Iterable[Grant]:
    """Raises: ValueError for a statement of a form that is not judged here."""
    strange = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if strange or statement["Effect"] != "Allow":
        raise ValueError(f"{role}: a statement with {', '.join(strange) or statement['Effect']} is not judged here")
    condition = json.dumps(statement["Condition"], sort_keys=True) if "Condition" in statement else ""
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            yield Grant(role, action, resource, condition)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def wider(grant: Grant) -> Grant:
    """The same right on everything."""
    return replace(grant, resource="*", condition="")
