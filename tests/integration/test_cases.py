"""Files that bit people who do this job, each with a variation of our own, through Plan, Validate and Load.

The shared cases lie beside the project; where they are absent those tests are skipped, and the variations stay.
"""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rowferry.steps.plan import is_upload
from rowferry.storage.s3 import Bucket
from tests.support.pipeline import Pipeline
from tests.support.shared_cases import given

PARENTS = "id,name\n1,one\n2,two\n3,three\n"
HEAD = "id,name,datetime,department_id,job_id\n"


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """With departments and jobs 1 to 3."""
    for table in ("departments", "jobs"):
        assert pipeline.migrate(f"raw/{table}-setup.csv", PARENTS)["inserted"] == 3
    return pipeline


def counts(report: Mapping[str, Any]) -> tuple[int, int, int]:
    return report["read"], report["inserted"], report["rejected"]


def hired(pipeline: Pipeline) -> Sequence[tuple[int, int, int]]:
    """Each employee's id, department and job."""
    return [(row[0], row[3], row[4]) for row in pipeline.table("hired_employees")]


def assert_refused(report: Mapping[str, Any], code: str, *words: str) -> None:
    assert report["status"] == "refused", report
    assert report["code"] == code, report["reason"]
    for word in words:
        assert word in report["reason"], report["reason"]


# --- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        None,
        'SEP=|\nname|id|job_id|department_id|datetime\nA|101|1|2|2021-03-01T09:00:00Z\n"B"|102|3|1|2021-03-01T09:00:00Z\n',
    ],
)
def test_01_a_sep_line_is_obeyed(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate("raw/hired_employees-sep.csv", text or given("01-sep-line-hides-header", "hired.csv"))
    assert counts(report) == (2, 2, 0)
    assert hired(loaded) == [(101, 2, 1), (102, 1, 3)]


@pytest.mark.parametrize(
    ("above", "line"), [("Employees of 2021\n", 2), (",,,,\n,,,,\n", 3), ("Report,,,,\nmade,today,,,\n\n", 4)]
)
def test_01_anything_else_above_the_header_is_refused(loaded: Pipeline, above: str, line: int) -> None:
    text = above + "id,name,datetime,job_id,department_id\n1,A,2021-03-01T09:00:00Z,1,2\n"
    report = loaded.migrate("raw/hired_employees.csv", text)
    assert_refused(report, "header", f"line {line} names the columns", "line 1 stands before it", "skip_lines")
    skipped = loaded.upload("raw/hired_employees-2.csv", text, {"rowferry-skip-lines": str(line - 1)})
    assert loaded.run(skipped)["inserted"] == 1
    assert hired(loaded) == [(1, 2, 1)]


@pytest.mark.parametrize("text", [None, "Nr;Wer;Wann;Was;Wo\n1;A;2021-03-01T09:00:00Z;1;2\n"])
def test_02_a_header_of_other_names_is_refused(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate("raw/hired_employees-hr.csv", text or given("02-header-of-other-names", "hired.csv"))
    assert_refused(report, "header", "line 1 looks like a header", "header=False", "department_id")
    assert hired(loaded) == []


def test_02_a_format_may_say_that_there_is_no_header(pipeline: Pipeline) -> None:
    upload = pipeline.upload("raw/departments.csv", "x,Sales\n2,Legal\n", {"rowferry-header": "false"})
    report = pipeline.run(upload)
    assert (report["rejected_by_code"], pipeline.table("departments")) == ({"int_format": 1}, [(2, "Legal")])


def test_a_header_of_other_names_may_be_given_their_columns(pipeline: Pipeline) -> None:
    metadata = {"rowferry-names": '{"Nr": "id", "Abteilung": "name"}', "rowferry-extra": "ignore"}
    upload = pipeline.upload("raw/departments.csv", "ABTEILUNG,Chef,Nr\nSales,Ann,1\n", metadata)
    report = pipeline.run(upload)
    assert pipeline.table("departments") == [(1, "Sales")]
    assert (report["format"]["names"], report["format"]["extra"]) == ({"Nr": "id", "Abteilung": "name"}, "ignore")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"rowferry-colour": "red"}, "rowferry-colour is unknown"),
        ({"rowferry-decimal": "x"}, "decimal is 'x'"),
        ({"rowferry-encoding": "klingon"}, "encoding is 'klingon'"),
        ({"rowferry-skip-lines": "many"}, "rowferry-skip_lines is 'many'; it must be a whole number"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(pipeline: Pipeline, metadata: dict[str, str], words: str) -> None:
    assert_refused(pipeline.run(pipeline.upload("raw/departments.csv", "1,A\n", metadata)), "format", words)


@pytest.mark.parametrize("text", [None, '\ufeffname,id\nA,231\n\ufeff"B",232\n\ufeffNAME,ID\nC,233\n'])
def test_10_marks_where_files_were_joined(pipeline: Pipeline, text: str | None) -> None:
    report = pipeline.migrate("raw/departments-joined.csv", text or given("10-bom-in-the-middle", "departments.csv"))
    assert [row[0] for row in pipeline.table("departments")] == [231, 232, 233]
    assert not any("\ufeff" in row[1] for row in pipeline.table("departments"))
    assert report["rejected_by_code"] == {"header_again": 1}
    assert report["left_out"]["byte_order_marks"] == 3


def test_a_second_header_in_another_order_is_refused(loaded: Pipeline) -> None:
    rows = "".join(f"{number},A,2021-03-01T09:00:00Z,1,2\n" for number in range(1, 301))
    text = HEAD + rows + "id,name,datetime,job_id,department_id\n301,B,2021-03-01T09:00:00Z,1,2\n"
    assert_refused(loaded.migrate("raw/hired_employees.csv", text), "header", "line 302", "another order")
    assert hired(loaded) == []


# --- what carries no data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("a-header", "id,,name,\r\n201,,Sales,\r\n202,,Legal,\r\n,,,\r\n", [201, 202]),
        ("b-no-header", "203,Sales,,,\r\n204,Legal\r\n", [203, 204]),
        ("c-trailing-delimiter", "id;name;\r\n205;Sales\r\n206;Legal;;;\r\n", [205, 206]),
        ("d-empty-rows", 'id,name\r\n,\r\n"",""\r\n207,Sales\r\n,,,\r\n', [207]),
    ],
)
def test_07_empty_columns_and_rows(pipeline: Pipeline, name: str, text: str, ids: list[int]) -> None:
    report = pipeline.migrate("raw/departments-own.csv", text)
    assert (report["rejected"], report["read"]) == (0, len(ids))
    assert report["left_out"]
    assert [row[0] for row in pipeline.table("departments")] == ids
    report = pipeline.migrate("raw/departments-case.csv", given("07-excel-empty-columns-and-rows", f"{name}.csv"))
    assert counts(report) == (len(ids), 0, 0)


def test_07_a_surplus_field_with_something_in_it_is_a_reject(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "id,,name,\n1,x,A,\n2,,B,y\n3,,C,\n\x1a")
    assert (report["rejected_by_code"], report["inserted"]) == ({"field_count": 2}, 1)
    assert report["left_out"]["end_of_file_mark"] == 1


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "id,name\n1,NULL\n2,n/a\n3,NaN\n4,none\n5,#n/a\n6,\\N\n"])
def test_16_words_for_null_are_kept_and_counted(pipeline: Pipeline, text: str | None) -> None:
    report = pipeline.migrate("raw/departments.csv", text or given("16-words-for-null", "departments.csv"))
    assert (report["inserted"], report["seen"]["words_for_null"]) == (6, 6 if text is None else 5)


def test_blanks_at_the_ends_of_texts_are_kept_and_counted_or_trimmed(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "1, A\n2,B \n3,C\n")
    assert report["seen"] == {"blanks_at_ends": 2}
    report = pipeline.run(pipeline.upload("raw/departments.csv", "1, A\n2,B \n3,C\n", {"rowferry-trim": "true"}))
    assert pipeline.table("departments") == [(1, "A"), (2, "B"), (3, "C")]


@pytest.mark.parametrize("text", [None, '1,"a\u2028b"\n2,a\x85b\n3,a\x0bb\n4,a\x0cb\n5,\x1c\x1d\x1ea\n6,b\u2029\n,x\n'])
def test_24_separators_that_are_no_line_ends(pipeline: Pipeline, text: str | None) -> None:
    body = text or given("24-separators-that-are-no-line-ends", "departments.csv")
    assert counts(pipeline.migrate("raw/departments.csv", body)) == (7, 6, 1)
    again = pipeline.migrate("raw/departments.csv", body)
    assert (again["unchanged"], again["rejected"]) == (6, 1)


# --- quotes and escapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, 'id,name\n251,"24 inch\n252,Desks 27"\n253,Chairs\n'])
def test_12_rows_within_a_quoted_field_refuse_the_file(pipeline: Pipeline, text: str | None) -> None:
    report = pipeline.migrate("raw/departments.csv", text or given("12-one-slip-of-a-quote", "departments.csv"))
    assert_refused(report, "doubtful_quote", "line 2", "row")


OUTFILE = {
    "rowferry-delimiter": "\\t",
    "rowferry-quote": "none",
    "rowferry-escape": "\\",
    "rowferry-nulls": '["\\\\N"]',
}


@pytest.mark.parametrize(
    "text", [None, '261\tR&D \\\\ Lab\n262\tline one\\\nline two\n263\t\\N\n264\tTab\\\there\n265\t"x\n']
)
def test_13_escapes_of_outfile(pipeline: Pipeline, text: str | None) -> None:
    body = text or given("13-outfile-escapes", "departments.csv")
    assert_refused(pipeline.migrate("raw/departments.csv", body), "doubtful_escape", "line 2", "CsvFormat(")
    report = pipeline.run(pipeline.upload("raw/departments-2.csv", body, OUTFILE))
    assert report["rejected_by_code"] == {"missing": 1}
    table = dict(pipeline.table("departments"))
    assert (table[261], table[262], table[264]) == ("R&D \\ Lab", "line one\nline two", "Tab\there")
    assert report["format"]["escape"] == "\\"


def test_a_blank_before_an_opening_quote_is_a_reject(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", '1,A\n2, "B"\n3, "C, D"\n')
    assert (report["inserted"], report["rejected_by_code"]) == (1, {"bad_quoting": 2})


@pytest.mark.parametrize("text", [None, "581,C:\\new\n582,\\\n583\\,x\n584\n585,a,b\n"])
def test_46_backslashes_are_letters_and_rows_are_not_mended(pipeline: Pipeline, text: str | None) -> None:
    report = pipeline.migrate("raw/departments.csv", text or given("46-short-rows-and-backslashes", "departments.csv"))
    assert report["read"] == 5
    assert report["rejected_by_code"]["field_count"] == 2


def test_47_line_ends_within_quotes(pipeline: Pipeline) -> None:
    text = "".join(f'{number},"Team {number}\r\n""{number}"", floor\n"\n' for number in range(1, 1501))
    assert counts(pipeline.migrate("raw/departments.csv", text)) == (1500, 1500, 0)
    body = given("47-line-feeds-at-every-boundary", "departments.csv.gz")
    assert counts(pipeline.migrate("raw/departments-multiline.csv.gz", body)) == (2100, 2100, 0)


# --- encodings and kinds of files -----------------------------------------------------------------------------------


def test_25_gzip_of_several_members(pipeline: Pipeline) -> None:
    body = gzip.compress(b"id,name\n1,A\n") + gzip.compress(b"") + gzip.compress(b"2,B\n") + b"\0" * 100
    assert counts(pipeline.migrate("raw/departments.CSV.GZ", body)) == (2, 2, 0)
    body = given("25-gzip-of-several-members", "departments.csv.gz")
    assert counts(pipeline.migrate("raw/departments-members.csv.gz", body)) == (4, 4, 0)


@pytest.mark.parametrize(
    ("key", "body", "code", "words"),
    [
        ("raw/departments.csv", gzip.compress(b"1,A\n"), "gzip", "it is gzip; name it .csv.gz"),
        ("raw/departments.csv.gz", gzip.compress(gzip.compress(b"1,A\n")), "gzip", "gzip inside gzip"),
        ("raw/departments.csv", b"PK\x03\x04\x14\0", "zip", "a zip archive"),
        ("raw/departments.csv", b"PK\x03\x04\x14\0[Content_Types].xml", "excel", "an Excel workbook"),
        ("raw/departments.csv", b"<!DOCTYPE html>\n<html>", "html", "HTML"),
    ],
)
def test_28_files_that_are_no_csv_are_called_by_their_name(
    pipeline: Pipeline, key: str, body: bytes, code: str, words: str
) -> None:
    assert_refused(pipeline.migrate(key, body), code, words)


@pytest.mark.parametrize("name", ["departments.csv", "twice.csv.gz"])
def test_28_the_case(pipeline: Pipeline, name: str) -> None:
    body = given("28-csv-by-name-is-gzip", name)
    assert_refused(pipeline.migrate(f"raw/departments-{name}", body), "gzip")


@pytest.mark.parametrize("body", [None, b"id,name\n1,Sales\n432,Caf\xe9 team\n"])
def test_31_one_byte_of_another_encoding(pipeline: Pipeline, body: bytes | None) -> None:
    body = body or given("31-one-byte-of-another-encoding", "latin1.csv")
    report = pipeline.migrate("raw/departments-latin1.csv", body)
    assert_refused(report, "not_utf8", "line 3", "byte 8 of the line", "cp1252", "rowferry-encoding=cp1252")
    report = pipeline.run(pipeline.upload("raw/departments-2.csv", body, {"rowferry-encoding": "cp1252"}))
    assert dict(pipeline.table("departments"))[432] == "Café team"
    assert report["format"]["encoding"] == "cp1252"


def test_31_surrogates_are_named(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", b"id,name\n1,\xed\xa0\xbd\xed\xb8\x80\n")
    assert_refused(report, "not_utf8", "line 2", "CESU-8")
    body = given("31-one-byte-of-another-encoding", "cesu8.csv")
    assert_refused(pipeline.migrate("raw/departments-cesu8.csv", body), "not_utf8", "line 3", "CESU-8")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("key", ["raw/departments.csv", "raw/departments.csv.gz"])
def test_utf_16_with_a_mark_is_converted(pipeline: Pipeline, encoding: str, key: str) -> None:
    body = '\ufeffid\tname\r\n1\tGröße 😀\r\n2\t"a\r\nb"\r\n'.encode(encoding)
    report = pipeline.migrate(key, gzip.compress(body) if key.endswith(".gz") else body)
    assert pipeline.table("departments") == [(1, "Größe 😀"), (2, "a\r\nb")]
    assert report["format"]["encoding"] == "utf-16"


# --- names ----------------------------------------------------------------------------------------------------------


def test_06_hidden_and_temporary_keys_start_no_run_and_stay(pipeline: Pipeline, bucket: Bucket) -> None:
    keys = [
        "raw/departments/_temporary/0/part-00000.csv", "raw/departments/_SUCCESS", "raw/departments_$folder$",
        "raw/departments/.hidden.csv", "raw/departments.csv.filepart", "raw/departments.csv~",
        "check/_x/departments.csv",
    ]  # fmt: skip
    for key in keys:
        assert pipeline.plan(pipeline.upload(key, "1,A\n")).outcome == "ignored"
        assert not is_upload(key)
        assert bucket.exists(key)
    assert pipeline.migrate("raw/departments/part-00000.csv", "1,Sales\n2,Legal\n")["inserted"] == 2


@pytest.mark.parametrize(
    "key",
    [
        "raw/departments (1).csv", "raw/departments_2024-01-31.csv", "raw/departments.CSV", "raw/Departments.csv",
        "raw/departments.csv.csv", "raw/hr/departments/LOAD00000001.csv", "raw/departments/0000_part_00",
        "raw/departments.2024.csv", "raw/DEPARTMENTS/x.Csv", "raw/departments(2).csv",
    ],
)  # fmt: skip
def test_34_names_of_files(pipeline: Pipeline, key: str) -> None:
    assert pipeline.migrate(key, "id,name\n461,Sales\n")["inserted"] == 1


def test_34_a_name_that_fits_two_tables_is_refused_naming_both(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/jobs/departments.csv", "1,A\n")
    assert_refused(report, "unknown_table", "departments and jobs")


def test_35_rejects_are_called_so_that_they_can_be_uploaded(pipeline: Pipeline, bucket: Bucket) -> None:
    report = pipeline.migrate("raw/departments-x.csv", "id,name\n471,\n")
    assert report["rejects_key"].endswith("/departments-rejects.csv")
    body = bucket.read_all(report["rejects_key"])
    assert body.startswith(b"\xef\xbb\xbfid,name,_line,")
    assert pipeline.migrate("raw/departments-rejects.csv", body.replace(b"471,,", b"471,Filled in,"))["inserted"] == 1
    assert_refused(pipeline.migrate("raw/rejects.csv", body), "unknown_table", "-rejects.csv")


def test_37_rejects_begin_with_a_byte_order_mark(pipeline: Pipeline, bucket: Bucket) -> None:
    report = pipeline.migrate("raw/departments-accents.csv", "id,name\n491,Größe und Maß\nx,Sáles\n")
    assert (report["inserted"], report["rejected_by_code"]) == (1, {"int_format": 1})
    assert bucket.read_all(report["rejects_key"]).startswith(b"\xef\xbb\xbf")


def test_40_characters_of_a_key(pipeline: Pipeline, bucket: Bucket) -> None:
    name = "Zu\u0308rich + Genf (1) 100% ü=ö&a,b;c"
    report = pipeline.migrate(f"raw/departments/{name}.csv", "id,name\n521,Sales\n,Legal\n")
    assert counts(report) == (2, 1, 1)
    assert report["moved_to"] == f"processed/departments/{name}.csv"
    assert report["rejects_key"] == f"errors/departments/{name}/{report['run']}/departments-rejects.csv"
    assert bucket.exists(report["rejects_key"])


def test_43_what_load_data_skips_is_a_reject(loaded: Pipeline) -> None:
    body = (
        HEAD + "551,A,2021-03-01T09:00:00Z,1,1\n552,B,2021-03-02T09:00:00Z,99,1\n553,C,2021-03-03T09:00:00Z,2,2\n"
        "553,D,2021-03-04T09:00:00Z,2,2\n554,,2021-03-05T09:00:00Z,3,3\n"
    )
    report = loaded.migrate("raw/hired_employees-skipped.csv", body)
    assert report["rejected_by_code"] == {"duplicate_in_file": 1, "missing": 1, "no_parent": 1}
    again = loaded.migrate("raw/hired_employees-skipped.csv", body)
    assert (again["unchanged"], again["rejected"]) == (2, 3)
