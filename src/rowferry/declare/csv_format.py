"""What the CSV files of a table look like, where they are not as RFC 4180 and this project's defaults say."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ENCODINGS_TEXT = "a text encoding that Python knows, such as utf-8, cp1252, latin-1, cp932 or utf-16"
_SPECIAL = "\r\n\0"
_MARKS = ".,' \u00a0\u202f’_"
"""What may stand between thousands."""


@dataclass(frozen=True)
class CsvFormat:
    """One table's CSV files, or one file's.

    `delimiter` None: `,` `;` tab or `|`, found from the file. `quote` None: no field is quoted. `escape`: the character
    before a character that is meant as itself. `header` None: looked for, False: the files have none, True: they must
    have one. `names`: a file's name of a column -> the table's. `extra`: what becomes of a header's columns that the
    table does not have. `nulls`: fields that stand for NULL. `decimal`, `thousands`: how numbers are written. `trim`:
    blanks at a field's ends are no part of it. `skip_lines`: so many lines stand before the header or first record.

    Raises: ValueError, in words, for what can't be.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    quote: str | None = '"'
    escape: str | None = None
    header: bool | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    extra: Literal["refuse", "ignore"] = "refuse"
    nulls: tuple[str, ...] = ("",)
    decimal: str = "."
    thousands: str | None = None
    trim: bool = False
    skip_lines: int = 0

    def __post_init__(self) -> None:
        problems = [*_encoding(self.encoding), *self._characters(), *self._header(), *self._values()]
        if problems:
            raise ValueError("; ".join(problems))

    def _characters(self) -> list[str]:
        found = []
        for name, given in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escape)):
            if given is not None and (len(given) != 1 or not given.isascii()):
                found.append(f"{name} is {given!r}; it must be one ASCII character")
            elif given is not None and given in _SPECIAL:
                found.append(f"{name} is {given!r}; a line end or NUL can't be one")
        used = [given for given in (self.delimiter, self.quote) if given is not None]
        if len(set(used)) < len(used):
            found.append(f"delimiter and quote are both {self.quote!r}; they must differ")
        if self.escape is not None and self.escape in (self.delimiter, self.quote):
            found.append(f"escape is {self.escape!r}, as is the delimiter or the quote; they must differ")
        return found

    def _header(self) -> list[str]:
        found = []
        if self.header not in (None, True, False):
            found.append(f"header is {self.header!r}; it must be None, True or False")
        if self.extra not in ("refuse", "ignore"):
            found.append(f"extra is {self.extra!r}; it must be 'refuse' or 'ignore'")
        if not _is_a(self.skip_lines, int) or not 0 <= self.skip_lines <= 100:
            found.append(f"skip_lines is {self.skip_lines!r}; it must be a whole number from 0 to 100")
        folded = [name.strip().casefold() for name in self.names]
        if twice := sorted({name for name in folded if folded.count(name) > 1}):
            found.append(
                f"names has {', '.join(map(repr, twice))} more than once, as upper and lower case are the same"
            )
        return found

    def _values(self) -> list[str]:
        found = []
        if not _is_a(self.nulls, tuple) or not all(_is_a(word, str) for word in self.nulls):
            found.append(f"nulls is {self.nulls!r}; it must be a tuple of texts")
        if self.decimal not in (".", ","):
            found.append(f"decimal is {self.decimal!r}; it must be '.' or ','")
        if self.thousands is not None and (len(self.thousands) != 1 or self.thousands not in _MARKS):
            found.append(f"thousands is {self.thousands!r}; it must be one of . , ' _ or a space")
        if self.thousands == self.decimal:
            found.append(f"decimal and thousands are both {self.decimal!r}; they must differ")
        if not _is_a(self.trim, bool):
            found.append(f"trim is {self.trim!r}; it must be True or False")
        return found


def _encoding(name: str) -> list[str]:
    try:
        known = codecs.lookup(name)
        text = "\n".encode(known.name).decode(known.name) == "\n"
    except (LookupError, TypeError, ValueError, AttributeError):
        text = False
    return [] if text else [f"encoding is {name!r}; it must be {ENCODINGS_TEXT}"]


def _is_a(given: Any, kind: type) -> bool:
    return type(given) is kind
