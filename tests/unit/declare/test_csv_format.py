"""What a CsvFormat may say, and in which words it refuses the rest."""

import re
from typing import Any

import pytest

from rowferry.declare.csv_format import CsvFormat


def test_the_default_is_rfc_4180() -> None:
    assert CsvFormat() == CsvFormat("utf-8", None, '"', None, None, {}, "refuse", ("",), ".", None, False, 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"encoding": "klingon"}, "encoding is 'klingon'"),
        ({"encoding": "rot13"}, "encoding is 'rot13'"),
        ({"delimiter": ";;"}, "delimiter is ';;'; it must be one ASCII character"),
        ({"delimiter": "\n"}, "a line end or NUL"),
        ({"delimiter": '"'}, "delimiter and quote are both"),
        ({"escape": '"'}, "escape is '\"', as is the delimiter or the quote"),
        ({"header": "maybe"}, "header is 'maybe'"),
        ({"extra": "keep"}, "extra is 'keep'; it must be 'refuse' or 'ignore'"),
        ({"nulls": "NULL"}, "nulls is 'NULL'; it must be a tuple of texts"),
        ({"decimal": ";"}, "decimal is ';'; it must be '.' or ','"),
        ({"thousands": "."}, "decimal and thousands are both '.'"),
        ({"thousands": "x"}, "thousands is 'x'"),
        ({"trim": 1}, "trim is 1; it must be True or False"),
        ({"skip_lines": -1}, "skip_lines is -1"),
        ({"names": {"Nr": "id", "nr": "id"}}, "names has 'nr' more than once"),
    ],
)
def test_what_can_not_be_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        CsvFormat(**given)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"decimal is 'x'.*; trim is 1"):
        CsvFormat(trim=1, decimal="x")  # type: ignore[arg-type]
