import pytest
from hypothesis import given

from rowferry.csvfile.records import BEFORE_QUOTE, BEHIND_QUOTE, Record, plain_rows, records
from rowferry.errors import BadRequest
from tests.support.csv_files import SCRAPS, CsvFile, InDoubt, by_csv_module, by_letters, csv_files


def read(text: str, delimiter: str = ",", first_line: int = 1) -> list[tuple[int, list[str] | None]]:
    return [(record.line, record.fields) for record in records(text, delimiter, first_line)]


def test_a_record_knows_its_line_its_fields_and_its_text() -> None:
    assert list(records('1,"a, b"\r\n2,c\r\n', ",", 41)) == [
        Record(41, ["1", "a, b"], '1,"a, b"'),
        Record(42, ["2", "c"], "2,c"),
    ]


def test_blank_lines_are_counted_but_are_no_records() -> None:
    assert read("\n\r\n1,a\n\n\n2,b\n\n") == [(3, ["1", "a"]), (6, ["2", "b"])]


def test_a_line_of_spaces_is_a_record_and_an_empty_quoted_field_is_none() -> None:
    assert read('  \n""\n') == [(1, ["  "])]


@pytest.mark.parametrize("text", ["1,a", "1,a\n", "1,a\r\n", "1,a\r"])
def test_the_last_line_may_lack_its_end(text: str) -> None:
    assert list(records(text, ",", 1)) == [Record(1, ["1", "a"], "1,a")]


def test_a_quoted_field_keeps_line_ends_delimiters_and_doubled_quotes() -> None:
    assert read('1,"a\r\nb\n""c"", d"\n2,e\n') == [(1, ["1", 'a\r\nb\n"c", d']), (4, ["2", "e"])]


def test_a_lone_return_stays_within_quotes() -> None:
    assert read('1,"a\rb"\n2,c\n') == [(1, ["1", "a\rb"]), (2, ["2", "c"])]


def test_letters_that_other_readers_take_for_line_ends_are_kept() -> None:
    assert read("1,a\x0bb\x0cc\x85d\u2028e\n") == [(1, ["1", "a\x0bb\x0cc\x85d\u2028e"])]


def test_a_quote_within_an_unquoted_field_is_a_letter() -> None:
    assert read('1,5" disk\n2,a "b"\n') == [(1, ["1", '5" disk']), (2, ["2", 'a "b"'])]


def test_a_blank_before_an_opening_quote_breaks_that_record_alone() -> None:
    found = list(records('1, "a"\n2," ""b"""\n', ",", 1))
    assert found == [Record(1, None, '1, "a"', BEFORE_QUOTE), Record(2, ["2", ' "b"'], '2," ""b"""')]


@pytest.mark.parametrize("text", [",\n", '"",""\r\n', "\ufeff\n", '\ufeff"",\n'])
def test_a_record_of_empty_fields_only_is_none(text: str) -> None:
    assert read("1,a\n" + text + "2,b\n" + text) == [(1, ["1", "a"]), (3, ["2", "b"])]


def test_a_byte_order_mark_at_a_records_beginning_is_no_part_of_it() -> None:
    text = '\ufeff"1",a\n\ufeff2,\ufeffb\n3,"c\n\ufeffd"\n'
    assert read(text) == [(1, ["1", "a"]), (2, ["2", "\ufeffb"]), (3, ["3", "c\n\ufeffd"])]


def test_text_behind_a_closing_quote_breaks_that_record_alone() -> None:
    assert list(records('1,"Acme 5" disk\n2,b\n', ",", 7)) == [
        Record(7, None, '1,"Acme 5" disk', BEHIND_QUOTE),
        Record(8, ["2", "b"], "2,b"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '1,a\n2,"b\n3,c\n',  # never closed
        '1,a\n2,"b\n3,"c"\n',  # closed by the next record's quote, with text behind
        '1,a\n"b"x,"c\nd",3\n',  # broken first, then running on
        '1,a\n2,"b\nc","d"x\n',  # running on first, then broken
    ],
)
def test_a_record_that_may_have_run_into_the_next_is_in_doubt(text: str) -> None:
    with pytest.raises(BadRequest, match=r"line 42: .* in doubt where it ends"):
        read(text, first_line=41)


@pytest.mark.parametrize("text", ["1,a\n2,b\rc\n", "1,a\n2,b\r\r\n", '1,a\n"2"\r,b\n', '"1",a\n\r2,b\n', "1,a\n\r\r"])
def test_a_return_that_ends_no_line_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(BadRequest, match="line 42: a carriage return that ends no line"):
        read(text, first_line=41)


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_each_delimiter_leaves_the_others_alone(delimiter: str) -> None:
    others = "".join({",", ";", "\t", "|"} - {delimiter})
    assert read(f"1{delimiter}{others}\n", delimiter) == [(1, ["1", others])]


def test_the_fast_way_takes_lines_that_are_each_a_record() -> None:
    assert plain_rows('1,"a,""b"""\r\n2,c\n', ",") == [["1", 'a,"b"'], ["2", "c"]]


@pytest.mark.parametrize("text", ['1,"a\nb"\n', "1,a\n\n2,b\n", "1,a\rb\n", '1,"a"b\n', '1,"a\n', "1,a\r"])
def test_the_fast_way_leaves_all_else_to_the_careful_one(text: str) -> None:
    assert plain_rows(text, ",") is None


@given(csv_files())
def test_records_are_those_of_the_csv_module(file: CsvFile) -> None:
    assert read(file.text, file.delimiter) == by_csv_module(file.text, file.delimiter)


@given(csv_files())
def test_the_fast_way_agrees_with_the_careful_one(file: CsvFile) -> None:
    rows = plain_rows(file.text, file.delimiter)
    assert rows is None or list(enumerate(rows, 1)) == read(file.text, file.delimiter)


@given(SCRAPS)
def test_both_ways_agree_on_what_is_no_csv(text: str) -> None:
    rows = plain_rows(text, ",")
    assert rows is None or list(enumerate(rows, 1)) == read(text)


@given(SCRAPS)
def test_broken_text_is_read_by_the_rules_or_in_doubt(text: str) -> None:
    try:
        expected = by_letters(text, ",")
    except InDoubt:
        with pytest.raises(BadRequest):
            read(text)
    else:
        assert [(record.line, record.raw, record.fields is None) for record in records(text, ",", 1)] == expected
