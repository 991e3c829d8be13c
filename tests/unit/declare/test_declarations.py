"""What a class may declare, and all that is wrong in declarations, told at once in words."""

import datetime as dt
import decimal
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, field_validator

from rowferry import declare
from rowferry.declare import CsvFormat, Decimal, Double, Integer, Key, References, Table, Text, Varchar
from rowferry.declare.catalog import TABLES
from rowferry.declare.ddl import create_table
from rowferry.declare.definition import Column, Reference, TableDefinition
from rowferry.declare.table import read_models


class Shop(Table, name="shops"):
    country: Annotated[str, Varchar(20), Key()]
    number: Annotated[int, Integer(), Key()]
    class_: Annotated[str, Text()] = Field(alias="class")


class Sale(Table, name="sales", csv=CsvFormat(delimiter=";", names={"Nr": "id"})):
    id: Annotated[int, Integer(minimum=0, maximum=2**40), Key()]
    number: Annotated[int, Integer(), References(Shop, "number", name="seller")]
    country: Annotated[str, Varchar(20), References(Shop, "country", name="seller")]
    other: Annotated[int, Integer(), References(Shop, "number", name="buyer")]
    other_country: Annotated[str, Varchar(20), References(Shop, "country", name="buyer")]
    total: Annotated[decimal.Decimal, Decimal(12, 2)]


def test_a_class_declares_name_format_key_and_references() -> None:
    shops, sales = read_models([Shop, Sale]).values()
    assert (shops.name, shops.key, shops.names) == ("shops", ("country", "number"), ("country", "number", "class"))
    assert sales.csv == CsvFormat(delimiter=";", names={"Nr": "id"})
    assert shops.csv == CsvFormat()
    assert sales.column("total") == Column("total", Decimal(12, 2))
    assert sales.references == (
        Reference(("country", "number"), "shops", ("country", "number")),
        Reference(("other_country", "other"), "shops", ("country", "number")),
    )
    assert hash(sales) == hash(read_models([Shop, Sale])["sales"])
    assert Shop.model_json_schema()["title"] == "shops"
    assert list(Shop.model_json_schema()["properties"]) == ["country", "number", "class"]


def test_the_tables_of_the_challenge_are_declared_as_before() -> None:
    """A run that an earlier release began goes on only with the same text."""
    assert [TABLES[name].declaration for name in ("departments", "hired_employees")] == [
        "id int key, name text",
        "id int key, name text, datetime timestamp, department_id int of departments, job_id int of jobs",
    ]


class Nameless(Table):
    id: Annotated[int, Integer(), Key()]


class Wrong(Table, name="rowferry_wrong", csv=CsvFormat(names={"a": "nothing"})):
    first: int
    second: Annotated[int, Integer(), Text()]
    bare: Annotated[int, Integer(), Key]
    maybe: Annotated[str | None, Varchar(3)] = None
    given: Annotated[int, Integer()] = 5
    positive: Annotated[int, Integer(), Field(ge=0)]
    checked: Annotated[str, Varchar(3), AfterValidator(str.upper)]
    ratio: Annotated[float, Double(), Key()]
    long: Annotated[str, Varchar(900), Key()]
    Long: Annotated[str, Varchar(9)]
    hyphen: Annotated[str, Varchar(9)] = Field(alias="a-b")

    @field_validator("first")
    @classmethod
    def refuses(cls, value: Any) -> Any:
        """A rule of its own."""
        return value


class Part(Table, name="parts"):
    id: Annotated[int, Integer(), Key()]
    country: Annotated[str, Varchar(21), References(Shop, "country")]


class Unclear(Table, name="unclear"):
    id: Annotated[int, Integer(), Key()]
    a: Annotated[str, Varchar(20), References(Shop)]
    b: Annotated[str, Varchar(20), References(Shop, "class")]
    c: Annotated[int, Integer(), References(Shop, "number", name="x"), References(Sale)]
    d: Annotated[int, Integer(), References(Shop, "number", name="x")]
    e: Annotated[int, Integer(), References(Part)]


class Shops(Table, name="SHOPS"):
    id: Annotated[int, Integer(), Key()]


WORDS = [
    'Nameless has no name: write class Nameless(Table, name="…")',
    "Wrong: 'rowferry_wrong' can't be a name; a letter, then letters, digits and _ can",
    "Wrong.refuses: validators of your own are not supported yet",
    "Wrong.first must have exactly one type of rowferry.declare; it has none",
    "Wrong.second must have exactly one type of rowferry.declare; it has Integer and Text",
    "Wrong.bare: write Key(), with parentheses",
    "Wrong.maybe may be None: columns that may be empty are not supported yet",
    "Wrong.given has a default, which a file's empty field would not get: leave it out",
    "Wrong.positive: Ge(ge=0) is not supported yet as a rule",
    "Wrong.checked: AfterValidator(func=<method 'upper' of 'str' objects>) is not supported yet as a rule",
    "Wrong.Long: there is a column of this name already; upper and lower case are the same",
    "Wrong: 'a-b' can't be a name; a letter, then letters, digits and _ can",
    "Wrong.ratio is a key, which can't be a Double",
    "Wrong: the key (ratio, long) may be 3630 bytes long; an index of MySQL takes 3072. Each character counts as 4",
    "Wrong: csv has names for nothing, which the table does not have as a column",
    "Part.country is varchar(21), but shops.country, to which it refers, is varchar(20)",
    "Part.country refers to only a part of the key of shops (country, number): no column refers to number",
    "Unclear.c refers to sales, which must be declared above it",
    "Unclear.a: the key of shops has several columns (country, number): say which one it is, as in"
    ' References(Shop, "country")',
    'Unclear.b: References(Shop, "class") names no column of the key of shops (country, number)',
    "Unclear.d and c both refer to shops.number: if they are two references, give each a name, as in"
    ' References(Shop, "number", name="first")',
    "Unclear.c refers to only a part of the key of shops (country, number): no column refers to country",
    "Shops: there is a table shops already",
]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(TypeError) as caught:
        read_models([Shop, Nameless, Wrong, Part, Unclear, Shops])
    assert re.split("; (?=[A-Z])", str(caught.value)) == WORDS


def test_foreign_keys_have_names_that_mysql_takes() -> None:
    long = "x" * 40
    columns = (Column("id", Integer()), Column(long, Integer()), Column("b", Integer()))
    references = (Reference((long,), "jobs", ("id",)), Reference(("b",), "jobs", ("id",)))
    twice = (Reference(("b",), "shops", ("id",)),)
    table = TableDefinition("y" * 40, columns, ("id",), BaseModel, references + twice)
    names = re.findall("CONSTRAINT `(.*?)`", create_table(table))
    assert len(set(names)) == 3
    assert max(map(len, names)) == 64
    assert names[1:] == [f"{'y' * 40}_b_jobs", f"{'y' * 40}_b_shops"]


def test_the_example_of_the_data_contract_is_a_declaration() -> None:
    text = (Path(__file__).parents[3] / "docs/data-contract.md").read_text(encoding="utf-8")
    (example,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    names = dict[str, Any](vars(declare) | {"Annotated": Annotated, "Field": Field, "dt": dt, "decimal": decimal})
    exec(example, names)  # noqa: S102
    shops, sales = read_models([names["Shop"], names["Sale"]]).values()
    assert shops.key == ("country", "number")
    assert sales.references == (Reference(("shop_country", "shop_number"), "shops", ("country", "number")),)
    assert sales.names[-1] == "class"
