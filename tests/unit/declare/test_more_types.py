"""The types that no table of tables.py has: what each takes, becomes and refuses, with its ends."""

import datetime as dt
import enum
import json
import math
import re
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from rowferry.declare import (
    Binary,
    Boolean,
    Choice,
    Date,
    DateTime,
    Decimal,
    Double,
    Id,
    Integer,
    Json,
    Time,
    Timestamp,
    Uuid,
    Varchar,
)
from rowferry.declare.table import read_models
from rowferry.declare.types import Kind

STATE = Choice(("open", "paid", "sent"))
UUID = "0b5c12f4-9d34-4e7a-8f3e-1f2a3b4c5d6e"
KINDS: list[Kind] = [
    *(Double(), Boolean(), Varchar(5), STATE, Date(), Time(), DateTime(3), Timestamp(6), Uuid(), Json(), Binary(4)),
    *(Date(format="%d.%m.%Y"), DateTime(format="%d.%m.%Y %H:%M"), Time(format="%H.%M"), Binary(4, "base64")),
]


def taken(kind: Kind, given: str) -> tuple[str, str | int | float]:
    """An accepted field's normal form, as MySQL and as JSON gets it."""
    value = TypeAdapter(Annotated[Any, kind]).validate_python(given)
    return kind.normalise([given], [value])[0], kind.as_json(given, value)


def fault(kind: Kind, given: object) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[Any, kind]).validate_python(given)
    (*_, last) = caught.value.errors()
    assert last["loc"][-1] == "verdict"
    return last["type"], last["msg"]


@pytest.mark.parametrize(
    ("kind", "given", "normal"),
    [
        (Integer(), " -012.00 ", "-12"),
        (Integer(maximum=2**63 - 1), "9223372036854775807.0", "9223372036854775807"),
        (Decimal(65, 30), "-" + "9" * 35 + "." + "9" * 30, "-" + "9" * 35 + "." + "9" * 30),
        (Decimal(65, 0), "9" * 65, "9" * 65),
        (Double(), "1e3", "1000.0"),
        (Double(), " -0.1 ", "-0.1"),
        (Double(), "1.7976931348623157E+308", "1.7976931348623157e+308"),
        (Double(), "2.2250738585072014e-308", "2.2250738585072014e-308"),
        (Double(), "5e-324", "5e-324"),
        (Double(), "0e-999", "0.0"),
        *((Boolean(), word, "1") for word in ("true", "T", "Yes", "y", "1", " TRUE ")),
        *((Boolean(), word, "0") for word in ("false", "F", "No", "n", "0")),
        (Boolean(("ja",), ("nein",)), "Ja", "1"),
        (Boolean(("ja",), ("nein",)), "NEIN", "0"),
        (Varchar(5), " a\tb ", " a\\tb "),
        (Varchar(5), "😀" * 5, "😀" * 5),
        (STATE, "paid", "paid"),
        (Date(), " 2024-02-29 ", "2024-02-29"),
        (Date(), "1000-01-01", "1000-01-01"),
        (Date(), "9999-12-31", "9999-12-31"),
        (Date(format="%d.%m.%Y"), "29.2.2024", "2024-02-29"),
        (Time(), "23:59", "23:59:00"),
        (Time(3), "00:00:00.120000", "00:00:00.120"),
        (Time(6), "23:59:59.999999", "23:59:59.999999"),
        (Time(format="%I:%M %p"), "02:35 PM", "14:35:00"),
        (DateTime(), "1000-01-01 00:00:00", "1000-01-01 00:00:00"),
        (DateTime(6), "9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999"),
        (DateTime(3), "2021-07-27T16:02:08.5+02:00", "2021-07-27 14:02:08.500"),
        (DateTime(3), "2021-07-27 16:02:08.1230 UTC", "2021-07-27 16:02:08.123"),
        (DateTime(date_only=True), "2021-07-27", "2021-07-27 00:00:00"),
        (DateTime(zone="Europe/Berlin"), "2021-07-27 16:02:08", "2021-07-27 14:02:08"),
        (DateTime(zone="Europe/Berlin"), "2021-07-27 16:02:08Z", "2021-07-27 16:02:08"),
        (DateTime(zone="Europe/Berlin", date_only=True), "2021-12-27", "2021-12-26 23:00:00"),
        (DateTime(format="%d.%m.%Y %H:%M"), "27.07.2021 16:02", "2021-07-27 16:02:00"),
        (DateTime(format="%d.%m.%Y"), "27.07.2021", "2021-07-27 00:00:00"),
        (Timestamp(6), "2021-07-27T16:02:08.123456Z", "2021-07-27 16:02:08.123456"),
        *(
            (Uuid(), spelt, UUID)
            for spelt in (UUID, UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}", f" {UUID} ")
        ),
        (Json(), ' {"b": 1, "a": [1.50, null, true, "é"]} ', '{"a":[1.5,null,true,"é"],"b":1}'),
        (Json(), '"a\\nb"', '"a\\\\nb"'),
        (Json(), "18446744073709551615", "18446744073709551615"),
        (Binary(4), "00FFab7f", "00ffab7f"),
        (Binary(4), "0x00ff", "00ff"),
        (Binary(4), "\\x00ff", "00ff"),
        (Binary(4, "base64"), "AP+rfw==", "00ffab7f"),
    ],
)
def test_what_is_taken_has_one_normal_form(kind: Kind, given: str, normal: str) -> None:
    assert taken(kind, given)[0] == normal


@pytest.mark.parametrize(
    ("kind", "given", "code", "words"),
    [
        (Integer(), "1.5", "int_format", "'1.5' is not a whole number in digits"),
        (Decimal(65, 30), "1" + "0" * 35, "out_of_range", None),
        *(
            (Double(), text, "double_format", f"{text!r} is not a number in digits")
            for text in ("NaN", "inf", "1e", ".")
        ),
        *((Double(), text, "out_of_range", None) for text in ("1e309", "-1e999999999", "2e-324", "-1e-400")),
        (Boolean(), "maybe", "boolean_format", "'maybe' is neither true (true/t/yes/y/1) nor false (false/f/no/n/0)"),
        (Boolean(("ja",), ("nein",)), "true", "boolean_format", "'true' is neither true (ja) nor false (nein)"),
        (Varchar(5), "abcdef", "too_long", "is 6 characters long; the column takes 5"),
        (STATE, "Paid", "choice", "'Paid' is none of open, paid, sent"),
        (STATE, " paid", "choice", "' paid' is none of open, paid, sent"),
        *((Date(), text, "date_format", None) for text in ("2023-02-29", "20240229", "2024-2-29", "2024-02-29T00:00")),
        (Date(), "0999-12-31", "out_of_range", "'0999-12-31' is outside 1000-01-01 to 9999-12-31"),
        (Date(format="%d.%m.%Y"), "2024-02-29", "date_format", "'2024-02-29' is not a date as %d.%m.%Y"),
        (Date(format="%d.%m.%Y"), "٢٩.02.2024", "date_format", None),
        *((Time(), text, "time_format", None) for text in ("24:00", "12:60", "12", "-01:00", "12:00Z", "838:59:59")),
        (Time(), "12:00:00.5", "time_precision", None),
        (Time(3), "12:00:00.1234", "time_precision", None),
        (DateTime(), "0999-12-31 23:59:59", "out_of_range", None),
        (DateTime(), "9999-12-31T23:59:59-01:00", "out_of_range", None),
        (DateTime(3), "2021-07-27 16:02:08.1234", "datetime_precision", None),
        (DateTime(3), "2021-07-27", "datetime_format", None),
        (DateTime(3), "2021-07-27 16:02.5", "datetime_format", None),
        (DateTime(format="%d.%m.%Y %H:%M"), "27.07.2021", "datetime_format", None),
        (Timestamp(3), "2038-01-19 03:14:08.000", "out_of_range", None),
        *((Uuid(), text, "uuid_format", None) for text in (UUID[:-1], UUID + "0", f"{{{UUID}", "g" * 32)),
        *((Json(), text, "json_format", None) for text in ("{", "{'a': 1}", "NaN", "[1,]", '"\\ud800"', "1 2")),
        *((Json(), text, "out_of_range", None) for text in ("18446744073709551616", "[-9223372036854775809]", "1e999")),
        (Json(), "[" * 101 + "]" * 101, "json_depth", None),
        (Json(), "[" * 100_000, "json_format", None),
        *((Binary(4), text, "binary_format", None) for text in ("0", "0g", "00 ff", "AP+rfw==")),
        *((Binary(4, "base64"), text, "binary_format", None) for text in ("AP+rfw=", "A", "AP+\nrfw==", "é")),
        (Binary(4), "0011223344", "too_long", "is 5 bytes long; the column takes 4"),
    ],
)
def test_what_is_refused_is_said(kind: Kind, given: str, code: str, words: str | None) -> None:
    found = fault(kind, given)
    assert found[0] == code
    assert words is None or found[1] == words


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_blank_is_missing_and_no_text_is_no_field(kind: Kind) -> None:
    for blank in ("", " ", "\t", "\u00a0"):
        assert fault(kind, blank) == ("missing", "is empty")
    for other in (7, None, 7.5, b"7"):
        assert fault(kind, other)[0] == "text_expected"


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Double(), -0.0, "-0.0"),
        (Boolean(), 1, "1"),
        (Varchar(5), "a\\", "a\\\\"),
        (Date(), dt.date(2024, 2, 29), "2024-02-29"),
        (Time(3), dt.timedelta(hours=1, milliseconds=120), "01:00:00.120"),
        (Time(), dt.timedelta(hours=-838, minutes=-59), "-838:59:00"),
        (DateTime(3), dt.datetime(2024, 2, 29, 1, 2, 3, 120_000), "2024-02-29 01:02:03.120"),  # noqa: DTZ001
        (Json(), '{"b": 1, "a": 2.0}', '{"a":2.0,"b":1}'),
        (Binary(4), b"\x00\xff", "00ff"),
    ],
)
def test_what_mysql_gives_back_is_read_in_the_normal_form(kind: Kind, value: object, text: str) -> None:
    assert kind.stored(value) == text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Varchar(0), "a Varchar of 0 characters"),
        (lambda: Varchar(16_384), "a Varchar of 16384 characters"),
        (lambda: Boolean(("x",), ("X",)), "a Boolean has a word twice"),
        (lambda: Boolean((), ("x",)), "a Boolean needs a word for true"),
        (lambda: Date(format="%d.%m"), "'%d.%m' does not tell all of %Y-%m-%d"),
        (lambda: Time(format="%H"), "'%H' does not tell all of %H:%M"),
        (lambda: DateTime(format="%Q"), "'%Q' is no format of Python's strptime"),
        (lambda: DateTime(7), "a second's fraction of 7 digits; it takes 0 to 6"),
        (lambda: Timestamp(zone="Mars/North"), "there is no time zone 'Mars/North'"),
        (lambda: Binary(0), "a Binary of 0 bytes"),
        (lambda: Choice().of(str), "a Choice takes a Literal or an Enum of texts"),
    ],
)
def test_what_can_not_be_declared_is_said_where_it_is_written(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


class Colour(enum.Enum):
    """Of a test."""

    RED = "red"
    BLUE = "blue"


def test_a_choice_has_the_words_of_its_field() -> None:
    class Order(BaseModel, title="orders"):
        """An order."""

        id: Id
        status: Annotated[Literal["open", "paid"], Choice()]
        colour: Annotated[Colour, Choice()]

    (table,) = read_models([Order]).values()
    assert [column.kind for column in table.columns[1:]] == [Choice(("open", "paid")), Choice(("red", "blue"))]
    assert [column.kind.ddl for column in table.columns] == ["int", "varchar(4)", "varchar(4)"]
    assert Order.model_json_schema()["properties"]["colour"]["pattern"] == "^(red|blue)$"


def test_a_choice_of_no_words_is_told_with_its_field() -> None:
    class Order(BaseModel, title="orders"):
        """An order."""

        id: Id
        status: Annotated[Any, Choice(("x",))]

    with pytest.raises(TypeError, match=r"Order\.status: a Choice takes a Literal or an Enum"):
        read_models([Order])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_the_same_double(value: float) -> None:
    normal, as_json = taken(Double(), repr(value))
    assert math.copysign(1, float(normal)) == math.copysign(1, value)
    assert float(normal) == value == as_json


@given(st.binary(min_size=1, max_size=9))
def test_bytes_are_the_same_bytes(value: bytes) -> None:
    assert taken(Binary(9), value.hex())[0] == value.hex()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(JSON)
def test_json_keeps_its_meaning(value: Any) -> None:
    assert json.loads(str(taken(Json(), json.dumps(value))[1])) == value


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_the_json_schema_takes_what_is_taken(kind: Kind) -> None:
    schema = TypeAdapter(Annotated[Any, kind]).json_schema()
    assert set(schema) == {"type", "pattern", "description"}
    for text in ("1.5", "yes", "abc", "paid", "2024-02-29", "12:30", "2024-02-29 12:30", UUID, "{}", "00ff", "AAA="):
        try:
            TypeAdapter(Annotated[Any, kind]).validate_python(text)
        except ValidationError:
            continue
        assert re.search(schema["pattern"], text)
