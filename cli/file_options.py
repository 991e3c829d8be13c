"""Options that say how a file is written.

They become the upload's S3 metadata, `rowferry-encoding` and so on, which goes before the CsvFormat of the table.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cli.output import USAGE, CommandError

_PANEL = "How the files are written (default: as the table's CsvFormat says)"


def _text(words: str, metavar: str = "TEXT") -> Any:
    return Annotated[str | None, typer.Option(metavar=metavar, help=words, rich_help_panel=_PANEL)]


FORMAT_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "encoding": (_text("Such as utf-8, cp1252, utf-16.", "NAME"), None),
    "delimiter": (_text("The character between fields; `tab` for a tabulator.", "CHAR"), None),
    "quote": (_text("The character around fields; `none` for none.", "CHAR"), None),
    "escape": (_text("The character before a character that is no end of a field.", "CHAR"), None),
    "header": (
        Annotated[
            bool | None,
            typer.Option("--header/--no-header", help="Whether the first record has names.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "null": (
        Annotated[
            list[str] | None,
            typer.Option("--null", metavar="WORD", help="A word for NULL. May be repeated.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "decimal": (_text("The decimal sign.", "CHAR"), None),
    "thousands": (_text("The sign between thousands.", "CHAR"), None),
    "trim": (
        Annotated[bool, typer.Option("--trim", help="Remove spaces around fields.", rich_help_panel=_PANEL)],
        False,
    ),
    "skip_lines": (
        Annotated[
            int | None,
            typer.Option(min=0, metavar="N", help="Lines before the header.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "name": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--name",
                metavar="FILE=COLUMN",
                help="The file's name of a column. May be repeated.",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "extra": (_text("Columns that the table does not have: refuse or ignore.", "WHAT"), None),
}


def metadata_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The S3 metadata for these options. Raises: CommandError."""
    told = {name: given.get(name) for name in ("encoding", "delimiter", "quote", "escape", "decimal", "thousands")}
    told["extra"] = given.get("extra")
    told["header"] = None if given.get("header") is None else str(given["header"]).lower()
    told["nulls"] = json.dumps(list(given["null"])) if given.get("null") else None
    told["names"] = json.dumps(_names(given["name"])) if given.get("name") else None
    told["trim"] = "true" if given.get("trim") else None
    told["skip-lines"] = None if given.get("skip_lines") is None else str(given["skip_lines"])
    found = {f"rowferry-{name}": _spelt(value) for name, value in told.items() if value is not None}
    for name, value in found.items():
        if not value.isascii():
            raise CommandError(
                f"--{name.removeprefix('rowferry-')}: only ASCII can be sent; declare it in tables.py", USAGE
            )
    return found


def _spelt(value: str) -> str:
    return {"\t": "tab", " ": "space"}.get(value, value)


def _names(pairs: Sequence[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise CommandError(f"--name {wrong[0]}: it must be FILE=COLUMN, such as Nr=id", USAGE)
    return dict(pair.split("=", 1) for pair in pairs)
