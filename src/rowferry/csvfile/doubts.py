"""What speaks against reading a file as it looks: rows within quotes, escapes, a header in another order."""

import csv
import re
from collections.abc import Sequence

from rowferry.csvfile.dialect import IGNORED, Shape, is_text
from rowferry.csvfile.quoting import MARK
from rowferry.declare.types import shown
from rowferry.errors import Refused

_ENDS_IN_BACKSLASH = re.compile(rb"(?:^|[^\\])(?:\\\\)*\\\r?$")


Line = tuple[int, bytes]
"""A line's number, and the line without its line feed."""


class Doubts:
    """Looks at a file's records, in their order, and refuses the file where one shows that it is misread."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._delimiter = shape.dialect.delimiter
        self._all_text = all(map(is_text, shape.table.columns))
        self._escaped = 0
        names = {*shape.table.names, *shape.dialect.format.names, *shape.dialect.header}
        words = b"|".join(sorted(re.escape(name.encode()) for name in names if name))
        pattern = rb'\n(?:%s)?["\t ]*(?:%s)["\t ]*(?:%s|\r?\n)' % (MARK, words, re.escape(self._delimiter.encode()))
        self._header_like = re.compile(pattern, re.IGNORECASE)

    def needs_care(self, text: bytes) -> bool:
        """Whether whole lines have to be looked at one by one."""
        return self._escaped > 0 or b"\\\n" in text or b"\\\r\n" in text

    def look_at_lines(self, text: bytes, first_line: int) -> None:
        """Of whole lines, each a record.

        Raises: Refused where one of them is a header with another order of columns.
        """
        text = b"\n" + text
        for found in self._header_like.finditer(text):
            line = text[found.start() + 1 : text.find(b"\n", found.start() + 1)]
            self._look_for_header(line, first_line + text.count(b"\n", 0, found.start()))

    def look_at_record(self, lines: Sequence[Line]) -> None:
        """Of one record, its first line, its last, and those between them that have a delimiter.

        Raises: Refused.
        """
        first_line, last = lines[0][0], lines[-1]
        if len(lines) > 1:
            self._look_for_rows(lines)
        else:
            self.look_at_lines(last[1] + b"\n", first_line)
            self._look_for_escapes(last[1], first_line)
        self._escaped = last[0] if _ENDS_IN_BACKSLASH.search(last[1]) else 0

    def _look_for_escapes(self, line: bytes, number: int) -> None:
        if not self._escaped or len(self._fields(line) or ()) >= self._shape.width:
            return
        raise Refused(
            "doubtful_escape",
            f"line {self._escaped}: the record ends in a backslash and line {number} has too few fields, so the"
            " backslash seems to escape the line end, as MySQL's INTO OUTFILE writes it. Declare the format, as"
            r' CsvFormat(delimiter="\t", quote=None, escape="\\", nulls=("\\N",)), or export the rows as CSV',
        )

    def _look_for_header(self, line: bytes, number: int) -> None:
        fields = self._fields(line)
        columns = self._shape.dialect.columns or self._shape.table.names
        if fields is None or not self._shape.is_header(fields) or self._shape.named(fields) == columns:
            return
        raise Refused(
            "header",
            f"line {number}: a header stands here, {shown(self._delimiter.join(fields))}, whose columns have another"
            f" order than those of the lines before it ({', '.join(name or IGNORED for name in columns)}); cut the file"
            " before this line and upload both parts",
        )

    def _look_for_rows(self, lines: Sequence[Line]) -> None:
        first, last = lines[0][0], lines[-1][0]
        if rows := [number for number, line in lines[1:] if self._is_row(line)]:
            which = f"lines {rows[0]} to {rows[-1]} are rows" if len(rows) > 1 else f"line {rows[0]} is a row"
            raise Refused(
                "doubtful_quote",
                f"line {first}: a quoted field begins in this record and ends on line {last}, but {which} by"
                " themselves: one of the quotes is a slip. Write a quote that is part of a quoted field as two quotes",
            )

    def _is_row(self, line: bytes) -> bool:
        least = self._shape.width - 1
        if not least or line.count(self._delimiter.encode()) < least:
            return False
        fields = self._fields(line)
        prose = self._all_text or b'"' in line
        if fields is None or (prose and any(field.startswith(" ") for field in fields)):
            return False
        return self._shape.is_row(fields)

    def _fields(self, line: bytes) -> list[str] | None:
        text = line.removeprefix(MARK).decode().removesuffix("\r")
        try:
            return next(csv.reader([text], delimiter=self._delimiter, strict=True), [])
        except csv.Error:
            return None
