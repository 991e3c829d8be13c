"""`python -m cli.reference` writes docs/command-line.md from the commands themselves."""

import inspect
import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from cli.file_options import FORMAT_OPTIONS
from cli.main import LOCAL_ONLY, TOPICS
from cli.options import ON_THIS_MACHINE, OPTIONS
from cli.stack import ROOT

PAGE = ROOT / "docs" / "command-line.md"
HEAD = """# The command line

`rowferry` is in `.venv/bin` after `make install`; `pipx install .` in a clone installs it for your user. Without
`--stack` it works with the stack on this machine (`rowferry up`), with `--stack NAME` with one on AWS. What it needs of
that one it reads from the stack's outputs. Where the private API is out of reach, it works with Step Functions, the
bucket and the functions for backups; only `abandon`, `hires` and `departments` need the API.

`rowferry --install-completion` installs completion for your shell (bash, zsh, fish).

| exit code | means |
|---|---|
| 0 | all records are loaded |
| 3 | loaded, and some records were rejected |
| 4 | refused, or not loaded because too many records were rejected |
| 5 | the run failed |
| 2 | wrong usage |
| 130 | interrupted by Ctrl-C; runs go on |
| 1 | anything else |

With several files the exit code is that of the file that went worst. With `--json`, stdout has one JSON object a line
and nothing else; words go to stderr. `NO_COLOR=1` turns colours off; a pipe gets neither colours nor animation.

`python -m cli.reference` makes this page from the commands.
"""

FORMAT = """These go before the table's `CsvFormat` (docs/data-contract.md): they become the upload's S3 metadata
`rowferry-encoding` and so on.
"""


def page() -> str:
    parts = [HEAD, "## Options of every command\n", _table([_row(name, kind) for name, (kind, _) in OPTIONS.items()])]
    few = ", ".join(f"`--{name}`" for name in ON_THIS_MACHINE)
    names = ", ".join(f"`{command.__name__}`" for command in LOCAL_ONLY)
    parts.append(f"{names} have {few} only: they work on this machine.\n")
    parts += ["## How the files of `load` and `check` are written\n", FORMAT]
    parts.append(_table([_row(name, kind) for name, (kind, _) in FORMAT_OPTIONS.items()]))
    for topic, commands in TOPICS.items():
        parts.append(f"## {topic}\n")
        parts += [_section(command) for command in commands]
    return "\n".join(parts)


def _section(command: Any) -> str:
    words, _, examples = inspect.cleandoc(command.__doc__ or "").partition("Example")
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    shown = "```sh\n" + "\n".join(lines) + "\n```\n" if lines else ""
    hints = get_type_hints(command, include_extras=True)
    rows = [_row(name, kind) for name, kind in hints.items() if name not in ("context", "return")]
    return "\n".join([f"### rowferry {command.__name__}\n", words.strip() + "\n", shown, _table(rows)])


def _row(name: str, kind: Any) -> str:
    """A line of a table for an annotated parameter."""
    annotated = kind if hasattr(kind, "__metadata__") else Annotated[kind, None]
    info = get_args(annotated)[1]
    if isinstance(info, typer.models.ArgumentInfo):
        shown = f"`{info.metavar or name.upper()}`"
    else:
        given = [info.default, *(info.param_decls or ())]  # Typer keeps the first name where a default would be
        flags = [flag for flag in given if str(flag).startswith("-")] or [f"--{name.replace('_', '-')}"]
        shown = ", ".join(f"`{flag}`" for flag in flags) + (f" `{info.metavar}`" if info.metavar else "")
    return f"| {shown} | {re.sub('[|]', ',', info.help or '')} |"


def _table(rows: list[str]) -> str:
    return "\n".join(["| | |", "|---|---|", *rows, ""]) if rows else ""


if __name__ == "__main__":
    Path(PAGE).write_text(page(), encoding="utf-8")
