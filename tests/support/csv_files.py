"""CSV texts for property tests, and what they mean: by Python's csv module, and by a slow reading letter by letter."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from rowferry.csvfile.dialect import DELIMITERS

Line = tuple[int, list[str]]
"""A record: the line it begins on, and its fields."""


def by_csv_module(text: str, delimiter: str) -> list[Line]:
    """Raises: csv.Error where the quoting is broken."""
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    found, line = [], 1
    for fields in reader:
        if any(fields):
            found.append((line, fields))
        line = reader.line_num + 1
    return found


class InDoubt(Exception):
    """Where records or lines end can't be told."""


def by_letters(text: str, delimiter: str) -> list[tuple[int, str, bool]]:
    """Each record's first line, its text, and whether its quoting is broken: the rules once more, as an automaton.

    Raises: InDoubt.
    """
    found: list[tuple[int, str, bool]] = []
    state, broken, begin, first_line, line = "start", False, 0, 1, 1
    for at, letter in enumerate(text):
        if letter == "\n":
            line += 1
            if state != "quoted":
                _end(found, text[begin:at], first_line, line - first_line, broken)
                state, broken, begin, first_line = "start", False, at + 1, line
            elif broken:
                raise InDoubt
            continue
        if letter == "\r" and state != "quoted" and text[at + 1 : at + 2] not in ("", "\n"):
            raise InDoubt
        before, state = state, _next(state, letter, delimiter)
        broken |= (before, state) == ("closed", "bare")
    if state == "quoted":
        raise InDoubt
    _end(found, text[begin:], first_line, line - first_line + 1, broken)
    return found


def _next(state: str, letter: str, delimiter: str) -> str:
    """`start` of a field, `bare` without quotes, `quoted` within them, `closed` just behind one that may close."""
    if letter == '"':
        return {"start": "quoted", "quoted": "closed", "closed": "quoted", "bare": "bare"}[state]
    if state == "quoted":
        return "quoted"
    if letter == delimiter:
        return "start"
    return "closed" if letter == "\r" and state == "closed" else "bare"


def _end(found: list[tuple[int, str, bool]], raw: str, line: int, lines: int, broken: bool) -> None:
    raw = raw.removesuffix("\r")
    if broken and lines > 1:
        raise InDoubt
    if not _EMPTY.fullmatch(raw):
        found.append((line, raw, broken))


_EMPTY = re.compile('(?:"")?(?:,(?:"")?)*')
"""A record of empty fields only."""

_LETTERS = st.sampled_from(['"', ",", ";", "\t", "|", " ", "a", "7", "\\", "é", "😀", "\u2028", "\x85"])
_FIELDS = st.lists(_LETTERS | st.sampled_from(["\n", "\r\n", "\r", '""', '",', "\n\n"]), max_size=6).map("".join)

SCRAPS = st.lists(
    st.sampled_from(['"', ",", "a", "\n", "\r\n", "\r", '"a"', '""', ',"', '",', '"\n']), max_size=30
).map("".join)
"""Texts that break every rule, under the delimiter `,`."""


@dataclass(frozen=True)
class CsvFile:
    text: str
    delimiter: str
    width: int


@st.composite
def csv_files(draw: st.DrawFn, names: Sequence[str] = ()) -> CsvFile:
    """Well-formed files. With names they have a header: these in any order and case, and `_` columns among them."""
    delimiter = draw(st.sampled_from(DELIMITERS))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    write = draw(st.sampled_from([_minimal, _all_quoted, _by_hand]))
    header = draw(headers(names)) if names else []
    width = len(header) or draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(_FIELDS, min_size=width, max_size=width), max_size=12))
    lines = [draw(write(row, delimiter)) for row in ([header] if header else []) + rows]
    blanks = st.sampled_from([0, 0, 0, 1, 3])
    text = "".join(end * draw(blanks) + line + end for line in lines) + end * draw(blanks)
    return CsvFile(text if draw(st.booleans()) else text.removesuffix(end), delimiter, width)


@st.composite
def headers(draw: st.DrawFn, names: Sequence[str]) -> list[str]:
    own = [draw(st.sampled_from([str.lower, str.upper, str.title]))(name) for name in names]
    extra = draw(st.lists(st.sampled_from(["_line", "_codes", "_x", "_"]), max_size=3))
    padding = st.sampled_from(["", "", " "])
    return [draw(padding) + name + draw(padding) for name in draw(st.permutations(own + extra))]


def _minimal(row: Sequence[str], delimiter: str) -> st.SearchStrategy[str]:
    """By the csv module, with quotes where it thinks that they must be; it overlooks carriage returns before 3.13."""
    return st.just(_written([field.replace("\r", "") for field in row], delimiter, csv.QUOTE_MINIMAL))


def _all_quoted(row: Sequence[str], delimiter: str) -> st.SearchStrategy[str]:
    return st.just(_written(row, delimiter, csv.QUOTE_ALL))


def _written(row: Sequence[str], delimiter: str, quoting: int) -> str:
    out = io.StringIO(newline="\n")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerow(row)  # type: ignore[arg-type]
    return out.getvalue().removesuffix("\n")


@st.composite
def _by_hand(draw: st.DrawFn, row: Sequence[str], delimiter: str) -> str:
    """Quoted or not as it falls, with stray quotes inside fields that stand without."""
    fields = []
    for field in row:
        must = field.lstrip(" \t").startswith('"') or any(letter in field for letter in (delimiter, "\n", "\r"))
        quoted = must or draw(st.booleans())
        fields.append('"' + field.replace('"', '""') + '"' if quoted else field)
    return delimiter.join(fields)
