"""Texts and words: TEXT, VARCHAR, one of some words, true or false."""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rowferry.declare.types.base import ESCAPES, escaped, only_verdict, present_text, shown, with_verdict

TEXT_MAX_BYTES = 65_535  # MySQL TEXT
UTF8_MAX_BYTES = 4  # of one character
VARCHAR_MAX = 16_383  # characters of four bytes in the 65,535 bytes of a row

_NOT_BLANK = r"[^\s\x1c-\x1f]"  # by str.isspace, which counts four control characters that Rust's \s does not


@dataclass(frozen=True)
class Text:
    """Kept byte for byte; blank counts as missing; at most 65,535 bytes of UTF-8."""

    ddl = "text"
    avro = "string"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fits = TEXT_MAX_BYTES // UTF8_MAX_BYTES
        fast = core_schema.str_schema(pattern=_NOT_BLANK, max_length=fits, strict=True)
        return with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
        size = len(text.encode())
        if size > TEXT_MAX_BYTES:
            template = "is {size} bytes long; the column takes 65535"
            raise PydanticCustomError("too_long", template, {"size": size})
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"Text, not blank, of at most {TEXT_MAX_BYTES} bytes of UTF-8"
        return {"type": "string", "pattern": _NOT_BLANK, "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return escaped(given)

    def as_json(self, given: str, value: Any) -> str | int | float:
        return given

    def stored(self, value: Any) -> str:
        return str(value).translate(ESCAPES)


@dataclass(frozen=True)
class Varchar:
    """Kept byte for byte; blank counts as missing; at most `length` characters, which are Unicode's code points.

    Raises: ValueError for a length that no VARCHAR has.
    """

    length: int
    avro = "string"

    def __post_init__(self) -> None:
        if not 1 <= self.length <= VARCHAR_MAX:
            raise ValueError(f"a Varchar of {self.length} characters; it takes 1 to {VARCHAR_MAX}")

    @property
    def ddl(self) -> str:
        return f"varchar({self.length})"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fast = core_schema.str_schema(pattern=_NOT_BLANK, max_length=self.length, strict=True)
        return with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
        if len(text) > self.length:
            context = {"size": len(text), "length": self.length}
            raise PydanticCustomError("too_long", "is {size} characters long; the column takes {length}", context)
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"Text, not blank, of at most {self.length} characters"
        return {"type": "string", "pattern": _NOT_BLANK, "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return escaped(given)

    def as_json(self, given: str, value: Any) -> str | int | float:
        return given

    def stored(self, value: Any) -> str:
        return str(value).translate(ESCAPES)


@dataclass(frozen=True)
class Choice:
    """One of the words of the field's Literal or Enum, byte for byte. `words` are found from those (`of`)."""

    words: tuple[str, ...] = ()
    avro = "string"

    def of(self, annotation: Any) -> "Choice":
        """With the words of a Literal or an Enum, also where None may stand beside it.

        Raises: ValueError for another type, or words that are no texts or too long.
        """
        words = _words(annotation)
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise ValueError("a Choice takes a Literal or an Enum of texts that are not blank")
        if max(map(len, words)) > VARCHAR_MAX:
            raise ValueError(f"a Choice has words of at most {VARCHAR_MAX} characters")
        return replace(self, words=words)

    @property
    def ddl(self) -> str:
        return f"varchar({max(map(len, self.words))})"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind = self if self.words else self.of(source)
        return with_verdict(core_schema.literal_schema(list(kind.words)), kind._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
        if text not in self.words:
            context = {"shown": shown(text), "words": ", ".join(self.words)}
            raise PydanticCustomError("choice", "{shown} is none of {words}", context)
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = self.words or schema["choices"][0][0]["expected"]
        pattern = f"^({'|'.join(map(re.escape, words))})$"
        return {"type": "string", "pattern": pattern, "description": f"One of {', '.join(words)}"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return escaped(given)

    def as_json(self, given: str, value: Any) -> str | int | float:
        return given

    def stored(self, value: Any) -> str:
        return str(value).translate(ESCAPES)


def _words(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.value for member in annotation)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return _words(parts[0]) if len(parts) == 1 else ()


_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


@dataclass(frozen=True)
class Boolean:
    """True or false by one of these words, in upper or lower case, spaces around allowed.

    Raises: ValueError where words are missing, blank or stand for both.
    """

    true: tuple[str, ...] = _TRUE
    false: tuple[str, ...] = _FALSE
    ddl = "tinyint(1)"
    avro = "boolean"

    def __post_init__(self) -> None:
        words = [*self.true, *self.false]
        if not (self.true and self.false) or not all(word.strip() for word in words):
            raise ValueError("a Boolean needs a word for true and one for false")
        if len(self._values) < len(words):
            raise ValueError("a Boolean has a word twice, as upper and lower case are the same")

    @cached_property
    def _values(self) -> Mapping[str, bool]:
        words = {word.strip(" ").casefold(): True for word in self.true}
        return {**words, **{word.strip(" ").casefold(): False for word in self.false}}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> bool:
        text = present_text(value)
        found = self._values.get(text.strip(" ").casefold())
        if found is None:
            context = {"shown": shown(text), "true": "/".join(self.true), "false": "/".join(self.false)}
            template = "{shown} is neither true ({true}) nor false ({false})"
            raise PydanticCustomError("boolean_format", template, context)
        return found

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"True ({', '.join(self.true)}) or false ({', '.join(self.false)}), in upper or lower case"
        each = ["".join(_either_case(letter) for letter in word) for word in (*self.true, *self.false)]
        return {"type": "string", "pattern": f"^ *({'|'.join(each)}) *$", "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return ["1" if value else "0" for value in values]

    def as_json(self, given: str, value: Any) -> str | int | float:
        return bool(value)

    def stored(self, value: Any) -> str:
        return str(int(value))


def _either_case(letter: str) -> str:
    lower, upper = letter.lower(), letter.upper()
    return re.escape(letter) if lower == upper else f"[{lower}{upper}]"
