"""The types that a column can have, each with its rule for text from a CSV field.

A rule is a Pydantic schema: a fast choice that runs wholly in pydantic-core, and behind it one that is called only for
what the fast one did not take and gives the verdict in words. The verdict's code is the Pydantic error's `type`, its
text the error's `msg`, written to follow the column's name ("department_id" + " is empty").
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

INT_MAX = 2**31 - 1  # MySQL INT
BIGINT_MAX = 2**63 - 1  # MySQL BIGINT
DECIMAL_DIGITS = 18  # so many nines are the most that fit 64 bits
TEXT_MAX_BYTES = 65_535  # MySQL TEXT
UTF8_MAX_BYTES = 4  # of one character

VERDICT = "verdict"
"""Label of the choice whose error is the verdict: the last part but none of a Pydantic error's `loc`."""

_SHOWN = 60


class Kind(Protocol):
    """A column's type: its rule, its DDL, its normal form."""

    @property
    def ddl(self) -> str:
        """The type in CREATE TABLE, as MySQL's information_schema.columns.column_type spells it."""

    @property
    def avro(self) -> str:
        """The type in a backup: an Avro primitive or logical type (`avro.TYPES`)."""

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        """A column of accepted fields as text that MySQL reads without changing it."""

    def as_json(self, given: str, value: Any) -> str | int:
        """One accepted field as a JSON value."""

    def stored(self, value: Any) -> str:
        """A value that MySQL holds, in the form that `normalise` gives it."""


def shown(text: str) -> str:
    """A field as a message quotes it: at most 60 characters."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _with_verdict(fast: CoreSchema, verdict: core_schema.NoInfoValidatorFunction) -> CoreSchema:
    slow = core_schema.no_info_plain_validator_function(verdict)
    return core_schema.union_schema([(fast, "fast"), (slow, VERDICT)], mode="left_to_right")


def _missing_if_blank(text: str) -> None:
    if not text or text.isspace():
        raise PydanticCustomError("missing", "is empty")


def _text_only(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("text_expected", "must be text, as a CSV field is")
    return value


_DIGITS = " *-?[0-9]+ *"


@dataclass(frozen=True)
class Integer:
    """ASCII digits, a minus sign where `minimum` is below zero matters, spaces around and leading zeros allowed.

    An INT where that holds both limits, else a BIGINT. Raises: ValueError for limits that are none of 64 bits.
    """

    minimum: int = -INT_MAX - 1
    maximum: int = INT_MAX

    def __post_init__(self) -> None:
        if not -BIGINT_MAX - 1 <= self.minimum <= self.maximum <= BIGINT_MAX:
            raise ValueError(f"an Integer from {self.minimum} to {self.maximum} is none that 64 bits hold")

    @property
    def ddl(self) -> str:
        return "bigint" if self._is_wide else "int"

    @property
    def avro(self) -> str:
        return "long" if self._is_wide else "int"

    @property
    def _is_wide(self) -> bool:
        return self.minimum < -INT_MAX - 1 or self.maximum > INT_MAX

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fast = core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=f"^{_DIGITS}$", strict=True),
                core_schema.int_schema(ge=self.minimum, le=self.maximum),
            ]
        )
        return _with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> int:
        text = _text_only(value)
        _missing_if_blank(text)
        if not re.fullmatch(_DIGITS, text):
            raise PydanticCustomError("int_format", "{shown} is not a whole number in digits", {"shown": shown(text)})
        digits = text.strip(" -").lstrip("0") or "0"
        number = int(digits) * (-1 if "-" in text else 1) if len(digits) <= len(str(BIGINT_MAX)) else None
        if number is None or not self.minimum <= number <= self.maximum:
            context = {"shown": shown(text), "minimum": self.minimum, "maximum": self.maximum}
            raise PydanticCustomError("out_of_range", "{shown} is outside {minimum} to {maximum}", context)
        return number

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"A whole number from {self.minimum} to {self.maximum}, in digits"
        return {"type": "string", "pattern": f"^{_DIGITS}$", "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        joined = "\t".join(("", *given))
        return list(map(str, values)) if " " in joined or "-" in joined or "\t0" in joined else given

    def as_json(self, given: str, value: Any) -> str | int:
        return int(value)

    def stored(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class Decimal:
    """A minus sign, ASCII digits, perhaps a point with digits behind it; spaces around, needless zeros allowed.

    `precision` digits at most, `scale` of them behind the point. Its value is the text as given: no arithmetic is done.
    Raises: ValueError for more digits than 64 bits hold.
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        if not 1 <= self.precision <= DECIMAL_DIGITS:
            raise ValueError(f"a Decimal of {self.precision} digits; it takes 1 to {DECIMAL_DIGITS}")
        if not 0 <= self.scale <= self.precision:
            raise ValueError(f"a Decimal with {self.scale} of its {self.precision} digits behind the point")

    @property
    def ddl(self) -> str:
        return f"decimal({self.precision},{self.scale})"

    @property
    def avro(self) -> str:
        return self.ddl

    @cached_property
    def _fits(self) -> str:
        before = self.precision - self.scale
        whole = f"0*[0-9]{{1,{before}}}" if before else "0+"
        return f" *-?{whole}(\\.[0-9]{{1,{self.scale}}}0*)? *" if self.scale else f" *-?{whole}(\\.0+)? *"

    @cached_property
    def _limit(self) -> str:
        nines = "9" * self.precision
        return self._normal(f"{nines[self.scale :]}.{nines[: self.scale]}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _with_verdict(core_schema.str_schema(pattern=f"^{self._fits}$", strict=True), self._verdict)

    def _verdict(self, value: object) -> str:
        text = _text_only(value)
        _missing_if_blank(text)
        if not re.fullmatch(_DECIMAL, text):
            template = "{shown} is not a decimal number in digits"
            raise PydanticCustomError("decimal_format", template, {"shown": shown(text)})
        whole, _, fraction = text.strip(" -").partition(".")
        if len(fraction.rstrip("0")) > self.scale:
            template = "{shown} has more decimal places than {ddl}, which the column would round"
            raise PydanticCustomError("decimal_precision", template, {"shown": shown(text), "ddl": self.ddl})
        if len(whole.lstrip("0")) > self.precision - self.scale:
            context = {"shown": shown(text), "limit": self._limit}
            raise PydanticCustomError("out_of_range", "{shown} is outside -{limit} to {limit}", context)
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"A decimal number from -{self._limit} to {self._limit}, {self.scale} digits behind the point"
        return {"type": "string", "pattern": f"^{self._fits}$", "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return given if self._all_normal("\t".join((*given, ""))) else list(map(self._normal, given))

    @cached_property
    def _all_normal(self) -> Callable[[str], object]:
        fraction = f"\\.[0-9]{{{self.scale}}}" if self.scale else ""
        return re.compile(f"(?:(?:-(?=[0.]*[1-9]))?(?:0|[1-9][0-9]*){fraction}\t)*").fullmatch

    def _normal(self, given: str) -> str:
        whole, _, fraction = given.strip(" -").partition(".")
        text = whole.lstrip("0") or "0"
        if self.scale:
            text += f".{fraction[: self.scale]:0<{self.scale}}"
        return f"-{text}" if "-" in given and text.strip("0.") else text

    def as_json(self, given: str, value: Any) -> str | int:
        return self._normal(given)

    def stored(self, value: Any) -> str:
        return f"{value:f}"  # str would write 0.0000001 as 1E-7


_DECIMAL = r" *-?[0-9]+(\.[0-9]+)? *"

_NOT_BLANK = r"[^\s\x1c-\x1f]"  # by str.isspace, which counts four control characters that Rust's \s does not


@dataclass(frozen=True)
class Text:
    """Kept byte for byte; blank counts as missing; at most 65,535 bytes of UTF-8."""

    ddl = "text"
    avro = "string"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fits = TEXT_MAX_BYTES // UTF8_MAX_BYTES
        fast = core_schema.str_schema(pattern=_NOT_BLANK, max_length=fits, strict=True)
        return _with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> str:
        text = _text_only(value)
        _missing_if_blank(text)
        size = len(text.encode())
        if size > TEXT_MAX_BYTES:
            template = "is {size} bytes long; the column takes 65535"
            raise PydanticCustomError("too_long", template, {"size": size})
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = f"Text, not blank, of at most {TEXT_MAX_BYTES} bytes of UTF-8"
        return {"type": "string", "pattern": _NOT_BLANK, "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        joined = "".join(given)
        if "\\" in joined or "\t" in joined or "\n" in joined:
            return [text.translate(_ESCAPES) for text in given]
        return given

    def as_json(self, given: str, value: Any) -> str | int:
        return given

    def stored(self, value: Any) -> str:
        return str(value).translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})

_MOMENT = "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_WHOLE = f"{_MOMENT}(:[0-5][0-9](\\.0+)?)?{_ZONE}"
_FRACTION = re.compile(f"(?P<begin>{_MOMENT}:[0-5][0-9])\\.(?P<digits>[0-9]+)(?P<zone>{_ZONE})")

# MySQL TIMESTAMP: https://dev.mysql.com/doc/refman/8.4/en/datetime.html
TIMESTAMP_MIN = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
TIMESTAMP_MAX = dt.datetime(2038, 1, 19, 3, 14, 7, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Timestamp:
    """ISO 8601 date and time, `T` or a space between; an offset is converted to UTC, none means UTC."""

    ddl = "timestamp"
    avro = "timestamp-millis"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        fast = core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=f"^{_WHOLE}$", strict=True),
                core_schema.datetime_schema(ge=TIMESTAMP_MIN, le=TIMESTAMP_MAX),
            ]
        )
        return _with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> dt.datetime:
        text = _text_only(value)
        _missing_if_blank(text)
        fraction = _FRACTION.fullmatch(text)
        moment = _moment(fraction["begin"] + fraction["zone"] if fraction else text)
        if moment is None:
            template = "{shown} is not an ISO 8601 date and time"
            raise PydanticCustomError("datetime_format", template, {"shown": shown(text)})
        if fraction and fraction["digits"].strip("0"):
            template = "{shown} has a fraction of a second, which the column would round"
            raise PydanticCustomError("datetime_precision", template, {"shown": shown(text)})
        if not TIMESTAMP_MIN <= moment <= TIMESTAMP_MAX:
            template = "{shown} is outside 1970-01-01T00:00:01Z to 2038-01-19T03:14:07Z"
            raise PydanticCustomError("out_of_range", template, {"shown": shown(text)})
        return moment

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = "ISO 8601 date and time; without a zone it is UTC; no fraction of a second"
        return {"type": "string", "pattern": f"^{_WHOLE}$", "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        if set(map(len, given)) == {20}:  # of the accepted forms only 2021-11-07T02:48:42Z is so long
            return "\n".join(given).replace("T", " ").replace("Z", "").split("\n")
        return [_utc(value, " ") for value in values]

    def as_json(self, given: str, value: Any) -> str | int:
        return _utc(value, "T") + "Z"

    def stored(self, value: Any) -> str:
        return _utc(value, " ")


def _moment(text: str) -> dt.datetime | None:
    """The moment that a text in the accepted form names; None where there is no such form or day."""
    if not re.fullmatch(_WHOLE, text):
        return None
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:  # 30 February
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _in_utc(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _utc(value: dt.datetime, between: str) -> str:
    return _in_utc(value).replace(tzinfo=None).isoformat(between, "seconds")
