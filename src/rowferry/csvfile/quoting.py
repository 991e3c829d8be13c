"""Quotes followed through a file's lines: where records end, and where that is in doubt."""

import re
from functools import cache

MARK = b"\xef\xbb\xbf"
"""A byte order mark, which belongs to no value where a record begins with it."""


class Quoting:
    """Follows quotes through a file's lines, one `read` each; `inside` says whether a quoted field is still open.

    Text behind a closing quote breaks a record. On one line it spoils that record alone; in a record of several lines
    the quote that opened or closed may have been a slip, so where records end can't be told: `doubtful` turns true.
    `stray_return` turns true at a carriage return outside quotes that ends no line.
    """

    def __init__(self, delimiter: bytes) -> None:
        self.inside = False
        self.doubtful = False
        self.stray_return = False
        self._broken = False
        self._delimiter = delimiter

    def read(self, line: bytes) -> None:
        """One line, without its line feed."""
        continued = self.inside
        self._broken &= continued
        if not continued:
            line = line.removeprefix(MARK)
        at = 0 if continued else self._behind_opening(line, 0)
        while at >= 0:
            after = _behind_closing(line, at)
            self.inside = after < 0
            if self.inside:
                break
            rest = line[after : after + 2]
            self._broken |= rest not in (b"", b"\r") and not rest.startswith(self._delimiter)
            at = self._behind_opening(line, after)
        self.doubtful |= self._broken and (continued or self.inside)

    def _behind_opening(self, line: bytes, at: int) -> int:
        """Just behind the next quote that opens a field, or -1."""
        if at == 0 and line.startswith(b'"'):
            return 1
        found = line.find(self._delimiter + b'"', at)
        end = found if found >= 0 else len(line) - line.endswith(b"\r")
        self.stray_return |= line.find(b"\r", at, end) >= 0
        return found + 2 if found >= 0 else -1


def _behind_closing(line: bytes, at: int) -> int:
    """Just behind the quote that closes the field open at `at`, or -1."""
    while (at := line.find(b'"', at)) >= 0:
        if line[at + 1 : at + 2] != b'"':
            return at + 1
        at += 2
    return -1


def quotes_close(delimiter: bytes) -> re.Pattern[bytes]:
    """Matches whole lines if no quoted field runs on behind its line's end; by `Quoting`'s rules, many lines at once.

    A quote opens a field at a line's start or behind a delimiter, and is a character like any other elsewhere. There is
    one way at most to match a text, so possessive quantifiers would change nothing; early Python 3.11 has them wrong.
    """
    elsewhere = rb"[^%s\n]" % re.escape(delimiter)
    field = rb'[^"\n]*"(?:"[^"\n]*")*(?!")'  # behind the quote that opens it
    return re.compile(rb'(?:[^"]*"(?:(?<!%b")%b|(?<=%b")))*[^"]*' % (elsewhere, field, elsewhere))


@cache
def blank_before_quote(delimiter: str) -> re.Pattern[str]:
    """Finds blanks before a quote that would open a field; in a text with quoted fields also what only looks so."""
    return re.compile(rf'(?:^|[{re.escape(delimiter)}\n])[ \t]+"')


@cache
def quoted_fields(delimiter: str) -> re.Pattern[str]:
    """Matches the quoted fields of a record, each with what stands before it."""
    return re.compile(rf'(^|{re.escape(delimiter)})"(?:[^"]|"")*"')
