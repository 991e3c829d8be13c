"""template.yaml as CloudFormation gets it: transformed by SAM, with its state machines' definitions in it."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator import ROOT
from local.lint import resolve

SAM_PYTHON = ROOT / ".tools/sam/bin/python"
MACHINE = "AWS::StepFunctions::StateMachine"


@dataclass(frozen=True)
class Stack:
    """One set of parameters: the transformed template, and what it becomes with them."""

    name: str
    transformed: Mapping[str, Any]
    """With its conditions."""
    resolved: Mapping[str, Any]

    def machines(self) -> dict[str, dict[str, Any]]:
        resources = self.resolved["Resources"].items()
        return {name: one["Properties"]["Definition"] for name, one in resources if one["Type"] == MACHINE}


def stacks(template: Path, sets: Mapping[str, Mapping[str, str]]) -> list[Stack]:
    """The definitions are looked for beside the template, where its DefinitionUri says."""
    command = [str(SAM_PYTHON), str(ROOT / "local/lint/sam_transform.py"), str(template)]
    environment = {"AWS_DEFAULT_REGION": resolve.REGION}
    done = subprocess.run(command, input=json.dumps(sets), capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"SAM can't transform {template}:\n{done.stderr}")
    transformed = json.loads(done.stdout)
    uris = dict(re.findall(r"^  (\w+):\n(?:    .*\n)*?      DefinitionUri: (\S+)$", template.read_text(), re.MULTILINE))
    definitions = {name: (template.parent / uri).read_text() for name, uri in uris.items()}
    return [_stack(name, transformed[name], given, definitions) for name, given in sets.items()]


def _stack(
    name: str, transformed: Mapping[str, Any], given: Mapping[str, str], definitions: Mapping[str, str]
) -> Stack:
    found = resolve.resolved(transformed, given)
    for machine, definition in definitions.items():
        substitutions = found["Resources"][machine]["Properties"]["DefinitionSubstitutions"]
        filled = _filled(definition, substitutions, found["Resources"])
        for template in (transformed, found):
            properties = template["Resources"][machine]["Properties"]
            del properties["DefinitionS3Location"], properties["DefinitionSubstitutions"]
            properties["Definition"] = filled
    return Stack(name, transformed, found)


def _filled(definition: str, given: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    """With made-up names where a substitution is another resource's."""
    texts = {name: _text(value, resources) for name, value in given.items()}
    filled = json.loads(re.sub(r"\${(\w+)}", lambda found: texts[found[1]], definition))
    assert isinstance(filled, dict)
    return filled


def _text(value: Any, resources: Mapping[str, Any]) -> str:
    match value:
        case str() | int():
            return str(value)
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            return _MADE_UP[resources[name]["Type"]].format(name=name)
    raise SystemExit(f"the substitution {value} can't be filled in")


_OWNER = f"{resolve.REGION}:{resolve.ACCOUNT}"
_MADE_UP = {
    "AWS::Lambda::Function": f"arn:aws:lambda:{_OWNER}:function:{{name}}",
    "AWS::S3::Bucket": "a-bucket",
    MACHINE: f"arn:aws:states:{_OWNER}:stateMachine:{{name}}",
}
