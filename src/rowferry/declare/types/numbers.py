"""Numbers: INT and BIGINT, DECIMAL, DOUBLE."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rowferry.declare.types.base import only_verdict, present_text, shown, with_verdict

INT_MAX = 2**31 - 1  # MySQL INT
BIGINT_MAX = 2**63 - 1  # MySQL BIGINT
DECIMAL_DIGITS = 65  # MySQL DECIMAL
DECIMAL_SCALE = 30

_DIGITS = " *-?[0-9]+(\\.0+)? *"


@dataclass(frozen=True)
class Integer:
    """ASCII digits, a minus sign where `minimum` is below zero matters, spaces around and leading zeros allowed.

    Also `12.0`, as programs write whole numbers that were floats once. An INT where that holds both limits, else a
    BIGINT. Raises: ValueError for limits that are none of 64 bits.
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
        return with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> int:
        text = present_text(value)
        if not re.fullmatch(_DIGITS, text):
            raise PydanticCustomError("int_format", "{shown} is not a whole number in digits", {"shown": shown(text)})
        digits = text.strip(" -").partition(".")[0].lstrip("0") or "0"
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
        odd = " " in joined or "-" in joined or "\t0" in joined or "." in joined
        return list(map(str, values)) if odd else given

    def as_json(self, given: str, value: Any) -> str | int | float:
        return int(value)

    def stored(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class Decimal:
    """A minus sign, ASCII digits, perhaps a point with digits behind it; spaces around, needless zeros allowed.

    `precision` digits at most, `scale` of them behind the point. Its value is the text as given: no arithmetic is done.
    Raises: ValueError for more digits than a DECIMAL has.
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        if not 1 <= self.precision <= DECIMAL_DIGITS:
            raise ValueError(f"a Decimal of {self.precision} digits; it takes 1 to {DECIMAL_DIGITS}")
        if not 0 <= self.scale <= min(self.precision, DECIMAL_SCALE):
            most = min(self.precision, DECIMAL_SCALE)
            raise ValueError(f"a Decimal with {self.scale} digits behind the point; it takes 0 to {most}")

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
        return with_verdict(core_schema.str_schema(pattern=f"^{self._fits}$", strict=True), self._verdict)

    def _verdict(self, value: object) -> str:
        text = present_text(value)
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

    def as_json(self, given: str, value: Any) -> str | int | float:
        return self._normal(given)

    def stored(self, value: Any) -> str:
        return f"{value:f}"  # str would write 0.0000001 as 1E-7


_DECIMAL = r" *-?[0-9]+(\.[0-9]+)? *"


_DOUBLE = r" *-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})? *"


@dataclass(frozen=True)
class Double:
    """Decimal or scientific, spaces around allowed; reads back as the same double. No NaN, no infinity.

    What is larger than any double, or nearer to zero than any, is out of range.
    """

    ddl = "double"
    avro = "double"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> float:
        text = present_text(value)
        if not re.fullmatch(_DOUBLE, text):
            raise PydanticCustomError("double_format", "{shown} is not a number in digits", {"shown": shown(text)})
        number = float(text)
        is_zero = not number and not re.split("[eE]", text)[0].strip(" -0.")
        if math.isinf(number) or (not number and not is_zero):
            context = {"shown": shown(text), "least": repr(math.ulp(0)), "most": repr(sys.float_info.max)}
            template = "{shown} is outside what a double holds: 0, and {least} to {most} with either sign"
            raise PydanticCustomError("out_of_range", template, context)
        return number

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = "A number in digits, decimal or scientific; no NaN, no infinity"
        return {"type": "string", "pattern": f"^{_DOUBLE}$", "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return list(map(repr, values))

    def as_json(self, given: str, value: Any) -> str | int | float:
        return float(value)

    def stored(self, value: Any) -> str:
        return repr(float(value))
