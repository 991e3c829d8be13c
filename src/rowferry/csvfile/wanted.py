"""The format of one file: what its table's class declares, and before that what its upload's S3 metadata says."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from pydantic import TypeAdapter

from rowferry.declare.csv_format import CsvFormat
from rowferry.errors import Refused

CSV_FORMAT = TypeAdapter(CsvFormat)

_PREFIX = "rowferry-"
_NO_FORMAT = {"run"}
"""Metadata that Rowferry itself gives to copies: uploading such a copy again is no mistake."""


def with_metadata(given: CsvFormat, metadata: Mapping[str, str]) -> CsvFormat:
    """The format with what an upload's metadata says of it: `rowferry-encoding`, `rowferry-skip-lines` and so on.

    Raises: Refused.
    """
    told = {
        name.lower().removeprefix(_PREFIX).replace("-", "_"): text
        for name, text in metadata.items()
        if name.lower().startswith(_PREFIX)
    }
    known = {field.name for field in fields(CsvFormat)}
    if unknown := sorted(set(told) - known - _NO_FORMAT):
        words = f"the upload's metadata {', '.join(_PREFIX + name for name in unknown)} is unknown"
        raise Refused("format", f"{words}; it may have {', '.join(_PREFIX + name for name in sorted(known))}")
    changes = {name: _value(name, text) for name, text in told.items() if name in known}
    try:
        return replace(given, **changes)
    except ValueError as error:
        raise Refused("format", f"the upload's metadata can't be taken: {error}") from None


def _value(name: str, text: str) -> Any:
    try:
        return _READERS.get(name, _character)(text)
    except (ValueError, KeyError):
        words = f"the upload's metadata {_PREFIX}{name} is {text!r}"
        raise Refused("format", f"{words}; it must be {_FORMS.get(name, 'one character, or none')}") from None


def _character(text: str) -> str | None:
    return None if text.lower() == "none" else {"\\t": "\t", "tab": "\t", "space": " "}.get(text, text)


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _header(text: str) -> bool | None:
    return None if text.lower() == "none" else _truth(text)


def _nulls(text: str) -> tuple[str, ...]:
    """A JSON array, or the words with commas between."""
    return tuple(TypeAdapter(list[str]).validate_json(text)) if text.startswith("[") else tuple(text.split(","))


def _names(text: str) -> dict[str, str]:
    if not text.startswith("{"):
        return dict(pair.split("=", 1) for pair in text.split(","))
    return TypeAdapter(dict[str, str]).validate_python(json.loads(text))


_READERS: Mapping[str, Callable[[str], Any]] = {
    "encoding": str,
    "decimal": str,
    "extra": str,
    "header": _header,
    "names": _names,
    "nulls": _nulls,
    "skip_lines": int,
    "trim": _truth,
}
_FORMS = {
    "header": "true, false or none",
    "names": 'JSON such as {"Nr": "id"}, or Nr=id,Name=name',
    "nulls": 'JSON such as ["", "NULL"], or words with commas between',
    "skip_lines": "a whole number",
    "trim": "true or false",
}
