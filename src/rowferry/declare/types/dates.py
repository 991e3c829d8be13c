"""A day, and a time of day."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from rowferry.declare.types.base import only_verdict, present_text, shown
from rowferry.declare.types.moments import MOST_DIGITS, by_format, check_digits, check_format, check_fraction

DATE_MIN = dt.date(1000, 1, 1)  # MySQL DATE
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"


@dataclass(frozen=True)
class Date:
    """An ISO 8601 date, or one in the `format` of Python's strptime; spaces around allowed; the years 1000 to 9999.

    Raises: ValueError for a format that does not tell year, month and day.
    """

    format: str | None = None
    ddl = "date"
    avro = "date"

    def __post_init__(self) -> None:
        if self.format is not None:
            check_format(self.format, "%Y-%m-%d")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> dt.date:
        text = present_text(value)
        found = self._found(text)
        if found is None:
            words = f"a date as {self.format}" if self.format else "an ISO 8601 date"
            raise PydanticCustomError("date_format", "{shown} is not {words}", {"shown": shown(text), "words": words})
        if found < DATE_MIN:
            raise PydanticCustomError(
                "out_of_range", "{shown} is outside 1000-01-01 to 9999-12-31", {"shown": shown(text)}
            )
        return found

    def _found(self, text: str) -> dt.date | None:
        try:
            if self.format is not None:
                found, _ = by_format(text, self.format)
                return found.date() if found.time() == dt.time() else None
            return dt.date.fromisoformat(text.strip(" ")) if re.fullmatch(f" *{_DAY} *", text) else None
        except ValueError:
            return None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if self.format is not None:
            return {"type": "string", "pattern": r"[^\s]", "description": f"A date as {self.format}"}
        return {"type": "string", "pattern": f"^ *{_DAY} *$", "description": "An ISO 8601 date"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return [value.isoformat() for value in values]

    def as_json(self, given: str, value: Any) -> str | int | float:
        return str(value.isoformat())

    def stored(self, value: Any) -> str:
        return str(value.isoformat())


@dataclass(frozen=True)
class Time:
    """A time of day, `14:35`, `14:35:07` or with a fraction, or in the `format` of strptime; spaces around allowed.

    `fsp`: how many digits a second's fraction has. Raises: ValueError for a format that does not tell hour and minute.
    """

    fsp: int = 0
    format: str | None = None
    avro = "time-micros"

    def __post_init__(self) -> None:
        check_digits(self.fsp)
        if self.format is not None:
            check_format(self.format, "%H:%M")

    @property
    def ddl(self) -> str:
        return f"time({self.fsp})" if self.fsp else "time"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return only_verdict(self._verdict)

    def _verdict(self, value: object) -> dt.time:
        text = present_text(value)
        found = self._found(text)
        if found is None:
            words = f"a time as {self.format}" if self.format else "a time of day as 14:35:07"
            raise PydanticCustomError("time_format", "{shown} is not {words}", {"shown": shown(text), "words": words})
        time, digits = found
        check_fraction(text, digits, self.fsp, "time_precision")
        return time

    def _found(self, text: str) -> tuple[dt.time, str] | None:
        try:
            if self.format is not None:
                moment, digits = by_format(text, self.format)
                return (moment.time(), digits) if moment.tzinfo is None else None
        except ValueError:
            return None
        if not re.fullmatch(f" *{_TIME} *", text):
            return None
        whole, _, digits = text.strip(" ").partition(".")
        return dt.time.fromisoformat(whole).replace(
            microsecond=int(digits[:MOST_DIGITS].ljust(MOST_DIGITS, "0"))
        ), digits

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if self.format is not None:
            return {"type": "string", "pattern": r"[^\s]", "description": f"A time as {self.format}"}
        return {"type": "string", "pattern": f"^ *{_TIME} *$", "description": "A time of day as 14:35:07"}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        return list(map(self._text, values))

    def as_json(self, given: str, value: Any) -> str | int | float:
        return self._text(value)

    def stored(self, value: Any) -> str:
        """A TIME comes from PyMySQL as a timedelta; one that is no time of day stays as MySQL writes it."""
        if isinstance(value, dt.time):
            return self._text(value)
        micros = abs(value) // dt.timedelta(microseconds=1)
        seconds, micros = divmod(micros, 10**6)
        text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        sign = "-" if value < dt.timedelta() else ""
        return sign + text + (f".{micros:06}"[: self.fsp + 1] if self.fsp else "")

    def _text(self, value: dt.time) -> str:
        text = value.isoformat("microseconds" if self.fsp else "seconds")
        return text[: len(text) - MOST_DIGITS + self.fsp] if self.fsp else text
