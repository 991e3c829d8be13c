"""What CloudFormation makes of a transformed template with given parameters, before it calls any service.

Conditions are decided, resources without their condition are gone, and each function whose arguments are known is
replaced by its value. References between resources stay.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REGION, ACCOUNT = "us-east-1", "123456789012"
PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": "rowferry",
    "AWS::URLSuffix": "amazonaws.com",
}
_NOTHING = {"Ref": "AWS::NoValue"}
_ATTACHED = ("Condition", "DependsOn")


def resolved(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Raises: ValueError for a name that is no parameter, or a value that is none of those allowed."""
    resolver = _Resolver(template["Conditions"], template.get("Mappings", {}), values(template["Parameters"], given))
    made = {
        name: resource
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Description": template["Description"],
        "Resources": {name: _resource(resource, made, resolver) for name, resource in made.items()},
        "Outputs": {
            name: resolver.value({key: part for key, part in output.items() if key != "Condition"})
            for name, output in template["Outputs"].items()
            if "Condition" not in output or resolver.condition(output["Condition"])
        },
    }


def _resource(resource: Mapping[str, Any], made: Mapping[str, Any], resolver: "_Resolver") -> dict[str, Any]:
    found = resolver.value({key: part for key, part in resource.items() if key not in _ATTACHED})
    after = resource.get("DependsOn", [])
    if after := [name for name in ([after] if isinstance(after, str) else after) if name in made]:
        found["DependsOn"] = after
    assert isinstance(found, dict)
    return found


def values(parameters: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    if unknown := set(given) - set(parameters):
        raise ValueError(f"{', '.join(sorted(unknown))}: the template has no such parameter")
    for name, value in given.items():
        if value not in map(str, parameters[name].get("AllowedValues", [value])):
            raise ValueError(f"{name}={value}: must be one of {parameters[name]['AllowedValues']}")
    texts = {name: given.get(name, str(one.get("Default", ""))) for name, one in parameters.items()}
    return PSEUDO | {name: _typed(parameters[name]["Type"], text) for name, text in texts.items()}


def _typed(kind: str, text: str) -> Any:
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return text.split(",")
    return int(text) if kind == "Number" and text.isdigit() else text


@dataclass(frozen=True)
class _Resolver:
    conditions: Mapping[str, Any]
    mappings: Mapping[str, Any]
    values: Mapping[str, Any]

    def condition(self, name: str) -> bool:
        return bool(self.value(self.conditions[name]))

    def value(self, part: Any) -> Any:
        """A function that can't be computed stays, with its arguments resolved."""
        if isinstance(part, list):
            return [found for item in part if (found := self.value(item)) != _NOTHING]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((name, argument),) = part.items()
            if name == "Ref":
                return self.values.get(argument, part)
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name == "Fn::If":
                return self.value(argument[1] if self.condition(argument[0]) else argument[2])
            if name.startswith("Fn::"):
                return self._function(name, argument)
        return {key: found for key, item in part.items() if (found := self.value(item)) != _NOTHING}

    def _function(self, name: str, argument: Any) -> Any:
        found = self.value(argument)
        match name, found:
            case "Fn::Equals", [left, right]:
                return str(left) == str(right)
            case "Fn::Not", [one]:
                return not one
            case "Fn::And", _:
                return all(found)
            case "Fn::Or", _:
                return any(found)
            case "Fn::FindInMap", [str(), str(), str()]:
                return self.mappings[found[0]][found[1]][found[2]]
            case "Fn::Join", [between, [*items]] if all(isinstance(item, str | int) for item in items):
                return between.join(map(str, items))
            case "Fn::Split", [str() as between, str() as text]:
                return text.split(between)
            case "Fn::Select", [index, [*items]]:
                return items[int(index)]
            case "Fn::Sub", _:
                return self._substituted(found)
        return {name: found}

    def _substituted(self, argument: Any) -> Any:
        """Text where all is known; what is a resource's stays a variable."""
        text, own = argument if isinstance(argument, list) else (argument, {})
        known = {**self.values, **{name: one for name, one in own.items() if isinstance(one, str | int)}}
        rest = {name: one for name, one in own.items() if name not in known}
        text = re.sub(r"\${([\w:.]+)}", lambda found: str(known.get(found[1], found[0])), text)
        if not re.search(r"\${[\w:.]+}", text):
            return text.replace("${!", "${")
        return {"Fn::Sub": [text, rest] if rest else text}
