"""A table of each type: its ends go through LOAD DATA, comparison, backup and restore, and are read back unchanged."""

import csv
import datetime as dt
import decimal
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from rowferry.backup.avro import double_text
from rowferry.config import Settings
from rowferry.declare import (
    Binary,
    Boolean,
    Choice,
    Date,
    DateTime,
    Decimal,
    Double,
    Id,
    Json,
    Time,
    Timestamp,
    Uuid,
    Varchar,
    ddl,
)
from rowferry.declare.catalog import TABLES
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.declared import declared
from tests.support.pipeline import Pipeline


class Each(BaseModel, title="each_type"):
    """A column of each type."""

    id: Id
    amount: Annotated[str, Decimal(65, 30)]
    ratio: Annotated[float, Double()]
    is_new: Annotated[bool, Boolean()]
    code: Annotated[str, Varchar(5)]
    state: Annotated[Literal["open", "paid", "ünpaid"], Choice()]
    day: Annotated[dt.date, Date()]
    rises: Annotated[dt.time, Time(3)]
    met: Annotated[dt.datetime, DateTime(6)]
    seen: Annotated[dt.datetime, Timestamp(6)]
    key: Annotated[str, Uuid()]
    about: Annotated[Any, Json()]
    seal: Annotated[bytes, Binary(8)]


UUID = "0b5c12f4-9d34-4e7a-8f3e-1f2a3b4c5d6e"
NINES = f"{'9' * 35}.{'9' * 30}"
FIRST = ["1", f"-{NINES}", "-1.7976931348623157e308", "0", " a\\ ", "ünpaid", "1000-01-01", "00:00:00.000"]
FIRST += ["1000-01-01 00:00:00.000000", "1970-01-01 00:00:01.000000", UUID, '{"b": [1.5, null], "a": "\\n\\\\"}', "00"]
LAST = ["2", NINES, "5e-324", "1", "😀" * 5, "open", "9999-12-31", "23:59:59.999"]
LAST += ["9999-12-31 23:59:59.999999", "2038-01-19 03:14:07.999999", UUID, "18446744073709551615", "ff5c090a0d00"]
SAME = ["2", f"0{NINES}0", "5E-324", "Yes", "😀" * 5, "open", " 9999-12-31 ", "23:59:59.99900"]
SAME += ["9999-12-31T23:59:59.999999Z", "2038-01-19 03:14:07.999999 UTC", UUID.upper(), " 18446744073709551615"]
SAME += ["0xFF5C090A0D00"]


def file_of(*rows: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


@pytest.fixture
def each(settings: Settings, administrator: Settings) -> Iterator[None]:
    with declared(administrator, Each):
        yield


def stored(conn: Connection) -> list[list[Any]]:
    return [list(row.values()) for row in mysql.rows(conn, "SELECT * FROM each_type ORDER BY id")]


@pytest.mark.usefixtures("each")
def test_each_type_is_stored_as_it_was_given(pipeline: Pipeline, vault: Vault, conn: Connection) -> None:
    assert ddl.differences(conn, [TABLES["each_type"]]) == []
    report = pipeline.migrate("raw/each_type.csv", file_of(FIRST, LAST))
    assert (report["inserted"], report["rejected"]) == (2, 0), report
    low, high = stored(conn)
    assert low[1:9] == [
        *(decimal.Decimal(f"-{NINES}"), -1.7976931348623157e308, 0, " a\\ ", "ünpaid", dt.date(1000, 1, 1)),
        *(dt.timedelta(), dt.datetime(1000, 1, 1)),  # noqa: DTZ001
    ]
    assert json.loads(low[11]) == {"b": [1.5, None], "a": "\n\\"}
    assert low[12] == b"\0"
    assert high[2] == 5e-324
    assert high[8].isoformat() == "9999-12-31T23:59:59.999999"
    assert high[9].isoformat() == "2038-01-19T03:14:07.999999"
    assert high[10:] == [UUID, "18446744073709551615", b"\xff\\\t\n\r\0"]
    checked = pipeline.migrate("check/each_type.csv", file_of(FIRST, SAME))
    assert (checked["would_update"], checked["would_unchanged"]) == (0, 2)
    again = pipeline.migrate("raw/each_type-2.csv", file_of(FIRST, SAME))
    assert (again["updated"], again["unchanged"], again["rejected"]) == (0, 2, 0)
    before = stored(conn)
    vault.back_up("each_type")
    mysql.run(conn, "DELETE FROM each_type WHERE id = 2")
    mysql.run(conn, "UPDATE each_type SET seal = 'x', about = '1', ratio = 0")
    vault.restore("each_type")
    assert stored(conn) == before


def test_a_double_is_written_as_mysql_writes_it(conn: Connection) -> None:
    digits = (1, 1.5, 1.2345678901234567, -1, -7.25)
    numbers = [digit * 10.0**power for digit in digits for power in range(-30, 31)]
    numbers += [0.0, -0.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 0.1, 1 / 3, 123456789012345.6]
    numbers += [-0.00001234567890123456, 1e15, 1e16]
    numbers += [float(f"{7**digits % 10**17}e{power}") for digits in range(1, 40) for power in range(-32, 3)]
    mysql.run(conn, "CREATE TEMPORARY TABLE doubles (id INT PRIMARY KEY, x DOUBLE)")
    values = ", ".join(f"({place}, '{number!r}')" for place, number in enumerate(numbers))
    mysql.run(conn, f"INSERT INTO doubles VALUES {values}")
    found = mysql.rows(conn, "SELECT x, CAST(CAST(x AS BINARY) AS CHAR) AS text FROM doubles ORDER BY id")
    assert [row["x"] for row in found] == numbers
    assert [row["text"] for row in found] == list(map(double_text, numbers))
