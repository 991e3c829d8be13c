"""Keys as bytes that compare as the keys do, and as words."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry.declare import key
from rowferry.ledger.migrations import STEPS


@dataclass(frozen=True)
class Kind:
    ddl: str


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind


def column(ddl: str, name: str = "a") -> Column:
    return Column(name, Kind(ddl))


def encoded(*pairs: tuple[str, str]) -> bytes:
    return key.encoder([column(ddl) for ddl, _ in pairs])([value.encode() for _, value in pairs])


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_compare_by_value(one: int, other: int) -> None:
    assert (encoded(("bigint", str(one))) < encoded(("bigint", str(other)))) == (one < other)


TEXT = st.text(st.characters(exclude_characters="\0\\\t\n", exclude_categories=["Cs"]))


@given(TEXT, st.integers(-5, 5), TEXT, st.integers(-5, 5))
def test_keys_of_several_columns_compare_column_by_column(one: str, first: int, other: str, second: int) -> None:
    found = encoded(("varchar(9)", one), ("int", str(first))) < encoded(("varchar(9)", other), ("int", str(second)))
    assert found == ((one.encode(), first) < (other.encode(), second))


def test_decimals_and_times_compare_by_value() -> None:
    decimals = ["-10.00", "-2.50", "0.00", "3.00", "20.10"]
    assert sorted(decimals, key=lambda text: encoded(("decimal(5,2)", text))) == decimals
    times = ["-100:00:00", "-09:00:00.5", "-09:00:00", "00:00:00", "09:00:00", "100:00:00"]
    assert sorted(times, key=lambda text: encoded(("time(1)", text))) == times


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_the_ends_of_a_range_are_short_and_never_within_it(one: bytes, other: bytes) -> None:
    low, high = key.low_end(one), key.high_end(one)
    assert len(low) <= key.RANGE_BYTES
    assert len(high) <= key.RANGE_BYTES
    assert low <= one
    assert high >= one or set(one[: key.RANGE_BYTES]) == {255}
    assert key.high_end(one) <= key.high_end(max(one, other))


@pytest.mark.parametrize(
    ("ddl", "field", "words"),
    [("int", b"5", "a 5"), ("varchar(9)", b"x\\\\y", r"a 'x\\y'"), ("varbinary(9)", b"0041", "a 0041")],
)
def test_a_key_is_shown_as_its_value(ddl: str, field: bytes, words: str) -> None:
    assert key.words([column(ddl)], [field]) == words


def test_several_columns_are_shown_one_after_the_other() -> None:
    columns = [column("int", "order_id"), column("int", "line")]
    assert key.words(columns, [b"5", b"2"]) == "order_id 5, line 2"


def test_the_ledger_has_room_for_the_ends() -> None:
    assert any("keys of any type" in step.words for step in STEPS)
