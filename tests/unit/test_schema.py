import pytest

from rowferry.schema import type_of


@pytest.mark.parametrize(
    ("column_type", "spelt"),
    [
        ("int", "int"),
        ("int(11)", "int"),
        ("bigint(20)", "bigint"),
        ("int(10) unsigned", "int unsigned"),
        ("int(5) unsigned zerofill", "int unsigned zerofill"),
        (b"decimal(10,2)", "decimal(10,2)"),
        ("timestamp", "timestamp"),
    ],
)
def test_how_wide_a_number_is_shown_is_no_part_of_its_type_and_how_many_digits_it_holds_is(
    column_type: object, spelt: str
) -> None:
    assert type_of(column_type) == spelt
