"""A backup into its table, whole or not at all, whatever happens on the way and whoever reads meanwhile."""

import dataclasses
import hashlib
import io
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import pytest

from local.mysql import MySQLServer
from rowferry import ledger
from rowferry.backup import export, restore, staging
from rowferry.backup.record import Checksum
from rowferry.backup.restore import Order
from rowferry.backup.service import carry_out_backup, carry_out_restore
from rowferry.backup.staging import RANGE_ROWS
from rowferry.config import Settings
from rowferry.declare.catalog import table_named
from rowferry.declare.definition import TableDefinition
from rowferry.errors import (
    BackupDamaged,
    BadRequest,
    Busy,
    NotFound,
    OutOfTime,
    RowferryError,
    SchemaDiffers,
    WouldOrphan,
)
from rowferry.ledger import jobs
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.backups import Vault, extremes
from tests.support.pipeline import Pipeline

ALL = ("departments", "jobs", "hired_employees")


def changed(vault: Vault) -> None:
    """Rows that are gone, new and different, in parents and children."""
    vault.run(
        "DELETE FROM hired_employees WHERE id = 1",
        "UPDATE hired_employees SET name = 'ADA 2', department_id = 3 WHERE id = 2",
        "INSERT INTO departments VALUES (9, 'New')",
        "INSERT INTO hired_employees VALUES (99, 'New', '2030-01-01', 9, 1)",
        "UPDATE jobs SET name = 'cook' WHERE id = 1",
    )


def foreign_keys(vault: Vault) -> Any:
    with mysql.session(vault.settings) as conn:
        return [mysql.row(conn, f"SHOW CREATE TABLE {table}") for table in ALL]


# --- families --------------------------------------------------------------------------------------------------------


def test_parents_children_empty_tables_and_all_together_are_restored_and_keep_their_foreign_keys(
    vault: Vault,
) -> None:
    vault.family()
    before, keys = vault.state(), foreign_keys(vault)
    id = vault.back_up()
    vault.run("UPDATE departments SET name = 'x'")
    assert vault.restore("departments", id=id) == {"departments": (0, 3, 0, 0)}
    vault.run("DELETE FROM hired_employees")
    assert vault.restore("hired_employees", id=id) == {"hired_employees": (5, 0, 0, 0)}
    vault.run("DELETE FROM hired_employees", "DELETE FROM departments", "DELETE FROM jobs")
    done = vault.restore(*ALL, id=id)
    assert done == {"departments": (3, 0, 0, 0), "jobs": (2, 0, 0, 0), "hired_employees": (5, 0, 0, 0)}
    changed(vault)
    done = vault.restore(*reversed(ALL), id=id)
    assert done == {"departments": (0, 0, 1, 3), "jobs": (0, 1, 0, 1), "hired_employees": (1, 1, 1, 3)}
    assert vault.state() == before
    assert foreign_keys(vault) == keys
    with pytest.raises(RowferryError):
        vault.run("INSERT INTO hired_employees VALUES (100, 'Orphan', '2030-01-01', 77, 1)")


def test_a_restore_of_what_is_there_writes_nothing(vault: Vault) -> None:
    vault.family()
    vault.back_up()
    assert vault.restore(*ALL) == {"departments": (0, 0, 0, 3), "jobs": (0, 0, 0, 2), "hired_employees": (0, 0, 0, 5)}


def test_names_that_the_collation_calls_equal_are_told_apart(vault: Vault) -> None:
    vault.fill("departments", [(1, "Sales"), (2, "sáles "), (3, "Sales")])
    id = vault.back_up("departments")
    vault.run("UPDATE departments SET name = 'SALES' WHERE id < 3")
    assert vault.restore("departments", id=id) == {"departments": (0, 2, 0, 1)}
    assert [row["name"] for row in vault.rows("departments")] == [b"Sales", "sáles ".encode(), b"Sales"]


def test_a_parent_whose_loss_would_orphan_children_stops_it_with_count_and_first_ids(vault: Vault) -> None:
    vault.family()
    id = vault.back_up("departments")
    vault.run("INSERT INTO departments VALUES (7, 'G'), (8, 'H'), (9, 'I')")
    hired = ", ".join(f"({i}, 'x', '2021-01-01', {7 + i % 2}, 1)" for i in range(50, 60))
    vault.run(f"INSERT INTO hired_employees VALUES {hired}", "UPDATE departments SET name = 'x' WHERE id = 1")
    before = vault.state()
    for dry_run in (True, False):
        words = "^rows of hired_employees .* by department_id .* in the backup: 10; the first departments.id: 7, 8;"
        with pytest.raises(WouldOrphan, match=words):
            vault.restore("departments", id=id, dry_run=dry_run)
    assert vault.state() == before
    vault.run("DELETE FROM hired_employees WHERE id >= 50")
    assert vault.restore("departments", id=id) == {"departments": (0, 1, 3, 2)}


@pytest.mark.parametrize("emptied", [False, True])
def test_children_whose_parents_are_gone_stop_it_with_count_and_first_ids(vault: Vault, emptied: bool) -> None:
    vault.family(6)
    id = vault.back_up()
    vault.run("DELETE FROM hired_employees WHERE job_id = 2" if not emptied else "DELETE FROM hired_employees")
    vault.run("DELETE FROM jobs WHERE id = 2")
    before = vault.state()
    with pytest.raises(
        WouldOrphan, match=r"^rows of hired_employees .* by job_id .* be there: 3; .*hired_employees.id: 1, 3, 5;"
    ):
        vault.restore("hired_employees", id=id)
    assert vault.state() == before
    assert vault.restore("hired_employees", "jobs", id=id)["jobs"] == (1, 0, 0, 1)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(vault: Vault) -> None:
    vault.family()
    id = vault.back_up()
    changed(vault)
    before = vault.state()
    would = vault.restore(*ALL, id=id, dry_run=True)
    assert would == {"departments": (0, 0, 1, 3), "jobs": (0, 1, 0, 1), "hired_employees": (1, 1, 1, 3)}
    assert vault.state() == before
    assert vault.restore(*ALL, id=id) == would


def test_more_than_one_range_of_keys_is_restored_exactly(vault: Vault) -> None:
    rows = 2 * RANGE_ROWS + 500
    vault.fill("departments", [(i, f"Department {i}") for i in range(-20, rows - 20)])
    before = vault.checksum("departments")
    id = vault.back_up("departments")
    vault.run("DELETE FROM departments WHERE id BETWEEN 10 AND 60000")
    vault.run("UPDATE departments SET name = 'x' WHERE id % 1000 = 0")
    vault.fill("departments", [(i, "New") for i in range(1_000_000, 1_000_050)])
    assert vault.restore("departments", id=id) == {"departments": (59_991, 41, 50, rows - 59_991 - 41)}
    assert vault.checksum("departments") == before


@pytest.mark.parametrize("emptied", [False, True])
def test_no_statement_of_a_restore_looks_at_more_than_a_few_ranges_of_rows(
    vault: Vault, server: MySQLServer, monkeypatch: pytest.MonkeyPatch, emptied: bool
) -> None:
    """So none outlives the connection's patience, however large a table is."""
    rows = 4_000
    monkeypatch.setattr(staging, "RANGE_ROWS", rows // 10)
    vault.fill("departments", [(i, "D") for i in range(1, rows + 1)])
    vault.fill("jobs", [(1, "J")])
    vault.fill("hired_employees", [(i, "E", "2021-01-01", i, 1) for i in range(1, rows + 1)])
    id = vault.back_up()
    with closing(server.connect("root")) as root, root.cursor() as cursor:
        cursor.execute("TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
        vault.run("DELETE FROM hired_employees WHERE department_id > 20")
        vault.run("UPDATE departments SET name = 'x' WHERE id % 2" if not emptied else "SELECT 1")
        vault.run("DELETE FROM departments WHERE id > 20")
        with pytest.raises(WouldOrphan, match=f": {rows - 20}; the first hired_employees.id: 21, 22, 23, 24, 25;"):
            vault.restore("hired_employees", id=id)
        if emptied:
            vault.run("DELETE FROM hired_employees", "DELETE FROM departments")
        vault.restore(*ALL, id=id, dry_run=True)
        vault.restore(*ALL, id=id)
        vault.fill("departments", [(i, "New") for i in range(rows + 1, 2 * rows)])
        vault.fill("hired_employees", [(i, "New", "2021-01-01", i, 1) for i in range(rows + 1, 2 * rows)])
        with pytest.raises(WouldOrphan, match=f": {rows - 1}; the first departments.id: {rows + 1}, "):
            vault.restore("departments", id=id)
        vault.restore(*ALL, id=id)
        cursor.execute(
            "SELECT digest_text, CAST(sum_rows_examined / count_star AS UNSIGNED) AS mean FROM"
            " performance_schema.events_statements_summary_by_digest WHERE schema_name = %s AND digest_text LIKE %s"
            " ORDER BY mean DESC",
            (vault.settings.db_name, "%rowferry_%"),
        )
        found = cursor.fetchall()
    assert len(found) > 20
    assert [(text, mean) for text, mean in found if mean > 4 * rows // 10] == []


# --- which backup, which table ---------------------------------------------------------------------------------------


def test_the_latest_one_by_id_and_by_time(vault: Vault) -> None:
    ids = []
    for name in ("first", "second", "third"):
        vault.run(f"REPLACE INTO jobs VALUES (1, '{name}')")
        ids.append(vault.back_up("jobs"))
    before = vault.manifest("jobs", ids[1]).snapshot_at
    orders: list[tuple[dict[str, Any], bytes]] = [({}, b"third"), ({"id": ids[0]}, b"first")]
    for order, expected in (*orders, ({"before": before}, b"second")):
        vault.restore("jobs", **order)
        assert vault.rows("jobs")[0]["name"] == expected
    with pytest.raises(NotFound):
        vault.restore("jobs", id="20200101T000000000000Z-000000")


def test_a_backup_goes_into_another_table_of_the_same_shape(vault: Vault, admin: Connection) -> None:
    vault.family()
    vault.back_up("departments")
    mysql.run(admin, "CREATE TABLE departments_then (id INT PRIMARY KEY, name TEXT NOT NULL) DEFAULT CHARSET utf8mb4")
    mysql.run(admin, "CREATE TABLE narrower (id INT PRIMARY KEY, name VARCHAR(9) NOT NULL) DEFAULT CHARSET utf8mb4")
    try:
        assert vault.restore("departments", into="departments_then") == {"departments_then": (3, 0, 0, 0)}
        vault.run("UPDATE departments_then SET name = 'x' WHERE id = 2", "INSERT INTO departments_then VALUES (9, 'x')")
        assert vault.restore("departments", into="departments_then") == {"departments_then": (0, 1, 1, 2)}
        assert vault.rows("departments_then") == vault.rows("departments")
        with pytest.raises(SchemaDiffers, match="varchar"):
            vault.restore("departments", into="narrower")
    finally:
        mysql.run(admin, "DROP TABLE departments_then, narrower")
    with pytest.raises(NotFound, match="has no table departments_then"):
        vault.restore("departments", into="departments_then")


@pytest.mark.parametrize(
    "order",
    [
        {"tables": ()},
        {"tables": ("salaries",)},
        {"tables": ("jobs",), "into": "departments"},
        {"tables": ("jobs",), "into": "rowferry_runs"},
        {"tables": ("jobs", "departments"), "into": "other"},
        {"tables": ("jobs",), "into": "a`b"},
        {"tables": ("jobs",), "into": ""},
        {"tables": ("jobs",), "id": ""},
        {"tables": ("jobs",), "id": "../../x"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Order(**order)


# --- columns that have changed ---------------------------------------------------------------------------------------


def narrowed(table: TableDefinition) -> TableDefinition:
    """As it was declared before it had names."""
    return dataclasses.replace(table, columns=tuple(column for column in table.columns if column.name != "name"))


def test_a_column_that_is_new_and_may_be_null_is_null_after_a_restore(vault: Vault, admin: Connection) -> None:
    mysql.run(admin, "ALTER TABLE jobs DROP COLUMN name")
    try:
        mysql.run(admin, "INSERT INTO jobs VALUES (1), (2)")
        id = vault.begin_backup("jobs")
        with mysql.session(vault.settings) as conn:
            export.backup(conn, vault.bucket, [narrowed(table_named("jobs"))], id, lambda: None)
        mysql.run(admin, "ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL")
        with pytest.raises(SchemaDiffers, match="name is not in the backup, and may not be null in the table"):
            vault.restore("jobs", id=id)
        mysql.run(admin, "ALTER TABLE jobs MODIFY name TEXT NULL")
        mysql.run(admin, "UPDATE jobs SET name = NULL WHERE id = 2")
        assert vault.restore("jobs", id=id) == {"jobs": (0, 1, 0, 1)}
        assert [row["name"] for row in vault.rows("jobs")] == [None, None]
        mysql.run(admin, "ALTER TABLE jobs MODIFY name TEXT NULL DEFAULT ('unknown')")
        mysql.run(admin, "DELETE FROM jobs")
        assert vault.restore("jobs", id=id) == {"jobs": (2, 0, 0, 0)}
        assert [row["name"] for row in vault.rows("jobs")] == [None, None], "as in a table that was not empty"
    finally:
        mysql.run(admin, "DELETE FROM jobs")
        mysql.run(admin, "ALTER TABLE jobs DROP COLUMN name, ADD COLUMN name TEXT NOT NULL")


def test_nulls_do_not_go_where_none_may_be(vault: Vault, admin: Connection) -> None:
    vault.family()
    not_null = vault.back_up("jobs")
    mysql.run(admin, "ALTER TABLE jobs MODIFY name TEXT NULL")
    try:
        assert vault.restore("jobs", id=not_null) == {"jobs": (0, 0, 0, 2)}
        with_nulls = vault.back_up("jobs")
    finally:
        mysql.run(admin, "ALTER TABLE jobs MODIFY name TEXT NOT NULL")
    with pytest.raises(SchemaDiffers, match="name may be null in the backup, not in the table; nothing was changed"):
        vault.restore("jobs", id=with_nulls)


# --- damage ----------------------------------------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


def not_text(bucket: Bucket, data: str, manifest: str) -> None:
    """One record whose name is not UTF-8; all sums are right."""
    schema, buffer = json.loads(bucket.read_all(manifest))["avro_schema"], io.BytesIO()
    as_bytes = json.loads(json.dumps(schema).replace('"string"', '"bytes"'))
    fastavro.writer(buffer, as_bytes, [{"id": 1, "name": b"\xff\xfe"}], codec="deflate")
    made = buffer.getvalue().replace(b'"type": "bytes"', b'"type":"string"')  # of the same length
    bucket.write(data, made)
    contents = Checksum()
    contents.add([b"1\t\xff\xfe"])
    sums = {"bytes": len(made), "sha256": hashlib.sha256(made).hexdigest(), "checksum": contents.digits}
    rewrite(bucket, manifest, rows=1, **sums)


def touched(bucket: Bucket, manifest: str, **values: Any) -> None:
    """By somebody who does not know of the seal."""
    bucket.write(manifest, json.dumps(json.loads(bucket.read_all(manifest)) | values).encode())


DAMAGES: dict[str, Callable[[Bucket, str, str], None]] = {
    "a bit flipped": lambda bucket, data, _: bucket.write(data, flipped(bucket.read_all(data))),
    "truncated": lambda bucket, data, _: bucket.write(data, bucket.read_all(data)[:-20]),
    "empty": lambda bucket, data, _: bucket.write(data, b""),
    "no manifest": lambda bucket, _, manifest: delete(bucket, manifest),
    "no data": lambda bucket, data, _: delete(bucket, data),
    "not a manifest": lambda bucket, _, manifest: bucket.write(manifest, b'{"format": 1}'),
    "another manifest": lambda bucket, _, manifest: rewrite(bucket, manifest, table="departments"),
    "another schema": lambda bucket, _, manifest: rewrite(bucket, manifest, avro_schema={"name": "jobs", "fields": []}),
    "a later moment": lambda bucket, _, manifest: touched(bucket, manifest, snapshot_at="2026-11-24T16:00:00Z"),
    "other company": lambda bucket, _, manifest: touched(bucket, manifest, together=["jobs", "departments"]),
    "another codec": lambda bucket, _, manifest: touched(bucket, manifest, codec="null"),
    "no seal": lambda bucket, _, manifest: touched(bucket, manifest, seal=""),
    "a moment without a zone": lambda bucket, _, manifest: rewrite(bucket, manifest, snapshot_at="2026-11-24T16:00:00"),
    "not text": not_text,
    "no schema": lambda bucket, _, manifest: rewrite(bucket, manifest, avro_schema={}),
    "other rows": lambda bucket, _, manifest: rewrite(bucket, manifest, rows=3),
    "another checksum": lambda bucket, _, manifest: rewrite(bucket, manifest, checksum="0" * 64),
}


def delete(bucket: Bucket, key: str) -> None:
    for version in bucket.versions_of(key):
        bucket.delete(version)


def rewrite(bucket: Bucket, key: str, **values: Any) -> None:
    told = json.loads(bucket.read_all(key)) | values
    touched(bucket, key, **values, seal=export.seal(told))


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_before_the_table_is_touched(vault: Vault, damage: str, emptied: bool) -> None:
    vault.fill("jobs", [(1, "Cook"), (2, "Purser")])
    id = vault.back_up("jobs")
    vault.run("DELETE FROM jobs" if emptied else "UPDATE jobs SET name = 'x'")
    before = vault.state()
    DAMAGES[damage](vault.bucket, export.data_key("jobs", id), export.manifest_key("jobs", id))
    with pytest.raises((BackupDamaged, NotFound, SchemaDiffers)):
        vault.restore("jobs", id=id)
    assert vault.state() == before
    assert vault.jobs()[-1].status == "failed"
    assert vault.restore("jobs", id=vault.back_up("jobs"))["jobs"][:3] == (0, 0, 0)


# --- broken off at every step ----------------------------------------------------------------------------------------


def session_of(conn: Connection) -> int:
    return int((mysql.row(conn, "SELECT CONNECTION_ID() AS id") or {})["id"])


def steps(vault: Vault, order: Order, id: str, at: int, act: Callable[[Connection], None]) -> bool:
    """Carries out an order and acts at its step `at`; whether it came so far."""
    count = itertools.count()
    reached = False
    with mysql.session(vault.settings) as conn:

        def tick() -> None:
            nonlocal reached
            if next(count) == at:
                reached = True
                act(conn)

        restore.restore(conn, vault.bucket, order, id, tick)
    return reached


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("way", ["out of time", "connection killed"])
def test_broken_off_at_any_step_the_tables_are_as_before_and_the_next_try_works(
    vault: Vault, server: MySQLServer, way: str, emptied: bool
) -> None:
    vault.family(50)
    whole = vault.state()
    order = Order(ALL, id=vault.back_up())
    with closing(server.connect("root")) as root, root.cursor() as cursor:

        def act(conn: Connection) -> None:
            if way == "out of time":
                raise OutOfTime("now")
            cursor.execute(f"KILL {session_of(conn)}")

        broken = 0
        for at in itertools.count():
            if emptied:
                vault.run("DELETE FROM hired_employees")
            changed(vault) if not emptied else vault.run("DELETE FROM jobs", "DELETE FROM departments")
            before = vault.state()
            id = vault.begin_restore(order)
            try:
                if not steps(vault, order, id, at, act):
                    break
            except RowferryError as error:
                broken += 1
                vault.run(f"UPDATE rowferry_jobs SET status = 'failed', reason = '{type(error).__name__}'")
            assert vault.state() == before
            vault.restore(*ALL, id=order.id)
            assert vault.state() == whole
    assert broken > 8
    assert vault.state() == whole


def killed(server: MySQLServer) -> Callable[[Connection], None]:
    def kill(_: Connection) -> None:
        os.kill(server.process.pid, signal.SIGKILL)
        os.waitpid(server.process.pid, 0)

    return kill


def test_a_server_that_dies_while_it_writes_has_the_table_as_before(
    tmp_path: Path, database: Settings, bucket: Bucket
) -> None:
    with MySQLServer.start(tmp_path) as own:
        settings = Settings.from_env({**own.environment(), "BUCKET": bucket.name})
        vault = Vault(settings, bucket)
        vault.family(50)
        order = Order(ALL, id=vault.back_up())
        changed(vault)
        before = vault.state()
        for at in (8, 12, 15):
            with pytest.raises(RowferryError):
                steps(vault, order, vault.begin_restore(order), at, killed(own))
            own = own.start_again()
            assert vault.state() == before
            vault.run("UPDATE rowferry_jobs SET lease_until = '2020-01-01'")
        assert vault.restore(*ALL, id=order.id)["departments"] == (0, 0, 1, 3)
        own.stop()


# --- readers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_readers_never_see_an_empty_or_a_mixed_table(vault: Vault, isolation: str) -> None:
    """Two backups, one of 300 rows named A and one of 400 named B, are restored in turns."""
    ids = []
    for name, rows in (("A", 300), ("B", 400)):
        vault.run("DELETE FROM departments")
        vault.fill("departments", [(i, name) for i in range(1, rows + 1)])
        ids.append(vault.back_up("departments"))
    seen, over = set[tuple[Any, ...]](), threading.Event()

    def read() -> None:
        with mysql.session(vault.settings) as conn:
            mysql.run(conn, f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
            while not over.is_set():
                with mysql.transaction(conn):
                    sql = "SELECT COUNT(*) AS n, MIN(name) AS low, MAX(name) AS high FROM departments"
                    seen.add(tuple((mysql.row(conn, sql) or {}).values()))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(6):
        for id in ids:
            vault.restore("departments", id=id)
    over.set()
    for reader in readers:
        reader.join()
    assert seen == {(300, "A", "A"), (400, "B", "B")}


# --- who goes first --------------------------------------------------------------------------------------------------


def to_turn(pipeline: Pipeline, key: str = "raw/departments.csv", body: str = "1,A\n2,B\n") -> str:
    id = pipeline.plan(pipeline.upload(key, body), f"arn:{key}").run
    pipeline.validate(id)
    assert pipeline.reconcile(id) == "load"
    return id


def test_a_restore_is_refused_while_a_run_loads_and_a_run_waits_while_a_restore_goes_on(
    vault: Vault, pipeline: Pipeline
) -> None:
    vault.back_up()
    order = Order(("departments",))
    loading = to_turn(pipeline)
    assert pipeline.turn(loading)
    with pytest.raises(Busy, match=r"raw/departments\.csv is being loaded"):
        vault.begin_restore(order)
    assert vault.restore("jobs") == {"jobs": (0, 0, 0, 0)}, "other tables are not in the way"
    pipeline.load(loading)
    pipeline.summarise(loading)
    id = vault.begin_restore(order)
    with pytest.raises(Busy, match=f"the restore {id} is at work on departments"):
        vault.begin_restore(Order(ALL))
    waiting = to_turn(pipeline, "raw/departments-next.csv", "9,C\n")
    with mysql.session(vault.settings) as conn:
        turn = ledger.take_turn(conn, pipeline.read(waiting))
    assert (turn.outcome, turn.ahead) == ("wait", f"the restore {id}")
    with mysql.session(vault.settings) as conn:
        restore.restore(conn, vault.bucket, order, id, lambda: None)
    assert pipeline.turn(waiting)
    pipeline.load(waiting)
    assert pipeline.table("departments") == [(9, "C")]


def test_a_run_that_ended_with_rows_in_the_table_goes_before_a_restore_and_one_without_does_not(
    vault: Vault, pipeline: Pipeline, conn: Connection
) -> None:
    vault.back_up()
    run = to_turn(pipeline)
    assert pipeline.turn(run)
    ledger.fail(conn, "arn:raw/departments.csv", "for an hour", lasting=False)
    assert vault.restore("departments") == {"departments": (0, 0, 0, 0)}
    assert pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n2,B\n"), "arn:again").outcome == "planned"
    again = to_turn(pipeline, "raw/departments-second.csv", "5,E\n")
    assert pipeline.turn(again)
    pipeline.load(again)
    ledger.fail(conn, "arn:raw/departments-second.csv", "for an hour", lasting=False)
    with pytest.raises(Busy, match=r"departments-second\.csv was loaded in part.*start it again"):
        vault.restore("departments")


def test_a_silent_restore_blocks_nobody_for_ever_and_writes_nothing_when_it_wakes(
    vault: Vault, pipeline: Pipeline, conn: Connection
) -> None:
    vault.family()
    order = Order(("departments",), id=vault.back_up("departments"))
    vault.run("UPDATE departments SET name = 'x'")
    silent = vault.begin_restore(order)
    mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = UTC_TIMESTAMP(6) WHERE id = %s", (silent,))
    run = to_turn(pipeline)
    assert pipeline.turn(run)
    pipeline.load(run)
    before = vault.state()
    with pytest.raises(Busy, match="was silent for too long"):
        restore.restore(conn, vault.bucket, order, silent, lambda: None)
    assert vault.state() == before
    assert jobs.read(conn, silent).reason == "its process ended or fell silent; nothing was changed"


class BuryingBucket(Bucket):
    """At an object whose key ends so, the job is taken for dead by somebody else."""

    def __init__(self, vault: Vault, ending: str) -> None:
        super().__init__(vault.bucket.name, vault.bucket._client)
        self._vault, self._ending = vault, ending

    def read(self, key: str, version: str | None = None) -> BinaryIO:
        self._bury(key)
        return super().read(key, version)

    def write(self, key: str, body: bytes) -> None:
        self._bury(key)
        super().write(key, body)

    def _bury(self, key: str) -> None:
        if key.endswith(self._ending):
            self._vault.run("UPDATE rowferry_jobs SET status = 'failed', reason = 'silent' WHERE status = 'running'")


def test_a_dry_run_that_is_taken_for_dead_while_it_works_says_so(vault: Vault) -> None:
    vault.family()
    order = Order(ALL, id=vault.back_up(), dry_run=True)
    with pytest.raises(Busy, match="was silent for too long"):
        carry_out_restore(vault.settings, BuryingBucket(vault, "data.avro"), vault.begin_restore(order), order)
    assert (vault.jobs()[-1].status, vault.jobs()[-1].result) == ("failed", None)


def test_a_backup_that_is_taken_for_dead_when_it_is_complete_is_done_all_the_same(vault: Vault) -> None:
    vault.family()
    id = vault.begin_backup("jobs")
    job = carry_out_backup(vault.settings, BuryingBucket(vault, "manifest.json"), id)
    assert (job.status, job.reason) == ("done", None)
    assert job.result["backups"][0]["id"] == id
    assert vault.restore("jobs", id=id) == {"jobs": (0, 0, 0, 2)}


def test_a_restore_whose_session_ended_is_dead_at_once_and_one_that_is_yet_to_begin_is_not(vault: Vault) -> None:
    vault.family()
    order = Order(("departments",), id=vault.back_up("departments"))
    first = vault.begin_restore(order)
    with pytest.raises(Busy, match=first):
        vault.begin_restore(order)
    with mysql.session(vault.settings) as conn:
        jobs.guard(conn, first)
        assert mysql.row(conn, "SELECT 1 FROM rowferry_jobs WHERE lease_until > UTC_TIMESTAMP(6) + INTERVAL 9 MINUTE")
        with pytest.raises(Busy, match=first):
            vault.begin_restore(order)
    deadline = time.monotonic() + 10
    while vault.jobs()[-1].status == "running":  # the server takes a moment to see that the session ended
        assert time.monotonic() < deadline
    assert vault.restore("departments", id=order.id) == {"departments": (0, 0, 0, 3)}
    assert [job.status for job in vault.jobs()] == ["done", "failed", "done"]


def test_restores_of_other_tables_into_the_same_one_come_one_after_the_other(vault: Vault, admin: Connection) -> None:
    """Which they can only where the table's own row is not what they lock: it has none."""
    vault.family()
    vault.back_up()
    mysql.run(admin, "CREATE TABLE scratch LIKE departments")
    begun = list[str]()
    second = threading.Thread(target=lambda: begun.append(vault.begin_restore(Order(("departments",), into="scratch"))))
    try:
        with mysql.session(vault.settings) as first, mysql.transaction(first):
            mysql.rows(
                first, "SELECT 1 FROM rowferry_turns WHERE table_name = 'jobs' FOR UPDATE"
            )  # of jobs into scratch
            second.start()
            second.join(1)
            assert begun == []
        second.join(30)
        assert len(begun) == 1
        with pytest.raises(Busy, match=begun[0]):
            vault.begin_restore(Order(("jobs",), into="scratch"))
    finally:
        mysql.run(admin, "DROP TABLE scratch")


def test_a_session_that_is_cut_off_while_it_writes_is_given_up_within_its_lease(vault: Vault, conn: Connection) -> None:
    vault.family()
    order = Order(("jobs",), id=vault.back_up("jobs"))
    restore.restore(conn, vault.bucket, order, vault.begin_restore(order), lambda: None)
    (patience,) = (mysql.row(conn, "SELECT @@SESSION.wait_timeout AS s") or {}).values()
    assert patience < jobs.LEASE_MINUTES * 60


def test_every_job_is_guarded_while_it_is_at_work(vault: Vault, conn: Connection) -> None:
    vault.family()
    vault.back_up()
    for dry_run in (True, False):
        vault.restore(*ALL, dry_run=dry_run)
    assert mysql.rows(conn, "SELECT kind FROM rowferry_jobs WHERE NOT guarded") in ((), [])
    assert len(vault.jobs()) == 3


def test_a_restore_that_is_writing_is_not_taken_for_dead(vault: Vault, pipeline: Pipeline, conn: Connection) -> None:
    vault.family()
    order = Order(("departments",), id=vault.back_up("departments"))
    vault.run("UPDATE departments SET name = 'x'")
    run = to_turn(pipeline)
    id = vault.begin_restore(order)
    mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = UTC_TIMESTAMP(6) WHERE id = %s", (id,))
    with mysql.session(vault.settings) as writing, mysql.transaction(writing):
        jobs.hold(writing, id)
        assert not pipeline.turn(run)
        with pytest.raises(Busy):
            vault.begin_restore(order)
        jobs.renew(conn, id)
        assert jobs.read(conn, id).status == "running"
    assert pipeline.turn(run)


def test_whether_a_restore_is_done_is_known_when_its_commit_is_over(vault: Vault, conn: Connection) -> None:
    vault.family()
    id = vault.begin_restore(Order(("jobs",), id=vault.back_up("jobs")))
    answers = list[bool]()
    asks = threading.Thread(target=lambda: answers.append(jobs.is_done(conn, id)))
    with mysql.session(vault.settings) as writing, mysql.transaction(writing):
        jobs.hold(writing, id)
        jobs.finish(writing, id, {"restored": []})
        asks.start()
        asks.join(1)
        assert answers == []
    asks.join(30)
    assert answers == [True]


def test_a_lease_is_renewed_while_a_job_works(vault: Vault, conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    id = vault.begin_backup("jobs")
    tick = jobs.ticker(conn, id)
    mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 1 SECOND")
    tick()
    later = time.monotonic() + jobs.LEASE_MINUTES * 60 / 4
    monkeypatch.setattr(time, "monotonic", lambda: later)
    tick()
    time.sleep(1.1)
    assert jobs.read(conn, id).status == "running"
    with pytest.raises(NotFound):
        jobs.read(conn, "20200101T000000000000Z-000000")


def test_a_row_that_somebody_writes_meanwhile_is_either_before_or_after_the_restore(vault: Vault) -> None:
    vault.fill("departments", [(i, "First") for i in range(1, 200)])
    id = vault.back_up("departments")
    over = threading.Event()

    def write() -> None:
        with mysql.session(vault.settings) as conn:
            for i in itertools.cycle(range(1, 300)):
                if over.is_set():
                    return
                mysql.run(
                    conn, "INSERT INTO departments VALUES (%s, 'Late') ON DUPLICATE KEY UPDATE name = 'Late'", (i,)
                )

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(5):
        vault.restore("departments", id=id)
    over.set()
    writer.join()
    names = {row["name"] for row in vault.rows("departments")}
    assert names <= {b"First", b"Late"}
    vault.restore("departments", id=id)
    assert {row["name"] for row in vault.rows("departments")} == {b"First"}


# --- backups that older releases made --------------------------------------------------------------------------------

OF_FORMAT_1 = Path(__file__).parent / "backups_of_format_1"
"""Made by the release whose Avro came out of SQL: the rows of `extremes`."""


@pytest.mark.usefixtures("readings")
def test_a_backup_of_format_1_is_restored_byte_for_byte(vault: Vault) -> None:
    extremes(vault)
    before = vault.state()
    id = json.loads((OF_FORMAT_1 / "jobs/manifest.json").read_text())["id"]
    for path in OF_FORMAT_1.glob("*/*"):
        vault.bucket.write(f"backups/{path.parent.name}/{id}/{path.name}", path.read_bytes())
    vault.run("DELETE FROM hired_employees", "UPDATE departments SET name = 'x'", "DELETE FROM readings WHERE id > 3")
    vault.restore(*before, id=id)
    assert vault.state() == before
