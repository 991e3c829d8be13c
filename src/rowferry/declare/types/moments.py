"""Moments: TIMESTAMP and DATETIME, both in UTC."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rowferry.declare.types.base import only_verdict, present_text, shown, with_verdict

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = f"{_DAY}[T ]([01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
_NAMED = "( ?Z| UTC| GMT)"
_ALL = f" *{_MOMENT}(:[0-5][0-9](\\.[0-9]+)?)?({_ZONE}|{_NAMED})? *"
_PARTS = re.compile(f"(?P<begin>{_MOMENT}(:[0-5][0-9])?)(\\.(?P<digits>[0-9]+))?(?P<zone>{_ZONE})?")

# https://dev.mysql.com/doc/refman/8.4/en/datetime.html
TIMESTAMP_MIN = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
TIMESTAMP_MAX = dt.datetime(2038, 1, 19, 3, 14, 7, tzinfo=dt.UTC)
DATETIME_MIN = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)
DATETIME_MAX = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
MOST_DIGITS = 6
"""Of a second's fraction."""


@dataclass(frozen=True)
class _Moment:
    """ISO 8601 date and time, `T` or a space between, or in the `format` of Python's strptime; spaces around allowed.

    An offset, `Z`, ` UTC` or ` GMT` is converted to UTC; where there is none, `zone` names the time zone, UTC if it is
    not given. `fsp`: how many digits a second's fraction has. `date_only`: a date alone is its midnight.

    Raises: ValueError, in words, for what can't be.
    """

    fsp: int = 0
    format: str | None = None
    zone: str | None = None
    date_only: bool = False

    def __post_init__(self) -> None:
        check_digits(self.fsp)
        if self.format is not None:
            check_format(self.format, "%Y-%m-%d")
        if self.zone is not None:
            try:
                zoneinfo.ZoneInfo(self.zone)
            except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
                raise ValueError(f"there is no time zone {self.zone!r}; one is Europe/Berlin") from None

    def _column(self) -> tuple[str, dt.datetime, dt.datetime]:
        """The column's type, its first and its last whole second."""
        raise NotImplementedError

    @property
    def ddl(self) -> str:
        name = self._column()[0]
        return f"{name}({self.fsp})" if self.fsp else name

    @cached_property
    def _ends(self) -> tuple[dt.datetime, dt.datetime]:
        _, first, last = self._column()
        return first, last.replace(microsecond=10**6 - 10 ** (MOST_DIGITS - self.fsp))

    @cached_property
    def _whole(self) -> str:
        """The pattern of the fast choice."""
        fraction = f"\\.[0-9]{{1,{self.fsp}}}0*" if self.fsp else "\\.0+"
        return f"{_MOMENT}(:[0-5][0-9]({fraction})?)?{_ZONE}{'' if self.zone else '?'}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if self.format is not None:
            return only_verdict(self._verdict)
        first, last = self._ends
        fast = core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=f"^{self._whole}$", strict=True),
                core_schema.datetime_schema(ge=first, le=last),
            ]
        )
        return with_verdict(fast, self._verdict)

    def _verdict(self, value: object) -> dt.datetime:
        text = present_text(value)
        moment: dt.datetime | None = None
        digits = ""
        try:
            found, digits = by_format(text, self.format) if self.format else self._by_iso(text)
            moment = self._with_zone(found)
        except ValueError:
            raise PydanticCustomError("datetime_format", "{words}", {"words": self._wrong_form(text)}) from None
        except OverflowError:
            moment = None  # with its offset it is outside what Python knows
        check_fraction(text, digits, self.fsp, "datetime_precision")
        first, last = self._ends
        if moment is None or not first <= moment <= last:
            context = {"shown": shown(text), "first": _words(first, self.fsp), "last": _words(last, self.fsp)}
            raise PydanticCustomError("out_of_range", "{shown} is outside {first} to {last}", context)
        return moment

    def _wrong_form(self, text: str) -> str:
        if self.format:
            return f"{shown(text)} is not a moment as {self.format}"
        if _is_day(text.strip(" ")):
            declared = f"{type(self).__name__}(date_only=True)"
            return f"{shown(text)} has no time of day; where a date alone means its midnight, declare {declared}"
        return f"{shown(text)} is not an ISO 8601 date and time"

    def _by_iso(self, text: str) -> tuple[dt.datetime, str]:
        """The moment, and the digits of its second's fraction."""
        text = text.strip(" ")
        if self.date_only and re.fullmatch(_DAY, text):
            text += "T00:00"
        found = _PARTS.fullmatch(re.sub(f"{_NAMED}$", "Z", text, flags=re.ASCII) if "\n" not in text else text)
        if found is None:
            raise ValueError(text)
        moment = dt.datetime.fromisoformat(found["begin"] + (found["zone"] or ""))
        digits = found["digits"] or ""
        if digits and found["begin"].count(":") != len("::"):
            raise ValueError(text)
        return moment.replace(microsecond=int(digits[:MOST_DIGITS].ljust(MOST_DIGITS, "0"))), digits

    def _with_zone(self, moment: dt.datetime) -> dt.datetime:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(self.zone) if self.zone else dt.UTC)
        return moment.astimezone(dt.UTC) if self.zone else moment

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if self.format is not None:
            return {"type": "string", "pattern": r"[^\s]", "description": f"Date and time as {self.format}"}
        of = f"at most {self.fsp} digits" if self.fsp else "no fraction"
        words = f"ISO 8601 date and time; without a zone it is {self.zone or 'UTC'}; {of} of a second"
        day = f"|^ *{_DAY} *$" if self.date_only else ""
        fraction = f"\\.[0-9]{{1,{self.fsp}}}0*" if self.fsp else "\\.0+"
        pattern = f"^{_ALL}$".replace("\\.[0-9]+", fraction) + day
        return {"type": "string", "pattern": pattern, "description": words}

    def normalise(self, given: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
        if not self.fsp and self.format is None and set(map(len, given)) == {20}:
            joined = "\n".join(given)  # of the accepted forms with two colons only 2021-11-07T02:48:42Z is so long
            if joined.count("Z") == len(given) and joined.count(":") == 2 * len(given):
                return joined.replace("T", " ").replace("Z", "").split("\n")
        return [utc(value, " ", self.fsp) for value in values]

    def as_json(self, given: str, value: Any) -> str | int | float:
        return utc(value, "T", self.fsp) + "Z"

    def stored(self, value: Any) -> str:
        return utc(value, " ", self.fsp)


@dataclass(frozen=True)
class Timestamp(_Moment):
    """A moment from 1970 to 2038: see `_Moment`."""

    avro = "timestamp-micros"

    def _column(self) -> tuple[str, dt.datetime, dt.datetime]:
        return "timestamp", TIMESTAMP_MIN, TIMESTAMP_MAX


@dataclass(frozen=True)
class DateTime(_Moment):
    """A moment from the year 1000 to 9999: see `_Moment`."""

    avro = "local-timestamp-micros"

    def _column(self) -> tuple[str, dt.datetime, dt.datetime]:
        return "datetime", DATETIME_MIN, DATETIME_MAX


def utc(value: dt.datetime, between: str, fsp: int) -> str:
    moment = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
    text = moment.isoformat(between, "microseconds" if fsp else "seconds")
    return text[: len(text) - MOST_DIGITS + fsp] if fsp else text


def _words(moment: dt.datetime, fsp: int) -> str:
    return utc(moment, "T", fsp if moment.microsecond else 0) + "Z"


def _is_day(text: str) -> bool:
    try:
        return bool(re.fullmatch(_DAY, text)) and bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


# --- what dates and times share --------------------------------------------------------------------------------------


def check_digits(fsp: int) -> None:
    """Raises: ValueError."""
    if not 0 <= fsp <= MOST_DIGITS:
        raise ValueError(f"a second's fraction of {fsp} digits; it takes 0 to {MOST_DIGITS}")


def check_format(format: str, must_tell: str) -> None:
    """Raises: ValueError where a value that is written in this format can't be read back."""
    sample = dt.datetime(2001, 12, 23, 14, 35, tzinfo=dt.UTC)
    try:
        found = dt.datetime.strptime(sample.strftime(format), format)  # noqa: DTZ007 (only its parts are asked)
    except (ValueError, re.error):
        raise ValueError(f"{format!r} is no format of Python's strptime") from None
    if found.strftime(must_tell) != sample.strftime(must_tell):
        raise ValueError(f"{format!r} does not tell all of {must_tell}")


def by_format(text: str, format: str) -> tuple[dt.datetime, str]:
    """What a text says in a format of strptime, and the digits of its second's fraction. Raises: ValueError."""
    if re.search(r"[^\x00-\x7f]", re.sub(r"[^\W\d_]", "", text)):  # strptime takes digits of every script
        raise ValueError(text)
    found = dt.datetime.strptime(text.strip(" "), format)  # noqa: DTZ007 (the caller knows the zone)
    return found, f"{found.microsecond:06}" if found.microsecond else ""


def check_fraction(text: str, digits: str, fsp: int, code: str) -> None:
    """Raises: PydanticCustomError where digits of a second's fraction would be rounded."""
    if digits[fsp:].strip("0"):
        context = {"shown": shown(text), "fsp": fsp}
        words = "more than {fsp} digits of a second's fraction" if fsp else "a fraction of a second"
        template = "{shown} has " + words + ", which the column would round"
        raise PydanticCustomError(code, template, context)
