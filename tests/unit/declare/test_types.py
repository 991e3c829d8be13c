"""Each row of the data contract's value table, with its edges."""

import datetime as dt
import decimal
import re
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from rowferry.declare.types import TIMESTAMP_MAX, TIMESTAMP_MIN, VERDICT, Decimal, Integer, Kind, Text, Timestamp, shown

KEY = Integer(minimum=1)
ANY_INT = Integer()
LONG = Integer(-(2**63), 2**63 - 1)
MONEY = Decimal(10, 2)
WHOLE = Decimal(18, 0)
FRACTION = Decimal(18, 18)
TEXT = Text()
MOMENT = Timestamp()
KINDS: list[Kind] = [KEY, ANY_INT, LONG, MONEY, WHOLE, FRACTION, TEXT, MOMENT]


def taken(kind: Kind, given: str) -> tuple[str, str | int | float]:
    """An accepted field's normal form, as MySQL and as JSON gets it."""
    value = TypeAdapter(Annotated[Any, kind]).validate_python(given)
    return kind.normalise([given], [value])[0], kind.as_json(given, value)


def fault(kind: Kind, given: object) -> tuple[str, str]:
    """A rejected field's code and words."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[Any, kind]).validate_python(given)
    (found,) = [error for error in caught.value.errors() if error["loc"][-1] == VERDICT]
    return found["type"], found["msg"]


# --- INT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("7", 7),
        ("007", 7),
        (" 7 ", 7),
        ("1", 1),
        ("2147483647", 2147483647),
        ("00002147483647", 2147483647),
        pytest.param("0" * 5000 + "7", 7, id="5,000 zeros"),
        pytest.param(" " * 5000 + "7", 7, id="5,000 spaces"),
    ],
)
def test_digits_are_a_number_whatever_zeros_and_spaces_stand_around(given: str, value: int) -> None:
    assert taken(KEY, given) == (str(value), value)


@pytest.mark.parametrize(
    "given",
    [
        "+7", "7.5", "7.", ".0", "1e3", "1_000", "٧", "７", "²", "0x7", "- 7", "--7", "7-", "1 000", "1,000", "\t7",
        "7\n", "7\r", "a", "-", "\u00a07",
    ],
)  # fmt: skip
def test_anything_but_digits_is_int_format(given: str) -> None:
    assert fault(KEY, given) == ("int_format", f"{given!r} is not a whole number in digits")


@pytest.mark.parametrize(
    "given",
    ["-1", "0", "-0", "000", "-007", "2147483648", " 99999999999 ", pytest.param("9" * 5000, id="5,000 digits")],
)
def test_a_number_that_is_no_key_is_out_of_range(given: str) -> None:
    assert fault(KEY, given) == ("out_of_range", f"{shown(given)} is outside 1 to 2147483647")


@pytest.mark.parametrize(("given", "value"), [("-0", 0), ("-007", -7), ("-2147483648", -2147483648)])
def test_an_integer_that_is_no_key_may_be_negative(given: str, value: int) -> None:
    assert taken(ANY_INT, given) == (str(value), value)


@pytest.mark.parametrize("given", ["-2147483649", "2147483648", pytest.param("-" + "9" * 5000, id="5,000 digits")])
def test_an_integer_beyond_the_column_is_out_of_range(given: str) -> None:
    assert fault(ANY_INT, given) == ("out_of_range", f"{shown(given)} is outside -2147483648 to 2147483647")


@given(st.integers(-(2**33), 2**33), st.integers(0, 12), st.integers(0, 2), st.integers(0, 2))
def test_a_number_is_judged_by_its_value(number: int, zeros: int, before: int, behind: int) -> None:
    digits = f"{'-' * (number < 0)}{'0' * zeros}{abs(number)}"
    given = " " * before + digits + " " * behind
    if 1 <= number <= 2**31 - 1:
        assert taken(KEY, given) == (str(number), number)
    else:
        assert fault(KEY, given)[0] == "out_of_range"


# --- BIGINT ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ddl", "avro"),
    [
        (KEY, "int", "int"),
        (ANY_INT, "int", "int"),
        (LONG, "bigint", "long"),
        (Integer(maximum=2**31), "bigint", "long"),
        (Integer(minimum=-(2**31) - 1), "bigint", "long"),
        (Integer(2**40, 2**41), "bigint", "long"),
    ],
)
def test_an_integer_that_int_does_not_hold_is_a_bigint(kind: Kind, ddl: str, avro: str) -> None:
    assert (kind.ddl, kind.avro) == (ddl, avro)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        (" -9223372036854775808", -(2**63)),
        ("0009223372036854775807 ", 2**63 - 1),
        ("2147483648", 2**31),
        ("-0", 0),
    ],
)
def test_a_bigint_holds_64_bits(given: str, value: int) -> None:
    assert taken(LONG, given) == (str(value), value)


@pytest.mark.parametrize(
    "given", ["9223372036854775808", "-9223372036854775809", pytest.param("9" * 5000, id="5,000 digits")]
)
def test_a_bigint_holds_no_more(given: str) -> None:
    assert fault(LONG, given) == (
        "out_of_range",
        f"{shown(given)} is outside -9223372036854775808 to 9223372036854775807",
    )


@pytest.mark.parametrize(("minimum", "maximum"), [(-(2**63) - 1, 0), (0, 2**63), (2, 1)])
def test_limits_that_no_column_has_are_refused_where_they_are_declared(minimum: int, maximum: int) -> None:
    with pytest.raises(ValueError, match=f"an Integer from {minimum} to {maximum} is none that 64 bits hold"):
        Integer(minimum, maximum)


# --- DECIMAL --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "normal"),
    [
        (MONEY, "7", "7.00"),
        (MONEY, "7.5", "7.50"),
        (MONEY, "7.25", "7.25"),
        (MONEY, " 007.5 ", "7.50"),
        (MONEY, "7.250000", "7.25"),
        (MONEY, "-7.25", "-7.25"),
        (MONEY, "-0", "0.00"),
        (MONEY, "-0.00", "0.00"),
        (MONEY, "-000.000", "0.00"),
        (MONEY, "-0.01", "-0.01"),
        (MONEY, "99999999.99", "99999999.99"),
        (MONEY, "-0099999999.9900", "-99999999.99"),
        (WHOLE, "-0", "0"),
        (WHOLE, "10", "10"),
        (WHOLE, "10.00", "10"),
        (WHOLE, "999999999999999999", "999999999999999999"),
        (WHOLE, "-999999999999999999.0", "-999999999999999999"),
        (FRACTION, "0", "0.000000000000000000"),
        (FRACTION, "000.5", "0.500000000000000000"),
        (FRACTION, "-0.999999999999999999", "-0.999999999999999999"),
        (FRACTION, "0.0000000000000000010", "0.000000000000000001"),
        pytest.param(MONEY, "0" * 5000 + "7." + "0" * 5000, "7.00", id="10,000 zeros"),
    ],
)
def test_a_decimal_is_taken_to_what_mysql_gives_back(kind: Kind, given: str, normal: str) -> None:
    assert taken(kind, given) == (normal, normal)


@pytest.mark.parametrize(
    "given",
    [
        "+7", ".5", "5.", "1e3", "1.0E2", "1,5", "1,000.00", "1_000", "1.2.3", "٧", "७.5", "0x7", "- 7", "--7", "7-",
        "7.-5", "1 000", "7 .5", "NaN", "inf", "-", ".", "-.5", "\t7", "7.5\n", "$7", "\u00a07",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [MONEY, WHOLE, FRACTION])
def test_anything_but_plain_digits_is_decimal_format(kind: Kind, given: str) -> None:
    assert fault(kind, given) == ("decimal_format", f"{given!r} is not a decimal number in digits")


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (MONEY, "7.001"),
        (MONEY, "-0.0010"),
        (MONEY, "99999999.995"),
        (MONEY, "999999999999.999"),
        (WHOLE, "0.5"),
        (FRACTION, "0.0000000000000000001"),
        pytest.param(MONEY, "7." + "0" * 5000 + "1", id="5,000 zeros"),
    ],
)
def test_a_fraction_that_would_be_rounded_is_decimal_precision(kind: Kind, given: str) -> None:
    words = f"{shown(given)} has more decimal places than {kind.ddl}, which the column would round"
    assert fault(kind, given) == ("decimal_precision", words)


@pytest.mark.parametrize(
    ("kind", "given", "limit"),
    [
        (MONEY, "100000000", "99999999.99"),
        (MONEY, "-100000000.00", "99999999.99"),
        (WHOLE, "1000000000000000000", "999999999999999999"),
        (FRACTION, "1", "0.999999999999999999"),
        (FRACTION, "-1.0", "0.999999999999999999"),
        (Decimal(1, 1), "1.0", "0.9"),
        pytest.param(MONEY, "9" * 5000, "99999999.99", id="5,000 digits"),
    ],
)
def test_a_decimal_beyond_the_column_is_out_of_range(kind: Kind, given: str, limit: str) -> None:
    assert fault(kind, given) == ("out_of_range", f"{shown(given)} is outside -{limit} to {limit}")


@pytest.mark.parametrize(
    ("precision", "scale", "words"),
    [
        (0, 0, "a Decimal of 0 digits; it takes 1 to 65"),
        (66, 2, "a Decimal of 66 digits; it takes 1 to 65"),
        (4, 5, "a Decimal with 5 digits behind the point; it takes 0 to 4"),
        (65, 31, "a Decimal with 31 digits behind the point; it takes 0 to 30"),
        (4, -1, "a Decimal with -1 digits behind the point; it takes 0 to 4"),
    ],
)
def test_a_decimal_that_mysql_does_not_have_is_refused_where_it_is_declared(
    precision: int, scale: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Decimal(precision, scale)


def test_what_mysql_gives_back_is_read_in_the_normal_form() -> None:
    assert FRACTION.stored(decimal.Decimal("1E-18")) == "0.000000000000000001"
    assert FRACTION.stored(decimal.Decimal("0E-18")) == "0.000000000000000000"
    assert MONEY.stored(decimal.Decimal("-7.50")) == "-7.50"


DECIMALS = st.integers(1, 65).flatmap(
    lambda digits: st.builds(Decimal, st.just(digits), st.integers(0, min(digits, 30)))
)


@given(st.data(), DECIMALS)
def test_a_decimal_is_judged_by_its_value(data: st.DataObject, kind: Decimal) -> None:
    number, places = data.draw(st.integers(-(10**19), 10**19)), data.draw(st.integers(0, 20))
    value = decimal.Decimal(number).scaleb(-places)
    zeros, before, behind = (data.draw(st.integers(0, 3)) for _ in range(3))
    sign, digits = ("-" if number < 0 else ""), f"{abs(value):f}"
    trailing = ("" if "." in digits else ".") + "0" * zeros if zeros else ""
    given = f"{' ' * before}{sign}{'0' * zeros}{digits}{trailing}{' ' * behind}"
    exact = value.quantize(decimal.Decimal(1).scaleb(-kind.scale), context=decimal.Context(prec=60))
    if exact != value:
        assert fault(kind, given)[0] == "decimal_precision"
    elif abs(exact) >= 10 ** (kind.precision - kind.scale):
        assert fault(kind, given)[0] == "out_of_range"
    else:
        normal = f"{exact or exact.copy_abs():f}"
        assert taken(kind, given) == (normal, normal)
        assert kind.stored(exact) == normal


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=5), st.lists(st.sampled_from(["", " ", "0", "-0"])))
def test_a_column_of_decimals_is_normalised_whole(numbers: list[int], odd: list[str]) -> None:
    plain = [f"{decimal.Decimal(number).scaleb(-2):f}" for number in numbers]
    given = [*plain, *(f"{prefix}0.5" for prefix in odd)]
    halves = ["-0.50" if prefix.startswith("-") else "0.50" for prefix in odd]
    assert list(MONEY.normalise(given, given)) == [*plain, *halves]


# --- TIMESTAMP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "utc"),
    [
        ("2021-07-27T16:02:08Z", "2021-07-27 16:02:08"),
        ("2021-07-27 16:02:08Z", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02:08", "2021-07-27 16:02:08"),
        ("2021-07-27 16:02:08", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02", "2021-07-27 16:02:00"),
        ("2021-07-27 16:02Z", "2021-07-27 16:02:00"),
        ("2021-07-27T16:02+01:00", "2021-07-27 15:02:00"),
        ("2021-07-27T16:02:08+05:30", "2021-07-27 10:32:08"),
        ("2021-07-27T16:02:08+0530", "2021-07-27 10:32:08"),
        ("2021-07-27 16:02:08+00", "2021-07-27 16:02:08"),  # as PostgreSQL writes it
        ("2021-07-27 16:02:08-03", "2021-07-27 19:02:08"),
        ("2021-07-27T16:02:08-00:00", "2021-07-27 16:02:08"),
        ("2021-07-27T00:00:00+23:59", "2021-07-26 00:01:00"),
        ("2021-07-27T16:02:08.0Z", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02:08.000", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02:08.000000000000-01:00", "2021-07-27 17:02:08"),
        ("2020-02-29T23:59:59Z", "2020-02-29 23:59:59"),
        ("1970-01-01T00:00:01Z", "1970-01-01 00:00:01"),
        ("1970-01-01T00:00:01", "1970-01-01 00:00:01"),
        ("1969-12-31T23:00:01-01:00", "1970-01-01 00:00:01"),
        ("1970-01-01T05:30:01+05:30", "1970-01-01 00:00:01"),
        ("2038-01-19T03:14:07Z", "2038-01-19 03:14:07"),
        ("2038-01-19T03:14:07", "2038-01-19 03:14:07"),
        ("2038-01-19T03:14:07.000Z", "2038-01-19 03:14:07"),
        ("2038-01-19T04:14:07+01:00", "2038-01-19 03:14:07"),
        ("2038-01-18T22:14:07-0500", "2038-01-19 03:14:07"),
        (" 2021-07-27T16:02:08Z  ", "2021-07-27 16:02:08"),
        ("2021-07-27 16:02:08 UTC", "2021-07-27 16:02:08"),
        ("2021-07-27 16:02:08.000 GMT", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02:08 Z", "2021-07-27 16:02:08"),
        ("2021-07-27T16:02 UTC", "2021-07-27 16:02:00"),
        (" 2021-07-27T16:02 Z ", "2021-07-27 16:02:00"),
        ("2021-07-27T16:02:08 ", "2021-07-27 16:02:08"),
    ],
)
def test_a_moment_is_taken_in_utc(given: str, utc: str) -> None:
    assert taken(MOMENT, given) == (utc, utc.replace(" ", "T") + "Z")


@pytest.mark.parametrize(
    "given",
    [
        "2021-02-30", "2021-02-30T00:00:00Z", "2021-02-29T00:00:00Z", "2021-00-10T00:00:00Z", "2021-13-01T00:00:00Z",
        "2021-01-01T23:59:60Z", "2021-01-01T24:00:00Z", "2021-01-01T23:60Z", "0000-00-00 00:00:00",
        "2021-07-27T16Z", "2021-07-27T16:02:08z", "2021-07-27t16:02:08Z", "2021-07-27  16:02:08", "2021-07-27_16:02",
        "2021-07-27T16:02:08Z\n", "2021-07-27T16:02:08  Z", "2021-07-27T16:02:08 utc", "2021-07-27T16:02:08 CET",
        "2021-07-27T16:02:08.", "2021-07-27T16:02:08.Z", "2021-07-27T16:02.5Z", "2021-07-27T16:02:08,000Z",
        "2021-07-27T16:02:08+24:00", "2021-07-27T16:02:08+05:60", "2021-07-27T16:02:08+5", "2021-07-27T16:02:08UTC",
        "20210727T160208Z", "2021-W30-2T16:02:08Z", "27/07/2021 16:02:08", "1627401728", "２021-07-27T16:02:08Z", "now",
        "2021-02-30T00:00:00.5Z",
    ],
)  # fmt: skip
def test_what_names_no_moment_is_datetime_format(given: str) -> None:
    assert fault(MOMENT, given) == ("datetime_format", f"{given!r} is not an ISO 8601 date and time")


@pytest.mark.parametrize("given", ["2021-07-27", " 2024-02-29 "])
def test_a_date_without_its_time_says_how_to_declare_that_it_is_its_midnight(given: str) -> None:
    words = f"{given!r} has no time of day; where a date alone means its midnight, declare Timestamp(date_only=True)"
    assert fault(MOMENT, given) == ("datetime_format", words)


@pytest.mark.parametrize("fraction", [".5", ".0000001", ".001", ".999999999", ".10"])
@pytest.mark.parametrize("zone", ["", "Z", "+0530"])
def test_a_fraction_other_than_zero_is_datetime_precision(fraction: str, zone: str) -> None:
    given = f"2021-07-27T16:02:08{fraction}{zone}"
    words = f"{given!r} has a fraction of a second, which the column would round"
    assert fault(MOMENT, given) == ("datetime_precision", words)


@pytest.mark.parametrize(
    "given",
    [
        "1970-01-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00", "1969-12-31T23:59:59Z",
        "1970-01-01T01:00:00+01:00", "1970-01-01T00:00:01+00:01", "1969-12-31T23:00:00-0100",
        "2038-01-19T03:14:08Z", "2038-01-19 03:14:08", "2038-01-19T03:14:07-00:01", "2038-01-19T04:14:08+01",
        "0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.0Z",
    ],
)  # fmt: skip
def test_a_moment_that_the_column_can_t_hold_is_out_of_range(given: str) -> None:
    words = f"{given!r} is outside 1970-01-01T00:00:01Z to 2038-01-19T03:14:07Z"
    assert fault(MOMENT, given) == ("out_of_range", words)


MINUTES = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, dt.datetime]:
    """A moment around the column's range, and one way to write it."""
    near = st.sampled_from([TIMESTAMP_MIN, TIMESTAMP_MAX]).flatmap(
        lambda end: st.integers(-3, 3).map(lambda seconds: end + dt.timedelta(seconds=seconds))
    )
    anywhere = st.integers(-150_000_000, 2_200_000_000).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
    moment = draw(near | anywhere)
    minutes = draw(MINUTES)
    local = (moment + dt.timedelta(minutes=minutes)).replace(tzinfo=None)
    text = local.isoformat(draw(st.sampled_from("T ")), "seconds") + draw(st.sampled_from(["", ".0", ".000000"]))
    colon = draw(st.sampled_from([":", ""]))
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"
    return text + (zone if minutes else draw(st.sampled_from(["", "Z", zone]))), moment


@given(moments())
def test_a_moment_is_judged_by_its_place_in_time(written: tuple[str, dt.datetime]) -> None:
    given, moment = written
    if TIMESTAMP_MIN <= moment <= TIMESTAMP_MAX:
        assert taken(MOMENT, given)[0] == moment.strftime("%Y-%m-%d %H:%M:%S")
    else:
        assert fault(MOMENT, given)[0] == "out_of_range"


# --- TEXT -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "a", " a ", "\ufeffa", "é", "e\u0301", "😀", "\u200b", "\x01", "NULL", "0", "a\rb",
        pytest.param("a" * 65_535, id="65,535 of one byte"),
        pytest.param("😀" * 16_383, id="16,383 of four bytes"),
        pytest.param("é" * 32_767 + "a", id="32,767 of two bytes and one"),
    ],
)  # fmt: skip
def test_text_is_kept_as_given(given: str) -> None:
    assert taken(TEXT, given) == (given, given)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("a\tb", "a\\tb"),
        ("a\nb\r\nc", "a\\nb\r\\nc"),
        ("\\", "\\\\"),
        ("\\N", "\\\\N"),
        ("\\t", "\\\\t"),
        ("\\\t\\", "\\\\\\t\\\\"),
    ],
)
def test_text_is_escaped_for_load_data_and_nowhere_else(given: str, normal: str) -> None:
    assert taken(TEXT, given) == (normal, given)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("a" * 65_536, id="of one byte"),
        pytest.param("é" * 32_768, id="of two bytes"),
        pytest.param("😀" * 16_384, id="of four bytes"),
        pytest.param(" " * 65_535 + "a", id="spaces"),
    ],
)
def test_text_over_65535_bytes_is_too_long(given: str) -> None:
    assert fault(TEXT, given) == ("too_long", "is 65536 bytes long; the column takes 65535")


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "   ",
        "\t",
        "\u00a0",
        "\u3000",
        "\r\n",
        "\x1c",
        "\x85 \u2028",
        pytest.param(" " * 100_000, id="100,000 spaces"),
    ],
)
def test_a_blank_field_is_missing(kind: Kind, given: str) -> None:
    assert fault(kind, given) == ("missing", "is empty")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [7, None, True, 7.0, b"7", dt.datetime(2021, 1, 1, tzinfo=dt.UTC)])
def test_what_is_no_text_is_no_csv_field(kind: Kind, given: object) -> None:
    assert fault(kind, given) == ("text_expected", "must be text, as a CSV field is")


def test_a_message_quotes_at_most_sixty_characters() -> None:
    assert shown("a" * 60) == repr("a" * 60)
    assert shown("a" * 61) == repr("a" * 60 + "…")


_PIECES = st.sampled_from(
    [
        "7", "0", "-", "+", " ", ".", ":", "T", "Z", "2021-07-27", "16:02", ":08", "24:00", ":60", "+05", "30", ".000",
        ".5", "7.5", ".50", "99999999.99", "0.001", "9" * 18, "1970-01-01T00:00:00", "2038-01-19T03:14:08", "0001",
        "-01:00", "2147483648", "99999999999", "\t", "\n", "\\",
        "e", "\u00a0", "\x1c", "\x85", "\u200b", "٧", "😀", "a" * 16_383, "😀" * 16_383, "0" * 4_300,
    ]
)  # fmt: skip
_CLOCKS = st.from_regex(
    r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.0{0,9}[0-9]?)?)?(Z|[+-][0-9]{2}:?[0-9]{0,2})?", fullmatch=True
)
_MOMENTS = st.tuples(st.from_regex("[0-9]{4}-[01][0-9]-[0-3][0-9][T ]", fullmatch=True), _CLOCKS).map("".join)


@settings(max_examples=1000)
@given(st.lists(_PIECES, max_size=6).map("".join) | _MOMENTS | st.text(max_size=5))
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_fast_choice_takes_the_verdict_takes_to_the_same_normal_form(kind: Kind, given: str) -> None:
    try:
        quick = _choices(kind)[0].validate_python(given)
    except ValidationError:
        return  # the verdict decides
    value = _choices(kind)[1].validate_python(given)
    assert kind.normalise([given], [quick]) == kind.normalise([given], [value])
    assert kind.as_json(given, quick) == kind.as_json(given, value)


@settings(max_examples=1000)
@given(st.characters(exclude_categories=["Cs"]))
def test_a_character_is_blank_as_python_says(letter: str) -> None:
    if letter.isspace():
        assert fault(TEXT, letter) == ("missing", "is empty")
    else:
        assert taken(TEXT, letter)[1] == letter


def _choices(kind: Any) -> tuple[SchemaValidator, SchemaValidator]:
    """The fast choice and the one that gives the verdict, each alone."""
    if kind not in _VALIDATORS:
        schema = kind.__get_pydantic_core_schema__(Any, GetCoreSchemaHandler())
        fast, slow = (SchemaValidator(choice) for choice, _ in schema["choices"])
        _VALIDATORS[kind] = fast, slow
    return _VALIDATORS[kind]


_VALIDATORS: dict[Any, tuple[SchemaValidator, SchemaValidator]] = {}


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (KEY, ["7", " 007 ", "-1", "7.0"], ["", "+7", "7.5"]),
        (MONEY, ["7", " 007.250 ", "-1.5"], ["", "+7", "7.001", "100000000", "1e3"]),
        (WHOLE, ["7", "-7.0"], ["", "7.5"]),
        (FRACTION, ["0.5", "-0"], ["", "1"]),
        (TEXT, ["a", " a ", "😀" * 20_000], ["", " ", "\u00a0"]),
        (MOMENT, ["2021-07-27T16:02:08Z", "2021-07-27 16:02"], ["", "2021-07-27", "2021-07-27T16:02:08.5Z"]),
    ],
)
def test_the_json_schema_describes_a_field_as_text_and_knows_no_wrong_length(
    kind: Kind, taken: list[str], refused: list[str]
) -> None:
    schema = TypeAdapter(Annotated[Any, kind]).json_schema()
    assert set(schema) == {"type", "pattern", "description"}
    assert schema["type"] == "string"
    assert all(re.search(schema["pattern"], text) for text in taken)
    assert not any(re.search(schema["pattern"], text) for text in refused)
