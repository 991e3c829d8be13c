"""Values that are written as text in some encoding: UUID, JSON, bytes."""

import base64
import binascii
import json
import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from rowferry.declare.types.base import ESCAPES, escaped, only_verdict, present_text, shown

_UUID = (
    r" *(urn:uuid:)?(\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\{[0-9a-fA-F]{32}\}|[0-9a-fA-F]{32}) *"
)


@dataclass(frozen=True)
class Uuid:
    """Any spelling of a UUID: in either case, without hyphens, in braces, behind `urn:uuid:`; kept in the usual one."""

    ddl = "char(36)"
    avro = "uuid"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
        if not re.fullmatch(_UUID, text):
            raise PydanticCustomError("uuid_format", "{shown} is not a UUID", {"shown": shown(text)})
        return str(uuid.UUID(text.strip(" ")))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_UUID}$", "description": "A UUID in any spelling"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return values

    def as_json(self, given: str, value: Any) -> str | int | float:
        return str(value)

    def stored(self, value: Any) -> str:
        return str(value)


JSON_DEPTH = 100  # the most that MySQL takes
_INTEGERS = range(-(2**63), 2**64)  # MySQL would make a double of others


@dataclass(frozen=True)
class Json:
    """Valid JSON; MySQL keeps its meaning, not its spaces, its order of keys or a key that is there twice.

    The normal form has no spaces and sorted keys. Whole numbers beyond 64 bits, which MySQL would round, are out of
    range.
    """

    ddl = "json"
    avro = "string"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
        try:
            found = json.loads(text, parse_constant=_no_constant)
            normal = _one_form(found)
            normal.encode()  # half a surrogate pair is no character
        except (ValueError, RecursionError):
            raise PydanticCustomError("json_format", "{shown} is not valid JSON", {"shown": shown(text)}) from None
        if _depth(found) > JSON_DEPTH:
            context = {"shown": shown(text), "depth": JSON_DEPTH}
            raise PydanticCustomError("json_depth", "{shown} has more than {depth} levels", context)
        if not _numbers_fit(found):
            template = "{shown} has a number that MySQL's JSON does not hold exactly"
            raise PydanticCustomError("out_of_range", template, {"shown": shown(text)})
        return normal

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"[^\s]", "description": "JSON, as text"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return escaped(values)

    def as_json(self, given: str, value: Any) -> str | int | float:
        return str(value)

    def stored(self, value: Any) -> str:
        return _one_form(json.loads(value)).translate(ESCAPES)


def _one_form(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: Any) -> int:
    """A scalar has one level."""
    level, depth = [value], 0
    while level:
        depth += 1
        level = [inner for outer in level for inner in _inner(outer)]
    return depth


def _inner(value: Any) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


def _numbers_fit(value: Any) -> bool:
    level = [value]
    while level:
        for found in level:
            if isinstance(found, float) and not math.isfinite(found):
                return False
            if isinstance(found, int) and found not in _INTEGERS:
                return False
        level = [inner for outer in level for inner in _inner(outer)]
    return True


VARBINARY_MAX = 65_000  # of the 65,535 bytes of a row


@dataclass(frozen=True)
class Binary:
    """At most `length` bytes, written in hex digits (perhaps behind `0x` or `\\x`) or in base64.

    Raises: ValueError for a length that no VARBINARY has, or another encoding.
    """

    length: int
    encoding: Literal["hex", "base64"] = "hex"
    avro = "bytes"

    def __post_init__(self) -> None:
        if not 1 <= self.length <= VARBINARY_MAX:
            raise ValueError(f"a Binary of {self.length} bytes; it takes 1 to {VARBINARY_MAX}")
        if self.encoding not in ("hex", "base64"):
            raise ValueError(f"a Binary is written in hex or base64, not {self.encoding!r}")

    @property
    def ddl(self) -> str:
        return f"varbinary({self.length})"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> bytes:
        text = present_text(value)
        found = self._decoded(text.strip(" "))
        if found is None:
            context = {"shown": shown(text), "encoding": self.encoding}
            raise PydanticCustomError("binary_format", "{shown} is not bytes in {encoding}", context)
        if len(found) > self.length:
            sizes = {"size": len(found), "length": self.length}
            raise PydanticCustomError("too_long", "is {size} bytes long; the column takes {length}", sizes)
        return found

    def _decoded(self, text: str) -> bytes | None:
        if self.encoding == "hex":
            digits = re.sub(r"^(0x|\\x)", "", text)
            return bytes.fromhex(digits) if re.fullmatch("([0-9a-fA-F]{2})+", digits) else None
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pattern = r"^ *(0x|\\x)?([0-9a-fA-F]{2})+ *$" if self.encoding == "hex" else "^ *[0-9a-zA-Z+/]+=* *$"
        return {"type": "string", "pattern": pattern, "description": f"At most {self.length} bytes in {self.encoding}"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return [value.hex() for value in values]

    def as_json(self, given: str, value: Any) -> str | int | float:
        return base64.b64encode(value).decode() if self.encoding == "base64" else str(value.hex())

    def stored(self, value: Any) -> str:
        return bytes(value).hex()
