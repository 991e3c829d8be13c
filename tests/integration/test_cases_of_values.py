"""Files that bit people who do this job: names of columns and forms of values, through the whole pipeline.

Each file is made here; the shared ones, where they lie beside the project, are loaded too.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, create_model

from rowferry.config import Settings
from rowferry.declare import Decimal, Double, Id, Integer, Text, Timestamp, Varchar
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.declared import declared
from tests.support.pipeline import Pipeline
from tests.support.shared_cases import given

HEAD = "id,name,datetime,department_id,job_id\n"
AT_NINE = "2021-03-01 09:00:00"


class Badge(BaseModel, title="badges"):
    id: Id
    holderName: Annotated[str, Text()]


class Stock(BaseModel, title="stock"):
    ID: Id
    WarehouseID: Annotated[int, Integer(minimum=1)]
    Quantity: Annotated[int, Integer(minimum=0)]


Constant = create_model("Constant", __base__=BaseModel, id=(Id, ...), k=(Annotated[int, Integer()], ...))
Constant.model_config["title"] = "constants"
Awkward = create_model(
    "Awkward",
    __base__=BaseModel,
    id=(Id, ...),
    **{name: (Annotated[int, Integer()], ...) for name in ("Class", "order", "row", "line", "s", "c", "Key", "found")},  # type: ignore[call-overload]
)
Awkward.model_config["title"] = "awkward"


class Price(BaseModel, title="prices"):
    id: Id
    amount: Annotated[str, Decimal(12, 2)]
    weight: Annotated[float, Double()]
    pieces: Annotated[int, Integer()]
    note: Annotated[str, Varchar(20)]


class Meeting(BaseModel, title="meetings"):
    id: Id
    at: Annotated[Any, Timestamp(date_only=True)]


@pytest.fixture(scope="module", autouse=True)
def tables(administrator: Settings) -> Iterator[None]:
    with declared(administrator, Badge, Stock, Constant, Awkward, Price, Meeting):
        yield


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """With departments and jobs 1 to 3."""
    for table in ("departments", "jobs"):
        assert pipeline.migrate(f"raw/{table}-setup.csv", "id,name\n1,one\n2,two\n3,three\n")["inserted"] == 3
    return pipeline


def counts(report: Mapping[str, Any]) -> tuple[int, int, int]:
    return report["read"], report["inserted"], report["rejected"]


def hired(pipeline: Pipeline) -> dict[int, tuple[Any, ...]]:
    """Each employee's name, moment, department and job by id."""
    return {row[0]: row[1:] for row in pipeline.table("hired_employees")}


# --- names of columns ------------------------------------------------------------------------------------------------


def test_04_names_are_compared_without_regard_to_case(pipeline: Pipeline) -> None:
    badges, stock = "id,holderName\n1,Ann Example\n", "ID,Quantity,WarehouseID\n1,500,7\n2,40,3\n"
    assert counts(pipeline.migrate("raw/badges.csv", badges)) == (1, 1, 0)
    assert counts(pipeline.migrate("raw/stock.csv", stock)) == (2, 2, 0)
    assert pipeline.table("stock") == [(1, 7, 500), (2, 3, 40)]
    for text in ("HOLDERNAME,Id\nBo Example,1\n", "holdername;ID\nBo Example;1\n"):
        report = pipeline.migrate("raw/badges-other.csv", text)
        assert (report["rejected"], pipeline.table("badges")) == (0, [(1, "Bo Example")])
    for table in ("badges", "stock"):
        body = given("04-capital-letters-in-a-declared-column", f"{table}.csv")
        assert counts(pipeline.migrate(f"raw/{table}.csv", body))[1:] == (0, 0)


def test_05_no_name_of_a_column_is_taken_by_a_helper_table(pipeline: Pipeline) -> None:
    assert counts(pipeline.migrate("raw/constants.csv", "id,k\n1,5\n")) == (1, 1, 0)
    second = pipeline.migrate("raw/constants-2.csv", "id,k\n1,6\n2,7\n")
    assert (second["inserted"], second["updated"], second["rejected"]) == (1, 1, 0)
    assert pipeline.table("constants") == [(1, 6), (2, 7)]


def test_05_names_that_sql_and_our_own_statements_use(pipeline: Pipeline) -> None:
    names = "id,Class,order,row,line,s,c,Key,found\n"
    assert counts(pipeline.migrate("raw/awkward.csv", names + "1,1,2,3,4,5,6,7,8\n")) == (1, 1, 0)
    second = pipeline.migrate("raw/awkward-2.csv", names + "1,9,2,3,4,5,6,7,8\n2,1,2,3,4,5,6,7,8\n2,0,0,0,0,0,0,0,0\n")
    assert (second["inserted"], second["updated"], second["rejected_by_code"]) == (1, 1, {"duplicate_in_file": 1})
    assert pipeline.table("awkward")[0] == (1, 9, 2, 3, 4, 5, 6, 7, 8)


# --- forms of values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        None,
        "id, name, datetime, department_id, job_id\n"
        "211, Ann Example, 2021-03-01 09:00:00, 1, 2\n212, Bo Example, 2021-03-02T09:00:00Z, 2, 1\n",
        HEAD + "211 , Ann Example,  2021-03-01 09:00:00Z  ,1 ,  2 \n212, B\t,2021-03-02 09:00:00.000 UTC ,2,1\n",
    ],
)
def test_08_blanks_around_values_that_are_no_text(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate("raw/hired_employees-spaces.csv", text or given("08-comma-and-space", "hired.csv"))
    assert counts(report) == (2, 2, 0)
    assert hired(loaded)[211] == (" Ann Example", AT_NINE, 1, 2)
    assert report["seen"] == {"blanks_at_ends": 2}


def test_08_a_format_takes_the_blanks_away(loaded: Pipeline) -> None:
    text = HEAD + "211, Ann Example , 2021-03-01 09:00:00, 1, 2\n"
    report = loaded.run(loaded.upload("raw/hired_employees.csv", text, {"rowferry-trim": "true"}))
    assert counts(report) == (1, 1, 0)
    assert hired(loaded)[211] == ("Ann Example", AT_NINE, 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        None,
        HEAD + f"301,Ann,{AT_NINE},1.0,2.0\n302,Bo,{AT_NINE},,1.0\n303,Cy,{AT_NINE},1.5,1.0\n",
        HEAD + f"301.0,Ann,{AT_NINE},1.00,2.000\n302,Bo,{AT_NINE},,1\n303,Cy,{AT_NINE},1.,1.0\n",
    ],
)
def test_17_whole_numbers_that_were_floats_once(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate(
        "raw/hired_employees-pandas.csv", text or given("17-pandas-made-floats-of-ids", "hired.csv")
    )
    assert report["rejected_by_code"] == {"missing": 1, "int_format": 1}
    assert hired(loaded).keys() == {301}
    assert hired(loaded)[301][2:] == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        None,
        HEAD + "321,Ann,2021-03-01 09:00:00 UTC,1,2\n322,Bo,2021-03-01 09:00:00+00,1,2\n",
        HEAD + "321,Ann,2021-03-01 09:00:00 GMT,1,2\n322,Bo,2021-03-01T09:00:00 Z,1,2\n",
    ],
)
def test_19_utc_in_letters(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate("raw/hired_employees-bigquery.csv", text or given("19-UTC-in-letters", "hired.csv"))
    assert counts(report) == (2, 2, 0)
    assert {row[1] for row in hired(loaded).values()} == {AT_NINE}


def test_19_other_letters_are_no_zone(loaded: Pipeline) -> None:
    rows = [f"{id},A,2021-03-01 09:00:00 {zone},1,2\n" for id, zone in enumerate(("CET", "EST", "utc+1", "U"), 1)]
    report = loaded.migrate("raw/hired_employees.csv", HEAD + "".join(rows) + f"9,B,{AT_NINE},1,2\n")
    assert (report["inserted"], report["rejected_by_code"]) == (1, {"datetime_format": 4})


@pytest.mark.parametrize(
    "text",
    [
        None,
        HEAD + "331,Ann,2021-03-01T08:00:00,1,2\n332,Bo,2021-03-01,1,2\n333,Cy,2021-03-02,2,1\n",
        HEAD + "331,Ann,2021-03-01T08:00:00,1,2\n332,Bo, 2024-02-29 ,1,2\n333,Cy,1970-01-02,2,1\n",
    ],
)
def test_20_a_date_without_its_time(loaded: Pipeline, text: str | None) -> None:
    report = loaded.migrate("raw/hired_employees-metabase.csv", text or given("20-midnight-lost-its-time", "hired.csv"))
    assert (report["inserted"], report["rejected_by_code"]) == (1, {"datetime_format": 2})
    for reject in loaded.rejects(report):
        assert "has no time of day" in reject["_message"]
        assert "Timestamp(date_only=True)" in reject["_message"]


def test_20_a_declaration_may_say_that_a_date_is_its_midnight(pipeline: Pipeline) -> None:
    text = "id,at\n1,2021-03-01T08:00:00\n2,2021-03-01\n3, 2021-03-02 \n4,2021-02-29\n"
    report = pipeline.migrate("raw/meetings.csv", text)
    assert (report["inserted"], report["rejected_by_code"]) == (3, {"datetime_format": 1})
    moments = [str(row[1]) for row in pipeline.table("meetings")]
    assert moments == ["2021-03-01 08:00:00", "2021-03-01 00:00:00", "2021-03-02 00:00:00"]


EXCEL = (
    HEAD + "1.23E+05,Ann,2021-03-01 09:00,1,2\n341,Bo,01/03/2021 09:00,1,2\n342,Cy,44256.375,1,2\n"
    '"=""00343""",Di,2021-03-01 09:00,1,2\n\'00344,Ed,2021-03-01 09:00,1,2\n"123,456",Flo,2021-03-01 09:00,1,2\n'
    "345,Gil,2021-03-01 9:00,1,2\n00346,Hal,2021-03-01 09:00,1,2\n346,Hal,2021-03-01 09:00,1,2\n"
)


@pytest.mark.parametrize("text", [None, EXCEL])
def test_21_what_a_spreadsheet_made_of_ids_and_dates(loaded: Pipeline, text: str | None) -> None:
    body = text or given("21-what-excel-made-of-ids-and-dates", "hired.csv")
    report = loaded.migrate("raw/hired_employees-excel.csv", body)
    assert counts(report) == (9, 1, 8)
    assert hired(loaded).keys() == {346}
    assert report["rejected_by_code"] == {"int_format": 4, "datetime_format": 3, "duplicate_in_file": 1}


def test_21_a_spreadsheets_other_forms_are_no_whole_numbers(loaded: Pipeline) -> None:
    forms = ["1e3", "1,000.0", "#REF!", "########", "TRUE", "12%", "$5", "(7)", "5-Mar", "٣", "1 000", "=1+1"]
    body = HEAD + f"1,Bo,{AT_NINE},1,2\n" + "".join(f'"{form}",Ann,{AT_NINE},1,2\n' for form in forms)
    report = loaded.migrate("raw/hired_employees.csv", body)
    assert (report["inserted"], report["rejected_by_code"]) == (1, {"int_format": len(forms)})
    assert hired(loaded).keys() == {1}


# --- numbers of a declared format ------------------------------------------------------------------------------------


@pytest.fixture
def no_prices(admin: Connection) -> None:
    mysql.run(admin, "TRUNCATE TABLE prices")


GERMAN = {"rowferry-decimal": ",", "rowferry-thousands": ".", "rowferry-delimiter": ";"}


@pytest.mark.usefixtures("no_prices")
def test_a_decimal_comma_and_points_between_thousands(pipeline: Pipeline) -> None:
    text = (
        "id;amount;weight;pieces;note\n1;1.234,5;2,5e-3;1.000;1.234,5\n1.002;-1.234.567,89;0,1; 12 ;a,b\n"
        "3;1234,50;1.000;1,0;x\n4;12.34,5;1;1;x\n5;1,234.5;1;1;x\n6;1;1;1,5;x\n7;1;1.00;1;x\n8;1,005;1;1;x\n9;;1;1;x\n"
    )
    report = pipeline.run(pipeline.upload("raw/prices.csv", text, GERMAN))
    assert [tuple(map(str, row)) for row in pipeline.table("prices")] == [
        ("1", "1234.50", "0.0025", "1000", "1.234,5"),
        ("3", "1234.50", "1000.0", "1", "x"),
        ("1002", "-1234567.89", "0.1", "12", "a,b"),
    ]
    expected = {"decimal_format": 2, "int_format": 1, "double_format": 1, "decimal_precision": 1, "missing": 1}
    assert report["rejected_by_code"] == expected
    assert (report["format"]["decimal"], report["format"]["thousands"]) == (",", ".")
    reasons = {row["id"]: row["_message"] for row in pipeline.rejects(report)}
    assert "amount '12.34,5' is not a number as the format has them, such as 1.234,5" in reasons["4"]


@pytest.mark.usefixtures("no_prices")
def test_without_that_format_a_decimal_comma_is_a_reject_and_no_other_number(pipeline: Pipeline) -> None:
    text = "id;amount;weight;pieces;note\n1;1.234,5;1;1;x\n2;1.234;1;1;x\n3;12,5;1;1;x\n4;12.5;1;1;x\n"
    report = pipeline.migrate("raw/prices.csv", text)
    assert report["rejected_by_code"] == {"decimal_format": 2, "decimal_precision": 1}
    assert [str(row[1]) for row in pipeline.table("prices")] == ["12.50"]


@pytest.mark.parametrize("mark", ["'", "_"])
@pytest.mark.usefixtures("no_prices")
def test_other_marks_between_thousands(pipeline: Pipeline, mark: str) -> None:
    text = f"id;amount;weight;pieces;note\n1;1{mark}234{mark}567.25;1;-9{mark}000;x\n2;1.5;1;90{mark}00;x\n"
    report = pipeline.run(pipeline.upload("raw/prices.csv", text, {"rowferry-thousands": mark}))
    assert report["rejected_by_code"] == {"int_format": 1}
    assert [(str(row[1]), row[3]) for row in pipeline.table("prices")] == [("1234567.25", -9000)]
