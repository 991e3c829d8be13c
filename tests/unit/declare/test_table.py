from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from rowferry.declare.catalog import TABLES, table_named, table_of_path
from rowferry.declare.definition import Column, Reference
from rowferry.declare.table import read_models
from rowferry.declare.table_class import Id, Key, References
from rowferry.declare.types import Decimal, Integer, Text, Timestamp
from rowferry.errors import UnknownTable


class Shop(BaseModel, title="shops"):
    id: Id
    name: Annotated[str, Text()]


class Order(BaseModel, title="orders"):
    at: Annotated[Any, Timestamp()]
    shop_id: Annotated[int, Integer(minimum=1), References(Shop)]
    id: Id


def test_the_tables_stand_parents_first_with_their_columns_in_order() -> None:
    assert {name: table.names for name, table in list(TABLES.items())[:3]} == {  # there may be more
        "departments": ("id", "name"),
        "jobs": ("id", "name"),
        "hired_employees": ("id", "name", "datetime", "department_id", "job_id"),
    }
    assert list(TABLES)[:3] == ["departments", "jobs", "hired_employees"]


def test_adding_a_table_is_adding_a_class() -> None:
    orders = read_models([Shop, Order])["orders"]
    assert orders.columns == (
        Column("at", Timestamp()),
        Column("shop_id", Integer(minimum=1)),
        Column("id", Integer(minimum=1)),
    )
    assert orders.key == ("id",)
    assert orders.references == (Reference(("shop_id",), "shops", ("id",)),)
    ((moment, shop, key),) = orders.rows.validate_python([("2021-07-27T16:02:08Z", "7", "1")])
    assert (moment.year, shop, key) == (2021, 7, 1)


class Price(BaseModel, title="prices"):
    id: Id
    euros: Annotated[str, Decimal(10, 2)]
    sold: Annotated[int, Integer(minimum=0, maximum=2**40)]


def test_decimals_and_long_numbers_are_columns_like_any_other() -> None:
    prices = read_models([Price])["prices"]
    assert [column.kind.ddl for column in prices.columns] == ["int", "decimal(10,2)", "bigint"]
    assert prices.rows.validate_python([("1", "7.5", "3000000000")]) == [(1, "7.5", 3_000_000_000)]
    fields = Price.model_json_schema()["properties"]
    assert {field["type"] for field in fields.values()} == {"string"}
    assert fields["euros"]["description"] == (
        "A decimal number from -99999999.99 to 99999999.99, 2 digits behind the point"
    )


def test_a_parent_must_be_declared_above_its_child() -> None:
    with pytest.raises(TypeError, match=r"Order\.shop_id refers to shops, which must be declared above it"):
        read_models([Order, Shop])


class Keyless(BaseModel):
    name: Annotated[str, Text()]


class Typeless(BaseModel):
    id: Id
    name: str


class TextKey(BaseModel):
    id: Annotated[str, Text(), Key()]


class WideReference(BaseModel):
    id: Id
    shop_id: Annotated[int, Integer(maximum=2**40), References(Shop)]


class Hyphen(BaseModel, title="my-payments"):
    id: Id


class Ours(BaseModel, title="rowferry_runs"):
    id: Id


class All(BaseModel, title="all"):
    id: Id


class Doubled(BaseModel):
    id: Id
    Name: Annotated[str, Text()]
    name: Annotated[str, Text()]


class TwoTypes(BaseModel):
    id: Id
    price: Annotated[str, Decimal(10, 2), Text()]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Hyphen, r"Hyphen: 'my-payments' can't be a name"),
        (Ours, r"Ours: 'rowferry_runs' can't be a name"),
        (All, r"All: 'all' can't be a name"),
        (TextKey, r"TextKey\.id is a key, which can't be a Text; take a Varchar"),
        (WideReference, r"WideReference\.shop_id is bigint, but shops\.id, to which it refers, is int"),
        (TwoTypes, r"TwoTypes\.price must have exactly one type of rowferry\.declare; it has Decimal and Text"),
        (Doubled, r"Doubled\.name: there is a column of this name already; upper and lower case are the same"),
        (Keyless, r"Keyless has no key: mark one column or several with Key\(\)"),
        (Typeless, r"Typeless\.name must have exactly one type of rowferry\.declare"),
    ],
)
def test_a_class_that_is_no_table_is_named(model: type[BaseModel], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        read_models([Shop, model])


def test_an_unknown_table_is_named_with_those_that_are_known() -> None:
    assert table_named("jobs") is TABLES["jobs"]
    with pytest.raises(
        UnknownTable, match="there is no table 'Jobs'; the tables are departments, jobs, hired_employees"
    ):
        table_named("Jobs")


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("jobs.csv", "jobs"),
        ("jobs.csv.gz", "jobs"),
        ("jobs-2021.csv", "jobs"),
        ("jobs-2021-07-27 (1)+é%20.csv.gz", "jobs"),
        ("jobs-.csv", "jobs"),
        ("jobs/2021.csv", "jobs"),
        ("jobs/a/b/c.csv", "jobs"),
        ("jobs.CSV", "jobs"),
        ("Jobs.csv", "jobs"),
        ("jobs_2021.csv", "jobs"),
        ("jobs.csv.csv", "jobs"),
        ("jobs.2021.csv", "jobs"),
        ("old/jobs.csv", "jobs"),
        ("hr/jobs/LOAD00000001.csv", "jobs"),
        ("jobs/0000_part_00", "jobs"),
        ("departments/jobs/2021.csv", "jobs"),
        ("hired_employees.csv", "hired_employees"),
        ("departments-" + "a" * 1000 + ".csv", "departments"),
    ],
)
def test_a_path_names_its_table(path: str, table: str) -> None:
    assert table_of_path(path) is TABLES[table]


@pytest.mark.parametrize(
    "path",
    [
        "", "jobs", "jobs2.csv", "jobs.csv/a.csv", "job.csv", "jobs.csv.zip", "jobs.gz", "jobs-a.txt", " jobs.csv",
        "my-jobs.csv", ".csv", "rejects.csv", "jobs/departments.csv", "jobs/data.json",
    ],
)  # fmt: skip
def test_a_path_that_almost_names_a_table_names_none(path: str) -> None:
    assert table_of_path(path) is None


def test_the_json_schema_shows_fields_as_they_stand_in_a_csv() -> None:
    schema = TABLES["hired_employees"].model.model_json_schema()
    assert schema["title"] == "hired_employees"
    assert schema["required"] == ["id", "name", "datetime", "department_id", "job_id"]
    assert {field["type"] for field in schema["properties"].values()} == {"string"}
    assert schema["properties"]["id"] == {
        "title": "Id",
        "type": "string",
        "pattern": r"^ *-?[0-9]+(\.0+)? *$",
        "description": "A whole number from 1 to 2147483647, in digits",
        "examples": ["1"],
    }
    assert "maxLength" not in schema["properties"]["name"]
