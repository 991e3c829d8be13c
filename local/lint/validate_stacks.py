"""cloudformation-validate with the rules of cdk-preflight, run by .tools/lint's Python on the templates of a folder.

Prints a JSON list of [rule, place, words]. Only the rules of resource types that a template has are compiled:
all of them take three times the time and the memory, and find the same.
"""

import json
import sys
import tarfile
from collections.abc import Iterator, Set
from importlib.metadata import files
from pathlib import Path
from typing import Any

from cloudformation_validate import (
    CompositeEngine,
    CompositeEngineConfig,
    DetailLevel,
    ExternalRuleSource,
    ReportStatus,
    Severity,
    ValidateConfig,
)

RULES = "package/lib/rules.generated.js"


def packed_rules() -> str:
    """The wheel carries the rules in a packed npm package. It can't be imported: the CDK is not installed."""
    (packed,) = (path.locate() for path in files("cdk-preflight") or () if path.name.endswith(".tgz"))
    with tarfile.open(str(packed)) as archive:
        member = archive.extractfile(RULES)
        assert member, f"{packed} has no {RULES}"
        return member.read().decode()


def exported(text: str, name: str) -> list[dict[str, Any]]:
    """A list that a JavaScript module exports as plain JSON."""
    start = f"exports.{name} = "
    found, _ = json.JSONDecoder().raw_decode(text, text.index(f"{start}[") + len(start))
    assert isinstance(found, list)
    return found


def sources(types: Set[str]) -> list[ExternalRuleSource]:
    text = packed_rules()
    rules = [rule for rule in exported(text, "BUNDLED_RULES") if types & set(rule["resourceTypes"])]
    assert rules, "cdk-preflight has no rule for these templates"
    shared = exported(text, "BUNDLED_LIBS")
    return [
        *(ExternalRuleSource(name=library["name"], content=library["rego"]) for library in shared),
        *(ExternalRuleSource(name=rule["id"], content=rule["rego"]) for rule in rules),
    ]


def findings(engine: CompositeEngine, template: Path) -> Iterator[tuple[str, str, str]]:
    """Below WARN stand remarks only, such as which property replaces its resource."""
    config = ValidateConfig(detail_level=DetailLevel.STANDARD, severity_level=Severity.WARN)
    report = engine.validate_template(str(template), config)
    if report.status != ReportStatus.OK:
        yield "incomplete", template.stem, f"the analysis ended with {report.status.name}"
    for found in report.diagnostics:
        place = " ".join(filter(None, (found.entity and found.entity.logical_id, found.property_path)))
        yield found.rule_id, place, found.message


def main(folder: Path) -> list[tuple[str, str, str]]:
    templates = sorted(folder.glob("*.json"))
    resources = [json.loads(path.read_text())["Resources"].values() for path in templates]
    types = {resource["Type"] for made in resources for resource in made}
    engine = CompositeEngine(CompositeEngineConfig(rego_rules=sources(types)))
    return sorted({found for path in templates for found in findings(engine, path)})


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
