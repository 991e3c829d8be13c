import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowferry.csvfile.dialect import Dialect, arrangement
from rowferry.csvfile.records import CHUNK_BYTES, records
from rowferry.declare.catalog import TABLES
from rowferry.declare.csv_format import CsvFormat
from rowferry.errors import BadRequest, Refused, TooLarge
from rowferry.validate.verdict import Reject, Validated, chunk_answer, validate, validate_bytes
from tests.support.csv_files import CsvFile, csv_files

DEPARTMENTS = TABLES["departments"]
EMPLOYEES = TABLES["hired_employees"]
PLAIN = Dialect()


def judged(text: str, dialect: Dialect = PLAIN, first_line: int = 1) -> Validated:
    return validate(DEPARTMENTS, text, dialect, first_line)


def as_mysql_reads(text: str) -> Iterator[list[str]]:
    """LOAD DATA's reading of fields ended by tab, lines by line feed, escaped by a backslash."""
    row: list[str] = []
    field = ""
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            behind = next(letters)
            field += {"t": "\t", "n": "\n", "0": "\0", "b": "\b", "r": "\r", "Z": "\x1a"}.get(behind, behind)
            if behind == "N":
                field = "<NULL>"
        elif letter in "\t\n":
            row.append(field)
            field = ""
            if letter == "\n":
                yield row
                row = []
        else:
            field += letter
    assert (row, field) == ([], "")


# --- accepted rows --------------------------------------------------------------------------------------------------


def test_accepted_rows_come_in_normal_form_behind_their_line() -> None:
    text = '1,Harold Vogt,2021-11-07T02:48:42Z,2,96\n\n 007 ,"Vogt, ""H""",2021-11-07 03:48+01:00,02,3\n'
    found = validate(EMPLOYEES, text, PLAIN, first_line=41)
    assert found.normal_text() == (
        '41\t1\tHarold Vogt\t2021-11-07 02:48:42\t2\t96\n43\t7\tVogt, "H"\t2021-11-07 02:48:00\t2\t3\n'
    )
    assert list(found.rows())[1] == {
        "id": 7,
        "name": 'Vogt, "H"',
        "datetime": "2021-11-07T02:48:00Z",
        "department_id": 2,
        "job_id": 3,
    }
    assert (found.read, found.rejects) == (2, [])


def test_columns_are_found_by_name_and_those_with_an_underscore_left_out() -> None:
    found = judged("x,a,1,\ny,b,2,z\n", Dialect(",", ("_", "name", "id", "_")))
    assert found.normal_text() == "1\t1\ta\n2\t2\tb\n"


@pytest.mark.parametrize("columns", [("id",), ("id", "title"), ("id", "name", "name"), ("ID", "name"), ("_",)])
def test_columns_that_are_not_the_table_s_are_a_bad_request(columns: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="are not those of departments: id, name"):
        arrangement(DEPARTMENTS, Dialect(",", columns))


@given(st.lists(st.text(min_size=1).filter(lambda text: not text.isspace() and "\0" not in text), max_size=5))
def test_load_data_reads_text_back_as_it_was_given(names: list[str]) -> None:
    text = "".join('{},"{}"\n'.format(place, name.replace('"', '""')) for place, name in enumerate(names, 1))
    rows = list(as_mysql_reads(judged(text).normal_text()))
    assert [row[1:] for row in rows] == [[str(place), name] for place, name in enumerate(names, 1)]


# --- rejects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reject"),
    [
        ("1,\n", Reject(42, ("missing",), "line 42: name is empty", ("1", ""))),
        (",a\n", Reject(42, ("missing",), "line 42: id is empty", ("", "a"))),
        ("1,\u00a0\n", Reject(42, ("missing",), "line 42: name is empty", ("1", "\u00a0"))),
        (
            "+1,\n",
            Reject(
                42,
                ("int_format", "missing"),
                "line 42: id '+1' is not a whole number in digits; name is empty",
                ("+1", ""),
            ),
        ),
        (
            "0,a\n",
            Reject(42, ("out_of_range",), "line 42: id '0' is outside 1 to 2147483647", ("0", "a")),
        ),
        ("1\n", Reject(42, ("field_count",), "line 42: 1 fields where 2 are expected", raw="1")),
        ("1,a,b\r\n", Reject(42, ("field_count",), "line 42: 3 fields where 2 are expected", raw="1,a,b")),
        (
            '1,"a\nb",c\n',
            Reject(42, ("field_count",), "line 42: 3 fields where 2 are expected", raw='1,"a\nb",c'),
        ),
        (
            '1,"Acme 5" disk\n',
            Reject(
                42,
                ("bad_quoting",),
                "line 42: the quoting is broken: text stands behind a closing quote",
                raw='1,"Acme 5" disk',
            ),
        ),
    ],
)
def test_a_reject_says_line_codes_and_what_is_wrong(text: str, reject: Reject) -> None:
    found = judged(text + "7,b\n", first_line=42)
    assert found.rejects == [reject]
    assert found.normal_text() == f"{42 + text.count(chr(10))}\t7\tb\n"
    assert found.read == 2


def test_every_fault_of_a_row_is_told_in_the_order_of_the_columns() -> None:
    found = validate(EMPLOYEES, f"x,{'a' * 65_536},2021-02-30T00:00:00Z,0,\n", PLAIN)
    assert [(reject.codes, reject.message) for reject in found.rejects] == [
        (
            ("int_format", "too_long", "datetime_format", "out_of_range", "missing"),
            "line 1: id 'x' is not a whole number in digits; name is 65536 bytes long; the column takes 65535;"
            " datetime '2021-02-30T00:00:00Z' is not an ISO 8601 date and time;"
            " department_id '0' is outside 1 to 2147483647; job_id is empty",
        )
    ]


def test_a_reject_s_fields_stand_in_the_table_s_order_as_given() -> None:
    found = judged("x, ,0\n", Dialect(",", ("_", "name", "id")))
    assert found.rejects[0].fields == ("0", " ")


def test_rejects_of_every_sort_come_in_the_order_of_their_lines() -> None:
    found = judged('1\n0,a\n2,b\n3,"c"d\n,e\n\n4,f,g\n5,h\n')
    assert [(reject.line, *reject.codes) for reject in found.rejects] == [
        (1, "field_count"),
        (2, "out_of_range"),
        (4, "bad_quoting"),
        (5, "missing"),
        (7, "field_count"),
    ]
    assert found.lines == [3, 8]


def test_a_message_quotes_no_more_than_sixty_characters() -> None:
    (reject,) = judged("x" * 100_000 + ",a\n").rejects
    assert len(reject.message) < 150


@given(csv_files())
def test_each_record_is_either_accepted_or_rejected_on_its_own_line(file: CsvFile) -> None:
    found = judged(file.text, Dialect(file.delimiter))
    lines = [*found.lines, *(reject.line for reject in found.rejects)]
    assert sorted(lines) == [record.line for record in records(file.text, file.delimiter, 1)]


# --- what is refused whole ------------------------------------------------------------------------------------------


def test_a_thousand_records_are_taken_and_one_more_is_too_large() -> None:
    text = "1,a\n" * 1000
    assert judged(text).read == 1000
    assert judged("\n" + text + "\n").read == 1000
    for more in ("1,a\n", '1,"a\nb"\n', "1\n"):
        with pytest.raises(TooLarge, match="1001 records in one chunk; at most 1000 are taken, and none of these was"):
            judged(text + more)


def test_four_megabytes_are_taken_and_one_byte_more_is_too_large() -> None:
    body = b"1," + b"a" * (CHUNK_BYTES - 3) + b"\n"
    assert validate_bytes(DEPARTMENTS, body, PLAIN).rejects[0].codes == ("too_long",)
    with pytest.raises(TooLarge, match="4194305 bytes in one chunk; at most 4194304 are taken, and none of these was"):
        validate_bytes(DEPARTMENTS, b"1" + body, PLAIN)


def test_a_million_columns_are_one_reject() -> None:
    (reject,) = validate_bytes(DEPARTMENTS, b"1," * 1_000_000 + b"\n", PLAIN).rejects
    assert (reject.codes, reject.message) == (("field_count",), "line 1: 1000001 fields where 2 are expected")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"1,a\n2,\xff\n", r"byte 6 is not UTF-8 \(invalid start byte\)"),
        (b"1,a\0\n", "the text holds NUL: it is not CSV"),
        (b'1,a\n2,"b\n', "line 2: a record begins here that runs on"),
        (b"1,a\n2,b\rc\n", "line 2: a carriage return that ends no line"),
    ],
)
@pytest.mark.parametrize("dialect", [PLAIN, None])
def test_what_is_no_csv_text_is_a_bad_request(body: bytes, words: str, dialect: Dialect | None) -> None:
    with pytest.raises(BadRequest, match=words):
        validate_bytes(DEPARTMENTS, body, dialect)


# --- a whole file at once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_whole_file_brings_its_dialect_and_header(bom: str) -> None:
    found = validate_bytes(DEPARTMENTS, f'{bom}\n"Name";ID\r\na;1\r\n;2\r\n'.encode(), None)
    assert found.normal_text() == "3\t1\ta\n"
    assert [(reject.line, reject.fields) for reject in found.rejects] == [(4, ("2", ""))]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"id,name\n", b"\xef\xbb\xbf"])
def test_a_file_without_records_has_no_rows_and_no_rejects(body: bytes) -> None:
    found = validate_bytes(DEPARTMENTS, body, None)
    assert (found.read, found.normal_text(), list(found.rows())) == (0, "", [])


def test_a_header_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Refused, match="line 1: the header lacks name; has 'title'"):
        validate_bytes(DEPARTMENTS, b"id,title\n1,a\n", None)


def test_a_header_in_the_middle_of_a_file_is_a_reject_of_its_own_code() -> None:
    (reject,) = validate_bytes(DEPARTMENTS, b"id,name", PLAIN).rejects
    assert (reject.codes, reject.message) == (("header_again",), "line 1: the header stands here again")


# --- the answer -----------------------------------------------------------------------------------------------------


def test_the_answer_is_a_line_of_json_and_the_rows() -> None:
    head, _, rows = chunk_answer(judged('1,a\n2,"é\n"\n3,\n4\n', first_line=5)).partition("\n")
    assert json.loads(head) == {
        "read": 4,
        "rejects": [
            {"line": 8, "codes": ["missing"], "message": "line 8: name is empty", "fields": ["3", ""]},
            {
                "line": 9,
                "codes": ["field_count"],
                "message": "line 9: 1 fields where 2 are expected",
                "raw": "4",
            },
        ],
    }
    assert rows == "5\t1\ta\n6\t2\té\\n\n"


def test_a_whole_file_is_in_the_format_of_its_table() -> None:
    german = replace(DEPARTMENTS, csv=CsvFormat(delimiter=";", names={"Nr": "id"}, extra="ignore", trim=True))
    validated = validate_bytes(german, b"Nr;name;more\n1; Sales ;x\n", None)
    assert [*validated.rows()] == [{"id": 1, "name": "Sales"}]
    with pytest.raises(BadRequest, match="files of departments have a quote or escape character of their own"):
        validate_bytes(replace(DEPARTMENTS, csv=CsvFormat(escape="\\")), b"1,a\n", None)
