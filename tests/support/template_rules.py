"""CloudFormation's rule functions, as far as template.yaml uses them.

From "CloudFormation rule functions" in the CloudFormation User Guide. An account refuses Fn::If among them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Values = Mapping[str, str]


def with_defaults(template: Mapping[str, Any], given: Values) -> dict[str, str]:
    """Raises: ValueError for a value that the parameter itself refuses, or a name that is no parameter."""
    found = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    if unknown := set(given) - set(found):
        raise ValueError(f"{unknown} are no parameters")
    for name, value in given.items():
        _check(name, template["Parameters"][name], value)
    return found | dict(given)


def _check(name: str, parameter: Mapping[str, Any], value: str) -> None:
    if value not in map(str, parameter.get("AllowedValues", [value])):
        raise ValueError(f"{name} is one of {parameter['AllowedValues']}")
    if not re.fullmatch(parameter.get("AllowedPattern", ".*"), value):
        raise ValueError(f"{name} does not match {parameter['AllowedPattern']}")


def refusals(template: Mapping[str, Any], given: Values, region: str = "us-east-1") -> Iterator[str]:
    """The descriptions of the assertions that do not hold for these parameters."""
    values = with_defaults(template, given) | {"AWS::Region": region}
    for rule in template["Rules"].values():
        if "RuleCondition" in rule and not evaluated(rule["RuleCondition"], values):
            continue
        for assertion in rule["Assertions"]:
            if not evaluated(assertion["Assert"], values):
                yield assertion["AssertDescription"]


def evaluated(part: Any, values: Values) -> Any:
    if isinstance(part, list):
        return [evaluated(item, values) for item in part]
    if not isinstance(part, dict):
        return part
    ((function, argument),) = part.items()
    if function == "Ref":
        return values[argument]
    found = evaluated(argument, values)
    match function:
        case "Equals":
            return found[0] == found[1]
        case "Not":
            return not found[0]
        case "And":
            return all(found)
        case "Or":
            return any(found)
        case "Contains":
            return found[1] in found[0]
    raise NotImplementedError(f"{function} in a rule")
