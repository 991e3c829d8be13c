"""The definitions of the state machines, as data."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAMES = ("migrate", "sweep")
ACCOUNT = "us-east-1:123456789012"

Definition = dict[str, Any]


def definition(name: str, bucket: str = "a-bucket") -> Definition:
    """As it is deployed, with made-up names."""
    text = (ROOT / f"statemachine/{name}.asl.json").read_text()
    text = re.sub(r"\${(\w+)Concurrency}", "2", text)
    text = re.sub(r"\${(\w+Function)}", rf"arn:aws:lambda:{ACCOUNT}:function:\1", text)
    text = text.replace("${Migrate}", f"arn:aws:states:{ACCOUNT}:stateMachine:migrate").replace("${Bucket}", bucket)
    loaded = json.loads(text)
    assert isinstance(loaded, dict)
    return loaded


def states(machine: Definition) -> Iterator[tuple[str, Definition]]:
    """All states by name, those inside Maps too."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def calls(machine: Definition) -> Mapping[str, Definition]:
    """The states that call a function."""
    return {name: state for name, state in states(machine) if state.get("Resource") == "arn:aws:states:::lambda:invoke"}
