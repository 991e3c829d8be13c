"""Keys of text and of several columns, and references to them: a family of three tables, all the way."""

from collections.abc import Iterator

import pytest

from rowferry.config import Settings
from rowferry.declare.definition import Column, Reference, TableDefinition
from rowferry.declare.types import Decimal, Integer, Text
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.declared import altered, known_tables
from tests.support.pipeline import Pipeline


class _Code(Text):
    ddl = "varchar(40)"


WHOLE = Integer(-(2**31), 2**31 - 1)
REGIONS = TableDefinition("regions", (Column("code", _Code()), Column("k", Text())), ("code",), Text)  # type: ignore[arg-type]
SHOPS = TableDefinition(
    "shops",
    (Column("region", _Code()), Column("number", WHOLE), Column("order", Text())),
    ("region", "number"),
    Text,  # type: ignore[arg-type]
    (Reference(("region",), "regions", ("code",)),),
)
SALES = TableDefinition(
    "sales",
    (Column("line", WHOLE), Column("shop", WHOLE), Column("region", _Code()), Column("euros", Decimal(10, 2))),
    ("region", "shop", "line"),
    Text,  # type: ignore[arg-type]
    (Reference(("region", "shop"), "shops", ("region", "number")),),
)


@pytest.fixture(autouse=True)
def family(administrator: Settings) -> Iterator[None]:
    with known_tables(administrator, {table.name: table for table in (REGIONS, SHOPS, SALES)}):
        yield


def counts(report: dict[str, object]) -> tuple[object, ...]:
    return tuple(report[name] for name in ("read", "inserted", "updated", "unchanged", "rejected"))


def messages(pipeline: Pipeline, report: dict[str, object], kind: str = "rejects") -> list[str]:
    return [row["_message"] for row in pipeline.rejects(report, kind)]


REGION_ROWS = "north,a\nNorth,b\nnörth,c\nno\\rth,d\n"


def test_keys_of_text_are_compared_byte_for_byte(pipeline: Pipeline) -> None:
    assert counts(pipeline.migrate("raw/regions.csv", REGION_ROWS)) == (4, 4, 0, 0, 0)
    assert counts(pipeline.migrate("raw/regions.csv", REGION_ROWS)) == (4, 0, 0, 4, 0)
    changed = pipeline.migrate("raw/regions.csv", "north,A\nNORTH,e\nnorth ,f\n")
    assert counts(changed) == (3, 2, 1, 0, 0)
    assert len(rows_of(pipeline, "regions")) == 6


def rows_of(pipeline: Pipeline, table: str) -> list[tuple[object, ...]]:
    with mysql.session(pipeline.settings) as conn:
        return [tuple(row.values()) for row in mysql.rows(conn, f"SELECT * FROM `{table}`")]


@pytest.mark.parametrize(
    ("policy", "line", "winner"), [("update", "1", "2002"), ("skip", "2002", "1"), ("reject", "2002", "1")]
)
def test_a_key_of_several_columns_that_stands_twice_is_found_across_batches(
    pipeline: Pipeline, policy: str, line: str, winner: str
) -> None:
    pipeline.migrate("raw/regions.csv", "north,a\n")
    filling = "".join(f"north,{number},x\n" for number in range(2000, 0, -1))
    report = pipeline.migrate("raw/shops.csv", f"north,-7,a\n{filling}north,-7,b\n", on_conflict=policy, batch_chunks=1)
    assert counts(report) == (2002, 2001, 0, 0, 1)
    assert messages(pipeline, report, "duplicates") == [
        f"line {line}: region 'north', number -7 stands in the file again on line {winner}, which was taken instead"
    ]


def test_a_row_that_is_there_with_other_values_is_named_by_its_whole_key(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/regions.csv", "north,a\n")
    pipeline.migrate("raw/shops.csv", "north,1,a\nnorth,2,a\n")
    for place in ("raw", "check"):
        report = pipeline.migrate(f"{place}/shops.csv", "north,1,b\nnorth,2,a\nnorth,3,a\n", on_conflict="reject")
        assert messages(pipeline, report) == ["line 1: region 'north', number 1 is already in shops with other values"]


def test_parents_of_several_columns_that_are_missing_are_named(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/regions.csv", "north,a\nsouth,a\n")
    orphan = pipeline.migrate("raw/shops.csv", "north,1,a\nNorth,1,a\nsouth,1,a\n")
    assert messages(pipeline, orphan) == ["line 2: region 'North' is not in regions"]
    sales = "1,1,north,1.50\n1,2,north,2\n1,1,south,3\n1,1,south,4\n2,9,south,4\n"
    report = pipeline.migrate("raw/sales.csv", sales)
    assert messages(pipeline, report) == [
        "line 2: region 'north', shop 2 is not in shops",
        "line 5: region 'south', shop 9 is not in shops",
    ]
    assert counts(report) == (5, 2, 0, 0, 3)
    again = pipeline.migrate("raw/sales.csv", "1,1,north,1.5\n1,1,south,5\n3,1,south,5\n")
    assert counts(again) == (3, 1, 1, 1, 0)


def test_a_parent_that_goes_after_reconcile_makes_a_reject(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/regions.csv", "north,a\n")
    pipeline.migrate("raw/shops.csv", "north,1,a\nnorth,2,a\n")
    planned = pipeline.plan(pipeline.upload("raw/sales.csv", "1,1,north,1\n1,2,north,2\n"))
    pipeline.validate(planned.run)
    assert pipeline.reconcile(planned.run) == "load"
    assert pipeline.turn(planned.run)
    with mysql.session(pipeline.settings) as conn:
        mysql.run(conn, "DELETE FROM shops WHERE number = 2")
    pipeline.load(planned.run)
    report = pipeline.summarise(planned.run)
    assert messages(pipeline, report) == ["line 2: region 'north', shop 2 is not in shops"]
    assert counts(report) == (2, 1, 0, 0, 1)


def test_a_unique_index_names_the_row_in_the_way_by_its_whole_key(pipeline: Pipeline, admin: Connection) -> None:
    with altered(admin, "ALTER TABLE shops ADD UNIQUE by_order (`order`(20))", undo=["DELETE FROM shops"]):
        pipeline.migrate("raw/regions.csv", "north,a\n")
        pipeline.migrate("raw/shops.csv", "north,1,first\n")
        report = pipeline.migrate("raw/shops.csv", "north,2,first\nnorth,3,x\nnorth,4,x\nnorth,5,y\n")
        assert messages(pipeline, report) == [
            "line 1: by the unique index by_order it is the same as region 'north', number 1 in shops",
            "line 2: by the unique index by_order it is the same as line 3 of the file, which was taken instead",
        ]


def test_files_whose_ranges_of_keys_overlap_wait_for_each_other(pipeline: Pipeline) -> None:
    def planned(key: str, body: str) -> str:
        id = pipeline.plan(pipeline.upload(key, body)).run
        pipeline.validate(id)
        assert pipeline.reconcile(id) == "load"
        return id

    first = planned("raw/regions-1.csv", "b,1\nd,1\n")
    apart, within = planned("raw/regions-2.csv", "e,1\n"), planned("raw/regions-3.csv", "c,1\n")
    assert [pipeline.take_turn(id) for id in (first, apart, within)] == ["go", "go", "wait"]
