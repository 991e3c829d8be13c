"""Options that every command has, and what they say."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.file_options import FORMAT_OPTIONS, metadata_of
from cli.output import Output

_PANEL = "Options of every command"
OPTIONS: dict[str, tuple[Any, Any]] = {
    "json": (
        Annotated[
            bool,
            typer.Option(
                "--json", help="One JSON object a line on stdout; words go to stderr.", rich_help_panel=_PANEL
            ),
        ],
        False,
    ),
    "quiet": (
        Annotated[bool, typer.Option("--quiet", "-q", help="No words except errors.", rich_help_panel=_PANEL)],
        False,
    ),
    "yes": (
        Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.", rich_help_panel=_PANEL)],
        False,
    ),
    "stack": (
        Annotated[
            str | None,
            typer.Option(
                metavar="NAME", help="A stack on AWS. Default: the stack on this machine.", rich_help_panel=_PANEL
            ),
        ],
        None,
    ),
    "profile": (
        Annotated[
            str | None, typer.Option(metavar="NAME", help="Profile of your AWS configuration.", rich_help_panel=_PANEL)
        ],
        None,
    ),
    "region": (
        Annotated[str | None, typer.Option(metavar="NAME", help="AWS region of the stack.", rich_help_panel=_PANEL)],
        None,
    ),
}
ON_THIS_MACHINE = ("json", "quiet", "yes")
"""What commands have that never work on a stack on AWS."""


@dataclass(frozen=True)
class Shared:
    """The shared options as given."""

    output: Output
    yes: bool = False
    stack: str | None = None
    profile: str | None = None
    region: str | None = None


def with_shared(command: Callable[..., Any], names: tuple[str, ...] = tuple(OPTIONS)) -> Callable[..., Any]:
    """The command with the shared options behind its own; `shared` gives them to it."""

    @functools.wraps(command)
    def called(context: typer.Context, **given: Any) -> Any:
        mine = {name: given.pop(name) for name in names}
        output = Output(json=mine.pop("json"), quiet=mine.pop("quiet"))
        context.obj = Shared(output, **mine)
        return command(context, **given)

    return _extended(called, command, {name: OPTIONS[name] for name in OPTIONS if name in names})


def with_format(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of file_options.py; `context.meta["metadata"]` has what they become."""

    @functools.wraps(command)
    def called(context: typer.Context, **given: Any) -> Any:
        context.meta["metadata"] = metadata_of({name: given.pop(name) for name in FORMAT_OPTIONS})
        return command(context, **given)

    return _extended(called, command, FORMAT_OPTIONS)


def _extended(
    called: Callable[..., Any], command: Callable[..., Any], options: Mapping[str, tuple[Any, Any]]
) -> Callable[..., Any]:
    """Gives `called` the signature of the command with more options, as Typer reads it."""
    signature = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in options.items()
    ]
    vars(called)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), *added])
    called.__annotations__ = {**command.__annotations__, **{one.name: one.annotation for one in added}}
    return called


def shared(context: typer.Context) -> Shared:
    found = context.obj
    assert isinstance(found, Shared)
    return found
