"""SAM's own translator, run by the SAM CLI's Python: parameter sets as JSON on stdin, transformed templates on stdout.

Offline: no managed policy is looked up, and code and definitions are said to be in S3 already, as after a package.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

UPLOADED = ("CodeUri", "ContentUri", "DefinitionUri")


class NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def packaged(text: str) -> dict[str, Any]:
    template: dict[str, Any] = yaml_parse(text)
    shared = template.get("Globals", {}).values()
    for properties in (*shared, *(resource.get("Properties", {}) for resource in template["Resources"].values())):
        for place in UPLOADED:
            if isinstance(properties.get(place), str):
                properties[place] = "s3://a-bucket/a-key"
    return template


def main(path: str, sets: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    text = Path(path).read_text()
    return {name: transform(packaged(text), dict(values), NoManagedPolicies()) for name, values in sets.items()}


if __name__ == "__main__":
    json.dump(main(sys.argv[1], json.load(sys.stdin)), sys.stdout)
