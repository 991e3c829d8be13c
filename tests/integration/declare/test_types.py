"""Decimals and 64-bit integers from a file into a table, and the declaration compared with the database."""

from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel

from rowferry.config import Settings
from rowferry.declare import ddl
from rowferry.declare.catalog import table_named
from rowferry.declare.table_class import Id
from rowferry.declare.types import Decimal, Integer
from rowferry.errors import SchemaDiffers
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.declared import LONG, Reading, declared
from tests.support.pipeline import Pipeline
from tests.support.serving import BEARER

OLD = """\
1,-99999999.99,-0.999999999999999999,-999999999999999999,-9223372036854775808,low
2,99999999.99,0.999999999999999999,999999999999999999,9223372036854775807,high
3,-0,-0.0,-0,-0,nought
4,7.5,0.5,10,2147483648,plain
"""
SAME = """\
1, -099999999.990,-00.9999999999999999990,-0999999999999999999.0,-09223372036854775808,low
2,99999999.9900,0000.999999999999999999,999999999999999999,9223372036854775807 ,high
3,0.00,000,-0.000,0,nought
4,7.50,0.500000000000000000,0010,2147483648,plain
"""
STORED = [
    ("1", "-99999999.99", "-0.999999999999999999", "-999999999999999999", "-9223372036854775808", "low"),
    ("2", "99999999.99", "0.999999999999999999", "999999999999999999", "9223372036854775807", "high"),
    ("3", "0.00", "0.000000000000000000", "0", "0", "nought"),
    ("4", "7.50", "0.500000000000000000", "10", "2147483648", "plain"),
]
NEXT = """\
1,-99999999.98,-0.999999999999999999,-999999999999999999,-9223372036854775808,low
2,99999999.99,0.999999999999999998,999999999999999999,9223372036854775807,high
3,0,0,0,-1,nought
4,7.5,0.5,10,2147483648,plain
5,0.01,0.000000000000000001,1,-1,new
6,0.005,0,0,0,finer than a cent
7,1e3,0,0,0,an exponent
8,100000000,1,1000000000000000000,9223372036854775808,too large
9,,0,0,0.5,nothing
"""
FAULTS = {"decimal_precision": 1, "decimal_format": 1, "out_of_range": 1, "missing": 1, "int_format": 1}


def texts(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    with mysql.session(pipeline.settings) as conn:
        columns = ", ".join(f"CAST(`{name}` AS CHAR) AS `{name}`" for name in table_named("readings").names)
        return [tuple(row.values()) for row in mysql.rows(conn, f"SELECT {columns} FROM readings ORDER BY readings.id")]


def counts(report: Any) -> dict[str, int]:
    return {name: report[name] for name in ("inserted", "updated", "unchanged", "rejected")}


@pytest.mark.usefixtures("readings")
def test_a_file_is_loaded_exactly_and_whatever_is_written_otherwise_is_unchanged(pipeline: Pipeline) -> None:
    new = {"inserted": 4, "updated": 0, "unchanged": 0, "rejected": 0}
    assert counts(pipeline.migrate("raw/readings.csv", OLD)) == new
    assert texts(pipeline) == STORED
    checked = pipeline.migrate("check/readings.csv", SAME)
    assert (checked["would_update"], checked["would_unchanged"]) == (0, 4)
    again = {"inserted": 0, "updated": 0, "unchanged": 4, "rejected": 0}
    assert counts(pipeline.migrate("raw/readings-same.csv", SAME)) == again
    assert texts(pipeline) == STORED


@pytest.mark.usefixtures("readings")
@pytest.mark.parametrize(
    ("on_conflict", "expected"),
    [
        ("update", {"inserted": 1, "updated": 3, "unchanged": 1, "rejected": 4}),
        ("skip", {"inserted": 1, "updated": 0, "unchanged": 4, "rejected": 4}),
        ("reject", {"inserted": 1, "updated": 0, "unchanged": 1, "rejected": 7}),
    ],
)
def test_the_smallest_difference_is_one_and_what_the_column_would_change_is_rejected(
    pipeline: Pipeline, on_conflict: str, expected: dict[str, int]
) -> None:
    pipeline.migrate("raw/readings.csv", OLD)
    checked = pipeline.migrate("check/readings.csv", NEXT, on_conflict=on_conflict)
    report = pipeline.migrate("raw/readings.csv", NEXT, on_conflict=on_conflict)
    assert counts(report) == expected
    existing = {"key_exists": 3} if on_conflict == "reject" else {}
    assert report["rejected_by_code"] == checked["rejected_by_code"] == FAULTS | existing
    assert [checked[f"would_{name}"] for name in ("insert", "update", "unchanged")] == [*expected.values()][:3]
    (large,) = [row for row in pipeline.rejects(report) if row["id"] == "8"]
    assert large["_message"] == (
        "line 8: price '100000000' is outside -99999999.99 to 99999999.99;"
        " share '1' is outside -0.999999999999999999 to 0.999999999999999999;"
        " total '1000000000000000000' is outside -999999999999999999 to 999999999999999999;"
        " steps '9223372036854775808' is outside -9223372036854775808 to 9223372036854775807"
    )
    if on_conflict == "update":
        assert [row[:5] for row in texts(pipeline)] == [
            ("1", "-99999999.98", *STORED[0][2:5]),
            ("2", "99999999.99", "0.999999999999999998", *STORED[1][3:5]),
            ("3", "0.00", "0.000000000000000000", "0", "-1"),
            STORED[3][:5],
            ("5", "0.01", "0.000000000000000001", "1", "-1"),
        ]


@pytest.mark.usefixtures("readings")
def test_the_api_says_a_decimal_as_text_and_a_long_number_in_full(settings: Settings) -> None:
    body = "1, -007.5,0.1,-0,-9223372036854775808,a\n2,0.001,0,0,0,b\n"
    headers = {**BEARER, "Content-Type": "text/csv"}
    answer = httpx.post(f"{settings.api_url}/upload_csv?table=readings", content=body, headers=headers).json()
    first = {"id": 1, "price": "-7.50", "share": "0.100000000000000000", "total": "0", "steps": -(2**63), "note": "a"}
    assert answer["rows"] == [first]
    assert [reject["codes"] for reject in answer["rejects"]] == [["decimal_precision"]]


def test_null_in_a_column_of_the_database_is_no_text_none(pipeline: Pipeline, administrator: Settings) -> None:
    with declared(administrator, Reading, nullable=("price", "note")):
        pipeline.migrate("raw/readings.csv", "1,0,0,0,0,None\n2,0,0,0,0,None\n")
        with mysql.session(pipeline.settings) as conn:
            mysql.run(conn, "UPDATE readings SET note = NULL, price = NULL WHERE id = 2")
        body = "1,0,0,0,0,None\n2,0,0,0,0,None\n"
        checked = pipeline.migrate("check/readings.csv", body)
        report = pipeline.migrate("raw/readings.csv", body)
        assert (checked["would_update"], checked["would_unchanged"]) == (1, 1)
        assert (report["updated"], report["unchanged"]) == (1, 1)


# --- the declaration and the database --------------------------------------------------------------------------------


@pytest.mark.usefixtures("readings")
@pytest.mark.parametrize(
    ("now", "found"),
    [
        ("price DECIMAL(12,2)", "readings.price is decimal(12,2) in the database, declared as decimal(10,2)"),
        ("price DECIMAL(10,3)", "readings.price is decimal(10,3) in the database, declared as decimal(10,2)"),
        ("price DECIMAL(10,2) UNSIGNED", "readings.price is decimal(10,2) unsigned in the database, declared as"),
        ("price DOUBLE", "readings.price is double in the database, declared as decimal(10,2)"),
        ("steps INT", "readings.steps is int in the database, declared as bigint"),
        ("steps BIGINT(20) UNSIGNED", "readings.steps is bigint unsigned in the database, declared as bigint"),
        ("steps BIGINT(20)", ""),
        ("price DEC(10,2)", ""),
    ],
)
def test_a_column_of_another_size_is_another_type(admin: Connection, now: str, found: str) -> None:
    mysql.run(admin, f"ALTER TABLE readings MODIFY {now} NOT NULL")
    words = "; ".join(ddl.differences(admin))
    assert words.startswith(found)
    assert bool(words) == bool(found)


class Narrow(BaseModel, title="figures"):
    id: Id
    n: Annotated[int, Integer()]


class Wide(BaseModel, title="figures"):
    id: Id
    n: Annotated[int, LONG]


class Cents(BaseModel, title="figures"):
    id: Id
    n: Annotated[str, Decimal(10, 2)]


class MoreCents(BaseModel, title="figures"):
    id: Id
    n: Annotated[str, Decimal(12, 2)]


NUMBERS = [-(2**31), -65, -64, -1, 0, 1, 63, 64, 2**31 - 1]


def test_a_backup_of_integers_goes_into_a_column_that_has_become_wider(vault: Vault, administrator: Settings) -> None:
    with declared(administrator, Narrow):
        vault.fill("figures", list(enumerate(NUMBERS, 1)))
        before = vault.rows("figures")
        id = vault.back_up("figures")
    with declared(administrator, Wide):
        assert vault.restore("figures", id=id) == {"figures": (len(NUMBERS), 0, 0, 0)}
        vault.run(f"UPDATE figures SET n = {2**40} WHERE id = 5")
        assert vault.restore("figures", id=id) == {"figures": (0, 1, 0, len(NUMBERS) - 1)}
        assert vault.rows("figures") == before


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (Wide, Narrow, "n is long in the backup, int in the table"),
        (Cents, MoreCents, r"n is decimal\(10,2\) in the backup, decimal\(12,2\) in the table"),
        (MoreCents, Cents, r"n is decimal\(12,2\) in the backup, decimal\(10,2\) in the table"),
        (Cents, Wide, r"n is decimal\(10,2\) in the backup, long in the table"),
    ],
)
def test_a_backup_does_not_go_into_a_column_of_another_size(
    vault: Vault, administrator: Settings, was: type[BaseModel], now: type[BaseModel], words: str
) -> None:
    with declared(administrator, was):
        vault.fill("figures", [(1, 5)])
        id = vault.back_up("figures")
    with declared(administrator, now), pytest.raises(SchemaDiffers, match=words):
        vault.restore("figures", id=id)


@pytest.mark.usefixtures("readings")
def test_a_file_is_not_loaded_into_a_column_that_would_round_it(pipeline: Pipeline, admin: Connection) -> None:
    """Somebody altered the table; a backup, a restore and the deploy say so too."""
    mysql.run(admin, "ALTER TABLE readings MODIFY price DECIMAL(10,1) NOT NULL, ADD COLUMN more INT NULL")
    uploaded = pipeline.upload("raw/readings.csv", OLD)
    with pytest.raises(
        SchemaDiffers, match=r"^readings\.price is decimal\(10,1\) in the database, declared as decimal\(10,2\)"
    ):
        pipeline.plan(uploaded, "arn:first")
    assert texts(pipeline) == []
    mysql.run(admin, "ALTER TABLE readings MODIFY price DECIMAL(10,2) NOT NULL")
    assert counts(pipeline.run(uploaded, "arn:first"))["inserted"] == 4, "a column more is no harm"
