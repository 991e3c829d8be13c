"""A file in a declared format made into UTF-8 with quotes by RFC 4180, block by block, on the same lines."""

import codecs
import re
from collections.abc import Iterable, Iterator

from rowferry.csvfile.records import CHUNK_BYTES
from rowferry.csvfile.text import Place
from rowferry.declare.csv_format import CsvFormat
from rowferry.errors import Refused

_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "Z": "\x1a"}
"""What a letter behind an escape stands for, in the dumps of databases, which quote no field."""


def utf16_of(head: bytes) -> str | None:
    """The encoding that a byte order mark of two bytes names."""
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def is_as_rfc_4180(given: CsvFormat) -> bool:
    """Whether its fields are quoted as the splitter reads them."""
    return (given.quote, given.escape) == ('"', None)


def decoded(blocks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The text of bytes.

    Raises: Refused where they are not in the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    at, last = Place(0, 1, 0), b""
    try:
        for last in blocks:
            if text := decoder.decode(last):
                yield text
            at = at.behind(last)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        wrong = error.object[error.start : error.start + 1]
        where = at.behind(last[: error.start])
        words = f"line {where.line}: byte 0x{wrong.hex().upper()}, about byte {where.byte} of the file"
        raise Refused(
            "not_utf8", f"{words}, is not {encoding}; declare the encoding that the file has, or save it as UTF-8"
        ) from None


def requoted(texts: Iterable[str], given: CsvFormat, delimiter: str) -> Iterator[bytes]:
    """Texts with the format's quotes and escapes, as RFC 4180 has them."""
    reader = _Reader(given, delimiter)
    rest = ""
    for text in texts:
        text = rest + text
        end = text.rfind("\n") + 1
        rest = text[end:]
        if end:
            yield reader.read(text[:end]).encode()
    yield (reader.read(rest) + reader.end()).encode()


class _Reader:
    """Follows fields through lines; knows no more than the record that is under way."""

    def __init__(self, given: CsvFormat, delimiter: str) -> None:
        special = "".join(map(re.escape, filter(None, (given.quote, given.escape, delimiter))))
        self._tokens = re.compile(rf"(?s){_escaped(given)}\r?\n|[{special}]|[^{special}\r\n]+|\r")
        self._quote, self._escape, self._delimiter = given.quote, given.escape, delimiter
        self._nulls = frozenset(given.nulls)
        self._must_quote = re.compile(rf'["\r\n\ufeff{re.escape(delimiter)}]')
        self._field, self._raw = list[str](), list[str]()
        self._inside = self._was_quoted = False
        self._line = 1

    def read(self, text: str) -> str:
        out = list[str]()
        tokens = self._tokens.findall(text)
        for place, token in enumerate(tokens):
            if self._inside:
                self._take_inside(token, tokens[place + 1] if place + 1 < len(tokens) else "")
            elif token in (self._delimiter, "\n", "\r\n"):
                out += (self._end_field(), token)
            elif token == self._quote and not self._raw:
                self._inside = self._was_quoted = True
                self._raw.append(token)
            else:
                self._add(token)
        if len(self._field) > CHUNK_BYTES:
            raise Refused("record_too_long", f"a field of more than {CHUNK_BYTES} bytes")
        return "".join(out)

    def end(self) -> str:
        """What is left at the file's end."""
        if self._inside:
            raise Refused("open_quote", "the last quoted field of the file never ends")
        return self._end_field() if self._raw else ""

    def _take_inside(self, token: str, after: str) -> None:
        if token == self._quote and self._field[-1:] == ["\0"]:
            self._field[-1] = token  # the second of two quotes
        elif token == self._quote and after == self._quote:
            self._field.append("\0")
        elif token == self._quote:
            self._inside = False
        else:
            self._add(token)

    def _add(self, token: str) -> None:
        self._raw.append(token)
        if self._escape and len(token) > 1 and token[0] == self._escape:
            letter = token[1:]
            token = _LETTERS.get(letter, letter) if self._quote is None and self._escape == "\\" else letter
        self._field.append(token)

    def _end_field(self) -> str:
        raw, field, quoted = "".join(self._raw), "".join(self._field), self._was_quoted
        self._raw, self._field, self._was_quoted = [], [], False
        if not quoted and raw in self._nulls:
            return ""
        if self._must_quote.search(field) or field[:1] in (" ", "\t"):
            return '"' + field.replace('"', '""') + '"'
        return field


def _escaped(given: CsvFormat) -> str:
    return rf"{re.escape(given.escape)}(?:\r\n|.)|" if given.escape else ""
