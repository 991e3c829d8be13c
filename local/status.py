"""What `rowferry status` and `rowferry env` say of the local stack."""

import shlex
from pathlib import Path

from local.mysql import BI_USER
from local.stack import Stack, shown


def status(folder: Path) -> tuple[list[str], bool]:
    """A line per part, and whether all is well: every part of a stack runs, or there is no stack, or it was stopped."""
    stack = Stack.read(folder)
    if not stack.started:
        return [f"no stack runs in {shown(folder)}: `rowferry up` starts one"], True
    if stack.stopped:
        return [f"the stack in {shown(folder)} is down; its data are kept: `rowferry up` starts it again"], True
    mysql, emulator, api = stack.mysql, stack.emulator, stack.api
    parts = [
        ("database", mysql and mysql.answers(), mysql and f"{mysql.program}, {mysql.host}:{mysql.port}"),
        ("AWS", emulator and emulator.alive(), emulator and f"MiniStack, {emulator.url}"),
        ("API", api and api.alive(), api and api.url),
    ]
    lines = [f"stack in {shown(folder)}, started {stack.started:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [f"  {name:9} {'runs' if alive else 'DEAD':5} {where or ''}" for name, alive, where in parts]
    if stack.deployment:
        lines.append(f"  bucket          {stack.deployment.bucket}")
    if mysql:
        lines.append(f"  reporting       {BI_USER}, database {mysql.database}, TLS required; password: rowferry env")
    if all(alive for _, alive, _ in parts):
        return lines, True
    return [*lines, "`rowferry up` starts what is dead again; no data are lost"], False


def exports(folder: Path) -> str:
    environment = Stack.read(folder).environment()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
