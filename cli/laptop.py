"""`rowferry up`, `down`, `status`, `demo`, `env`, `doctor`: the stack on this machine, from a clone of the repository.

None of them needs tables.py to be right but `up`, where it has changed.
"""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli.options import Shared, shared
from cli.output import CommandError
from cli.stack import ROOT, find, state_folder


def up(context: typer.Context) -> None:
    """Start the stack on this machine, or what of it does not run, with the data that it had.

    Changed code is taken in: a new class in tables.py becomes a table.

    Example:

      rowferry up
    """
    options = shared(context)
    stack = _local("stack")
    _call(lambda: stack.up(state_folder(), options.output.say))
    options.output.emit(_addresses())
    options.output.say("next: rowferry demo, rowferry load FILE, rowferry status, rowferry down")


def down(
    context: typer.Context,
    delete: Annotated[bool, typer.Option("--delete", help="Delete its database and bucket too.")] = False,
) -> None:
    """Stop the stack on this machine. Its database and bucket are kept for the next `up`.

    Examples:

      rowferry down

      rowferry down --delete
    """
    options = shared(context)
    stack = _local("stack")
    _call(lambda: stack.down(state_folder(), options.output.say, delete=delete))
    options.output.emit({"stopped": True, "deleted": delete})


def status(context: typer.Context) -> None:
    """Show which parts of the stack on this machine run, and where.

    Example:

      rowferry status
    """
    options = shared(context)
    lines, is_well = _call(lambda: _local("status").status(state_folder()))
    for line in lines:
        options.output.say(line)
    options.output.emit({"is_well": is_well, "lines": lines})
    raise typer.Exit(0 if is_well else 1)


def env(context: typer.Context) -> None:
    """Print shell exports for the running stack, the reporting user's password among them.

    Example:

      eval "$(rowferry env)"
    """
    options = shared(context)
    stack = _local("stack")
    if options.output.json:
        options.output.emit(_call(lambda: stack.Stack.read(state_folder()).environment()))
    else:
        typer.echo(_call(lambda: _local("status").exports(state_folder())))


def demo(
    context: typer.Context,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Hired employees in the sample file.")] = 10_000,
) -> None:
    """Start the stack and load three sample files; show what became of every record.

    Example:

      rowferry demo
    """
    shared(context)
    raise typer.Exit(_call(lambda: _local("demo").run(state_folder(), rows)))


def doctor(context: typer.Context) -> None:
    """Say what is missing or out of order, here or with a stack on AWS, and how to mend it.

    Examples:

      rowferry doctor

      rowferry doctor --stack rowferry
    """
    options = shared(context)
    found = _aws_checks(options) if options.stack else _local_checks()
    for name, problem in found:
        options.output.emit({"check": name, "ok": not problem, "cure": problem})
        options.output.say(f"{'ok  ' if not problem else 'BAD '} {name}{f': {problem}' if problem else ''}")
    raise typer.Exit(1 if any(problem for _, problem in found) else 0)


def _local_checks() -> list[tuple[str, str]]:
    """What is looked at, and what is wrong with it with the cure; empty where nothing is."""
    checks = [
        ("Python 3.11 or later", "" if sys.version_info >= (3, 11) else "install one and run make install"),
        ("a clone of the repository", "" if _has_local() else "clone it: pipx installs the commands only"),
        ("make", "" if shutil.which("make") else "install it (Debian: apt-get install make)"),
    ]
    if _has_local():
        checks += [
            ("the emulated AWS", "" if (ROOT / ".tools/ministack").exists() else "make install"),
            ("the SAM CLI", "" if (ROOT / ".tools/sam").exists() else "make install"),
            ("a MySQL server", _problem(lambda: _local("mysqld").find())),
            ("tables.py", _problem(lambda: _local("release").check_tables())),
            ("the stack", _problem(_assert_well)),
        ]
    return checks


def _assert_well() -> None:
    lines, is_well = _local("status").status(state_folder())
    if not is_well:
        raise CommandError("; ".join(line.strip() for line in lines[1:]))


def _aws_checks(options: Shared) -> list[tuple[str, str]]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        stack = find(options)
    except CommandError as error:
        cure = "see `aws sts get-caller-identity`, and check --profile, --region and the stack's name"
        return [("the stack's outputs", f"{error}; {cure}")]
    checks = [("the stack's outputs", "")]
    asked: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("list the bucket", lambda: stack.s3.list_objects_v2(Bucket=stack.bucket, MaxKeys=1)),
        ("list executions", lambda: stack.states.list_executions(stateMachineArn=stack.machine, maxResults=1)),
    )
    for name, ask in asked:
        try:
            ask()
            checks.append((name, ""))
        except (ClientError, BotoCoreError) as error:
            checks.append((name, f"{error}; your IAM user lacks this right (docs/deploy.md)"))
    away = "out of reach from here: a tunnel by Session Manager, or ApiHosting=lambda; load, runs and backups work"
    return [*checks, ("the API", "" if stack.api else away)]


def _addresses() -> dict[str, Any]:
    found = json.loads((state_folder() / "stack.json").read_bytes())
    return {"api": f"http://127.0.0.1:{found['api']['port']}", "bucket": found["deployment"]["bucket"]}


def _has_local() -> bool:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return (ROOT / "local" / "stack.py").exists()


def _local(module: str) -> Any:
    """A module of local/. Raises: CommandError where it is not there."""
    if not _has_local():
        raise CommandError("this needs a clone of the repository: run .venv/bin/rowferry there, after make install")
    return importlib.import_module(f"local.{module}")


def _call(act: Callable[[], Any]) -> Any:
    """Raises: CommandError for what local/ raises."""
    local_error = _local("processes").LocalError
    try:
        return act()
    except local_error as error:
        raise CommandError(str(error)) from error


def _problem(act: Callable[[], Any]) -> str:
    try:
        _call(act)
    except CommandError as error:
        return str(error)
    return ""
