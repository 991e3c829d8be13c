import pytest

from rowferry.declare.ddl import without_width


@pytest.mark.parametrize(
    ("column_type", "spelt"),
    [
        ("int", "int"),
        ("int(11)", "int"),
        ("bigint(20)", "bigint"),
        ("int(10) unsigned", "int unsigned"),
        ("int(5) unsigned zerofill", "int unsigned zerofill"),
        ("decimal(10,2)", "decimal(10,2)"),
        ("timestamp", "timestamp"),
    ],
)
def test_how_wide_a_number_is_shown_is_no_part_of_its_type_and_how_many_digits_it_holds_is(
    column_type: str, spelt: str
) -> None:
    assert without_width(column_type) == spelt
