"""Tables as users declare them: keys of text and of several columns, of each type; a CSV format; unusual names."""

import datetime as dt
import decimal
from collections.abc import Iterator
from typing import Annotated, Literal

import pytest
from pydantic import Field

from rowferry.config import Settings
from rowferry.declare import (
    Binary,
    Boolean,
    Choice,
    CsvFormat,
    Date,
    DateTime,
    Decimal,
    Integer,
    Key,
    References,
    Table,
    Text,
    Time,
    Timestamp,
    Uuid,
    Varchar,
    ddl,
)
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.declared import declared
from tests.support.pipeline import Pipeline

GERMAN = CsvFormat(
    encoding="cp1252", delimiter=";", decimal=",", thousands=".", names={"Bestellnr": "K"}, extra="ignore"
)


class Shop(Table, name="user_shops"):
    """A key of text and number."""

    country: Annotated[str, Varchar(20), Key()]
    number: Annotated[int, Integer(), Key()]
    class_: Annotated[Literal["big", "small"], Choice()] = Field(alias="class")


class Sale(Table, name="user_sales", csv=GERMAN):
    """Refers to a shop by both columns of its key; files as German programs write them."""

    order: Annotated[str, Varchar(40)]
    K: Annotated[int, Integer(minimum=0, maximum=2**40), Key()]
    line: Annotated[int, Integer(minimum=1), Key()]
    shop: Annotated[int, Integer(), References(Shop, "number")]
    land: Annotated[str, Varchar(20), References(Shop, "country")]
    euros: Annotated[decimal.Decimal, Decimal(12, 2)]


class EachKey(Table, name="user_keys"):
    """A key of all types that a key can have."""

    amount: Annotated[decimal.Decimal, Decimal(10, 3), Key()]
    is_new: Annotated[bool, Boolean(), Key()]
    state: Annotated[Literal["open", "paid"], Choice(), Key()]
    day: Annotated[dt.date, Date(), Key()]
    rises: Annotated[dt.time, Time(3), Key()]
    met: Annotated[dt.datetime, DateTime(6), Key()]
    seen: Annotated[dt.datetime, Timestamp(3), Key()]
    id: Annotated[str, Uuid(), Key()]
    seal: Annotated[bytes, Binary(8), Key()]
    note: Annotated[str, Text()]


class Seal(Table, name="user_seals"):
    """A key of bytes."""

    seal: Annotated[bytes, Binary(4), Key()]


class Sealed(Table, name="user_sealed"):
    """Refers to a key of bytes."""

    at: Annotated[dt.datetime, Timestamp(6), Key()]
    seal: Annotated[bytes, Binary(4), References(Seal)]


@pytest.fixture(autouse=True)
def family(settings: Settings, administrator: Settings) -> Iterator[None]:
    with declared(administrator, Shop, Sale, EachKey, Seal, Sealed) as known:
        with mysql.session(administrator) as conn:
            assert ddl.differences(conn, known.values()) == []
        yield


def counts(report: dict[str, object]) -> tuple[object, ...]:
    return tuple(report[name] for name in ("read", "inserted", "updated", "unchanged", "rejected"))


def messages(pipeline: Pipeline, report: dict[str, object], kind: str = "rejects") -> list[str]:
    return [row["_message"] for row in pipeline.rejects(report, kind)]


def stored(conn: Connection, table: str) -> list[tuple[object, ...]]:
    return sorted((tuple(row.values()) for row in mysql.rows(conn, f"SELECT * FROM `{table}`")), key=repr)


SHOPS = "country,number,class\nDE,-1,big\nde,-1,small\nDE,2,big\n"
SALES = (
    "Bestellnr;line;land;shop;euros;order;Zusatz\n"
    "7;1;DE;2;1.234,50;ä;x\n7;2;de;-1;-0,5;b;x\n8;1;FR;2;1;c;x\n8;2;DE;2;1.5;d;x\n8;3;DE;x;1;e;x\n7;1;DE;2;2;f;x\n"
)


def test_a_family_with_keys_of_text_and_of_several_columns_goes_all_the_way(
    pipeline: Pipeline, vault: Vault, conn: Connection
) -> None:
    assert counts(pipeline.migrate("raw/user_shops.csv", SHOPS)) == (3, 3, 0, 0, 0)
    report = pipeline.migrate("raw/user_sales.csv", SALES.encode("cp1252"))
    assert counts(report) == (6, 2, 0, 0, 4)
    assert messages(pipeline, report) == [
        "line 4: land 'FR', shop 2 is not in user_shops",
        "line 5: euros '1.5' is not a number as the format has them, such as 1.234,5",
        "line 6: shop 'x' is not a number as the format has them, such as 1.234,5",
    ]
    assert messages(pipeline, report, "duplicates") == [
        "line 2: K 7, line 1 stands in the file again on line 7, which was taken instead"
    ]
    assert stored(conn, "user_sales") == [
        ("b", 7, 2, -1, "de", decimal.Decimal("-0.50")),
        ("f", 7, 1, 2, "DE", decimal.Decimal("2.00")),
    ]
    good = "Bestellnr;line;land;shop;euros;order\n7;1;DE;2;2;f\n7;2;de;-1;-0,50;ü\n9;1;DE;2;1;g\n".encode("cp1252")
    checked = pipeline.migrate("check/user_sales.csv", good)
    assert [checked[f"would_{fate}"] for fate in ("insert", "update", "unchanged")] == [1, 1, 1]
    assert counts(pipeline.migrate("raw/user_sales-2.csv", good)) == (3, 1, 1, 1, 0)
    assert counts(pipeline.migrate("raw/user_sales-3.csv", good)) == (3, 0, 0, 3, 0)
    before = stored(conn, "user_sales"), stored(conn, "user_shops")
    vault.back_up("user_shops", "user_sales")
    mysql.run(conn, "DELETE FROM user_sales WHERE line = 1")
    mysql.run(conn, "UPDATE user_shops SET class = 'big'")
    vault.restore("user_shops", "user_sales")
    assert (stored(conn, "user_sales"), stored(conn, "user_shops")) == before


KEYS = [
    f"-1.5,no,{state},2024-02-29,23:59:59.9,2024-01-01T00:00:00.000001Z,2024-01-01 00:00:00.5 UTC,"
    f"0b5c12f4-9d34-4e7a-8f3e-1f2a3b4c5d6e,{seal}"
    for state in ("open", "paid")
    for seal in ("00", "0xFF5C", "ff5c0a", "09")
]


def test_a_key_may_have_each_type_but_those_of_documents(pipeline: Pipeline, vault: Vault, conn: Connection) -> None:
    body = "".join(f"{key},a\n" for key in KEYS)
    assert counts(pipeline.migrate("raw/user_keys.csv", body)) == (8, 8, 0, 0, 0)
    changed = body.replace("00,a", "00,b").replace("0xFF5C,a", "FF5C,a")
    for policy, fates in (("reject", (8, 0, 0, 6, 2)), ("update", (8, 0, 2, 6, 0))):
        checked = pipeline.migrate("check/user_keys.csv", changed, on_conflict=policy)
        assert (checked["would_update"], checked["would_unchanged"]) == fates[2:4]
        assert counts(pipeline.migrate(f"raw/user_keys-{policy}.csv", changed, on_conflict=policy)) == fates
    twice = pipeline.migrate("raw/user_keys-2.csv", changed + changed, batch_chunks=1)
    assert counts(twice) == (16, 0, 0, 8, 8)
    assert "seal ff5c stands in the file again" in " ".join(messages(pipeline, twice, "duplicates"))
    before = stored(conn, "user_keys")
    vault.back_up("user_keys")
    mysql.run(conn, "DELETE FROM user_keys WHERE state = 'open'")
    vault.restore("user_keys")
    assert stored(conn, "user_keys") == before


def test_a_key_of_bytes_can_be_referred_to(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/user_seals.csv", "00\nff0a\n")
    report = pipeline.migrate("raw/user_sealed.csv", "2024-01-01 00:00:01,FF0A\n2024-01-01 00:00:02,ff\n")
    assert messages(pipeline, report) == ["line 2: seal ff is not in user_seals"]
    assert counts(report) == (2, 1, 0, 0, 1)
