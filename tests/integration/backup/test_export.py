"""Tables into S3: what lies there, whole or not at all, and for how long."""

import contextlib
import dataclasses
import datetime as dt
import decimal
import io
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated, Any

import avro.datafile
import avro.io
import avro.schema
import polars
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, create_model

from local.mysql import MySQLServer
from rowferry.backup import export, retention
from rowferry.backup.retention import Retention
from rowferry.config import Settings
from rowferry.declare.catalog import table_named
from rowferry.declare.definition import TableDefinition
from rowferry.declare.table_class import Id
from rowferry.declare.types import Decimal, Integer, Kind, Text, Timestamp
from rowferry.errors import BackupDamaged, Busy, NotFound, OutOfTime, RowferryError, SchemaDiffers, UnknownTable
from rowferry.ledger import jobs
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket, StorageDenied
from tests.support.backups import LONGEST, Vault, extremes, rows_of
from tests.support.declared import LONG, declared


@pytest.fixture
def nullable(admin: Connection, readings: None) -> Iterator[None]:
    """Every column that may be null is."""
    change = "ALTER TABLE hired_employees MODIFY name TEXT {0}, MODIFY datetime TIMESTAMP {0}, MODIFY job_id INT {0}"
    mysql.run(admin, change.format("NULL"))
    mysql.run(admin, "ALTER TABLE readings MODIFY price DECIMAL(10,2) NULL, MODIFY steps BIGINT NULL")
    yield
    mysql.run(admin, "DELETE FROM hired_employees")
    mysql.run(admin, change.format("NOT NULL"))


@contextlib.contextmanager
def in_zone(server: MySQLServer, zone: str) -> Iterator[None]:
    """The server's own time zone, which sessions begin with."""
    with closing(server.connect("root")) as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL time_zone = %s", (zone,))
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL time_zone = '+00:00'")


# --- what is in it ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("readings")
@pytest.mark.parametrize("zone", ["+00:00", "+05:30", "-08:00"])
def test_every_type_with_its_extremes_is_restored_byte_for_byte(vault: Vault, server: MySQLServer, zone: str) -> None:
    extremes(vault)
    before = vault.state()
    with in_zone(server, zone):
        id = vault.back_up()
        with in_zone(server, "-03:00"):
            vault.run("DELETE FROM hired_employees", "DELETE FROM jobs", "UPDATE departments SET name = 'gone'")
            vault.run("UPDATE readings SET price = price / 2, share = share / 2, total = 5, steps = 5 WHERE id <> 4")
            vault.restore(*before, id=id)
    assert vault.state() == before
    for table in before:
        found = vault.manifest(table, id)
        assert vault.checksum(table) == (found.rows, found.checksum)


@pytest.mark.usefixtures("readings")
def test_a_sessions_time_zone_changes_no_byte(vault: Vault, conn: Connection) -> None:
    extremes(vault)
    found = set()
    for zone in ("+00:00", "+05:30", "-08:00"):
        mysql.run(conn, "SET SESSION time_zone = %s", (zone,))
        id = vault.begin_backup("hired_employees", "readings")
        tables = [table_named("hired_employees"), table_named("readings")]
        manifests = export.backup(conn, vault.bucket, tables, id, lambda: None)
        found.add(tuple(manifest.checksum for manifest in manifests))
    assert len(found) == 1


@pytest.mark.usefixtures("nullable")
def test_nulls_come_back_as_nulls_and_empty_text_as_empty_text(vault: Vault) -> None:
    vault.family(2)
    vault.run("INSERT INTO hired_employees VALUES (3, NULL, NULL, 1, NULL), (4, '', '2021-01-01', 1, 1)")
    vault.fill("readings", [(1, None, 0, 0, None, "a"), (2, "0.00", 0, 0, 0, "a"), (3, None, 0, 0, 5, "a")])
    before = vault.state()
    id = vault.back_up()
    types = {field["name"]: field["type"] for field in vault.manifest("hired_employees", id).avro_schema["fields"]}
    assert types["name"] == ["null", "string"]
    assert types["job_id"] == ["null", "int"]
    assert types["department_id"] == "int"
    vault.run("UPDATE hired_employees SET name = '' WHERE id = 3", "DELETE FROM hired_employees WHERE id = 4")
    assert vault.restore("hired_employees", id=id) == {"hired_employees": (1, 1, 0, 2)}
    vault.run("UPDATE readings SET price = 0, steps = NULL")
    assert vault.restore("readings", id=id) == {"readings": (0, 3, 0, 0)}
    assert vault.state() == before


@pytest.mark.usefixtures("readings")
def test_two_readers_that_others_wrote_agree_with_the_table(vault: Vault) -> None:
    extremes(vault)
    id = vault.back_up()
    for table in vault.state():
        data = vault.data(table, id)
        frame = polars.read_avro(io.BytesIO(data)).to_dicts()
        with avro.datafile.DataFileReader(io.BytesIO(data), avro.io.DatumReader()) as reader:
            records: list[Any] = list(reader)
        assert [plain(row) for row in frame] == [plain(row) for row in records]
        assert [stored(row) for row in frame] == vault.rows(table)


def plain(record: dict[str, object]) -> dict[str, object]:
    """A moment in UTC, with or without saying so."""
    return {
        name: value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value for name, value in record.items()
    }


def stored(record: dict[str, object]) -> dict[str, object]:
    """Each value as MySQL has it as text."""
    return {name: None if value is None else in_text(value).encode() for name, value in plain(record).items()}


def in_text(value: object) -> str:
    return f"{value:f}" if isinstance(value, decimal.Decimal) else str(value)


@pytest.mark.usefixtures("readings")
def test_the_schema_lies_in_the_file_and_its_fingerprint_is_that_of_apaches_avro(vault: Vault) -> None:
    id = vault.back_up()
    for table in vault.state():
        found = vault.manifest(table, id)
        with avro.datafile.DataFileReader(io.BytesIO(vault.data(table, id)), avro.io.DatumReader()) as reader:
            assert json.loads(reader.schema) == found.avro_schema
        simple = re.sub(LOGICAL, r'"\1"', json.dumps(found.avro_schema))  # which Apache's own step leaves out
        assert avro.schema.parse(simple).fingerprint("sha256").hex() == found.fingerprint


LOGICAL = r'\{"type": "(\w+)", "logicalType": [^}]*\}'


def test_an_empty_table_has_a_backup_too(vault: Vault) -> None:
    id = vault.back_up("jobs")
    assert (vault.manifest("jobs", id).rows, records(vault, "jobs", id)) == (0, [])
    vault.fill("jobs", [(1, "Cook")])
    assert vault.restore("jobs", id=id) == {"jobs": (0, 0, 1, 0)}
    assert vault.rows("jobs") == []


def test_tables_that_are_not_as_declared_or_not_in_utf8_are_refused(vault: Vault, admin: Connection) -> None:
    vault.family()
    mysql.run(admin, "ALTER TABLE departments MODIFY name TEXT CHARACTER SET latin1 NOT NULL, ADD COLUMN more INT NULL")
    try:
        with pytest.raises(SchemaDiffers, match=r"departments\.more is in the database, but not declared"):
            vault.back_up("departments")
        mysql.run(admin, "ALTER TABLE departments DROP COLUMN more")
        with pytest.raises(SchemaDiffers, match=r"departments\.name holds text in latin1"):
            vault.back_up("departments")
    finally:
        mysql.run(admin, "ALTER TABLE departments MODIFY name TEXT CHARACTER SET utf8mb4 NOT NULL")
    assert vault.objects() == []
    assert [job.status for job in vault.jobs()] == ["failed", "failed"]
    with pytest.raises(UnknownTable):
        vault.begin_backup("salaries")


def test_a_zero_date_is_refused(vault: Vault, server: MySQLServer) -> None:
    vault.family()
    with closing(server.connect()) as conn, conn.cursor() as cursor:  # a session that allows it
        cursor.execute("SET sql_mode = ''")
        cursor.execute("UPDATE hired_employees SET datetime = '0000-00-00' WHERE id = 3")
        conn.commit()
    with pytest.raises(SchemaDiffers, match="hired_employees holds a zero date"):
        vault.back_up("hired_employees")
    assert export.complete(vault.bucket, "hired_employees") == []


# --- one moment ------------------------------------------------------------------------------------------------------

DECIMALS = st.integers(1, 18).flatmap(lambda digits: st.builds(Decimal, st.just(digits), st.integers(0, digits)))
OTHERS: list[Kind] = [Integer(), LONG, Text(), Timestamp()]
KINDS: st.SearchStrategy[Kind] = st.sampled_from(OTHERS) | DECIMALS


def values_of(kind: Kind) -> st.SearchStrategy[object]:
    """What a column may hold, its ends more often than chance would."""
    match kind:
        case Integer(low, high):
            return st.integers(low, high) | st.sampled_from([low, high])
        case Decimal(digits, scale):
            most = 10**digits - 1
            return (st.integers(-most, most) | st.sampled_from([-most, most])).map(
                lambda number: decimal.Decimal(number).scaleb(-scale)
            )
        case Timestamp():
            return st.integers(1, 2**31 - 1).map(lambda at: dt.datetime.fromtimestamp(at, dt.UTC).replace(tzinfo=None))
        case _:
            return st.text(max_size=5) | st.just(LONGEST)


@dataclasses.dataclass(frozen=True)
class Story:
    """A table's columns, its first rows, and what is written to it then: what, to which key, with which values."""

    kinds: dict[str, Kind]
    nullable: frozenset[str]
    first: list[tuple[object, ...]]
    writes: list[tuple[str, int, tuple[object, ...]]]

    def model(self, title: str) -> type[BaseModel]:
        columns: Any = {name: (Annotated[Any, kind], ...) for name, kind in self.kinds.items()}
        return create_model(title, __config__=ConfigDict(title=title), id=(Id, ...), **columns)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    kinds = dict(zip(("a", "b", "c", "d", "e", "f"), draw(st.lists(KINDS, min_size=1, max_size=6)), strict=False))
    nullable = draw(st.frozensets(st.sampled_from(list(kinds))))
    row = st.tuples(
        *(values_of(kind) | st.none() if name in nullable else values_of(kind) for name, kind in kinds.items())
    )
    first = draw(st.dictionaries(st.integers(1, 40), row, max_size=20))
    ways = st.sampled_from(["insert", "update", "delete", "move"])
    writes = draw(st.lists(st.tuples(ways, st.integers(1, 40), row), min_size=1, max_size=30))
    return Story(kinds, nullable, [(key, *values) for key, values in first.items()], writes)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), ahead=st.integers(0, 3), pause=st.integers(0, 3))
def test_a_backup_of_any_tables_is_one_moment_of_them_whoever_writes_meanwhile_and_brings_it_back(
    vault: Vault, administrator: Settings, story: Story, ahead: int, pause: int
) -> None:
    """The writer notes the tables as they are after each of its transactions, which are the same in both of them.

    The backup is one of those moments, none before its beginning and none after its first look at a row. Before and at
    each of its steps the writer goes on by so many transactions.
    """
    with declared(administrator, story.model("here"), story.model("there"), nullable=story.nullable) as tables:
        for table in tables:
            vault.fill(table, story.first)
        moments = [{table: vault.rows(table) for table in tables}]

        def write() -> None:
            with mysql.session(vault.settings) as conn:
                for what, key, row in story.writes:
                    with mysql.transaction(conn):
                        for table in tables.values():
                            change(conn, table, what, key, row)
                    moments.append({table: rows_of(conn, table) for table in tables})

        writer = threading.Thread(target=write)
        looked = list[int]()

        def tick() -> None:
            looked.append(len(moments))
            let(writer, moments, pause)

        id = vault.begin_backup(*tables)
        with mysql.session(vault.settings) as conn:
            writer.start()
            let(writer, moments, ahead)
            begun = len(moments)
            export.backup(conn, vault.bucket, list(tables.values()), id, tick)
        writer.join()
        found = {table: [stored(record) for record in records(vault, table, id)] for table in tables}
        assert found in moments[begun - 1 : min(looked, default=len(moments)) + 1]
        vault.restore(*tables, id=id)
        assert {table: vault.rows(table) for table in tables} == found


def let(writer: threading.Thread, moments: Sequence[object], more: int) -> None:
    """Waits until a writer has noted so many more moments, or has ended."""
    enough = len(moments) + more
    while writer.is_alive() and len(moments) < enough:
        time.sleep(0.001)


def change(conn: Connection, table: TableDefinition, what: str, key: int, row: Sequence[object]) -> None:
    if what == "insert":
        marks = ", ".join(["%s"] * len(table.columns))
        mysql.run(conn, f"REPLACE INTO {table.name} VALUES ({marks})", (key, *row))
    elif what == "update":
        values = ", ".join(f"{name} = %s" for name in table.names if name not in table.key)
        mysql.run(conn, f"UPDATE {table.name} SET {values} WHERE id >= %s", (*row, key))
    elif what == "delete":
        mysql.run(conn, f"DELETE FROM {table.name} WHERE id >= %s", (key,))
    else:
        mysql.run(conn, f"DELETE FROM {table.name} WHERE id = %s", (key + 1000,))
        mysql.run(conn, f"UPDATE {table.name} SET id = id + 1000 WHERE id = %s", (key,))


def records(vault: Vault, table: str, id: str) -> list[Any]:
    with avro.datafile.DataFileReader(io.BytesIO(vault.data(table, id)), avro.io.DatumReader()) as reader:
        return list(reader)


def test_tables_that_are_backed_up_together_say_so(vault: Vault) -> None:
    vault.family()
    id = vault.back_up()
    found = [vault.manifest(table, id) for table in vault.state()]
    assert {manifest.together for manifest in found} == {("departments", "jobs", "hired_employees")}
    assert len({manifest.snapshot_at for manifest in found}) == 1
    assert [manifest.rows for manifest in found] == [3, 2, 5]


# --- whole or not at all ---------------------------------------------------------------------------------------------


def big(vault: Vault) -> None:
    """More than one part of an upload, whatever the codec."""
    noise = f"CONCAT({', '.join(f'SHA2(n + 0.{part:02}, 512)' for part in range(1, 17))})"
    digits = "SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6"
    numbers = f"(SELECT 1 + a.d + 7 * b.d + 49 * c.d + 343 * e.d + 2401 * f.d AS n FROM ({digits}) a, ({digits}) b,"
    numbers += f" ({digits}) c, ({digits}) e, ({digits}) f) n"
    vault.run(f"INSERT INTO departments SELECT n, {noise} FROM {numbers}")


def test_a_backup_that_runs_out_of_time_leaves_nothing_and_says_so(vault: Vault) -> None:
    vault.family()
    with pytest.raises(OutOfTime, match="nothing was changed"):
        vault.back_up(ends=time.monotonic())
    assert vault.objects() == []
    assert [(job.status, (job.reason or "")[:9]) for job in vault.jobs()] == [("failed", "OutOfTime")]


def test_a_backup_is_uploaded_in_parts_and_none_is_left_when_it_ends_early(vault: Vault, conn: Connection) -> None:
    big(vault)
    ticks = iter(range(10**6))

    def tick() -> None:
        if next(ticks) == 100:  # of a hundred rows each
            assert [upload.key for upload in vault.bucket.unfinished_uploads("backups/")], "it is uploaded in parts"
            raise OutOfTime("now")

    id = vault.begin_backup("departments")
    with pytest.raises(OutOfTime):
        export.backup(conn, vault.bucket, [table_named("departments")], id, tick)
    assert list(vault.bucket.unfinished_uploads("backups/")) == []
    assert vault.objects() == []
    vault.back_up("departments")
    assert len(vault.objects()) == 2


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"])
def test_where_s3_says_no_there_is_no_backup_and_the_next_try_works(vault: Vault, call: str) -> None:
    big(vault)
    client = vault.bucket._client
    refused = f"before-call.s3.{call}"
    client.meta.events.register(refused, refuse)
    with pytest.raises(StorageDenied):
        vault.back_up("departments")
    client.meta.events.unregister(refused, refuse)
    assert list(vault.bucket.unfinished_uploads("backups/")) == []
    assert export.complete(vault.bucket, "departments") == []
    id = vault.back_up("departments")
    assert export.complete(vault.bucket, "departments") == [id]


def refuse(**_: object) -> Any:
    """In the place of S3's answer."""
    told: dict[str, Any] = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {}}
    return AWSResponse("https://refused", 403, HTTPHeaders(), None), told


@pytest.mark.parametrize("at", [0, 1, 3, 10])
def test_where_the_connection_is_killed_there_is_no_backup(vault: Vault, server: MySQLServer, at: int) -> None:
    big(vault)
    ticks = iter(range(10**6))
    id = vault.begin_backup("departments")
    with mysql.session(vault.settings) as reading, closing(server.connect("root")) as root, root.cursor() as cursor:
        session = (mysql.row(reading, "SELECT CONNECTION_ID() AS id") or {})["id"]

        def tick() -> None:
            if next(ticks) == at:
                cursor.execute(f"KILL {session}")

        with pytest.raises(RowferryError):
            export.backup(reading, vault.bucket, [table_named("departments")], id, tick)
    assert vault.objects() == []
    assert list(vault.bucket.unfinished_uploads("backups/")) == []


# --- finding and keeping ---------------------------------------------------------------------------------------------


def test_the_latest_is_found_and_the_latest_before_a_moment(vault: Vault) -> None:
    ids = [vault.back_up("jobs") for _ in range(3)]
    assert sorted(ids) == ids
    assert export.latest(vault.bucket, "jobs").id == ids[2]
    second = vault.manifest("jobs", ids[1]).snapshot_at
    assert export.latest(vault.bucket, "jobs", second).id == ids[1]
    with pytest.raises(NotFound, match="no complete backup of jobs until"):
        export.latest(vault.bucket, "jobs", second - dt.timedelta(days=1))
    with pytest.raises(NotFound, match="no complete backup of departments"):
        export.latest(vault.bucket, "departments")
    damaged = export.manifest_key("jobs", ids[1])
    vault.bucket.write(damaged, vault.bucket.read_all(damaged).replace(b'"rows": 0', b'"rows": 1'))
    with pytest.raises(BackupDamaged, match=f"{ids[1]} of jobs is not as it was written; .* before it is {ids[0]}"):
        export.latest(vault.bucket, "jobs", second)
    assert export.latest(vault.bucket, "jobs").id == ids[2]
    assert export.latest(vault.bucket, "jobs", vault.manifest("jobs", ids[0]).snapshot_at).id == ids[0]


def test_retention_keeps_the_newest_and_the_young_and_never_takes_the_last(vault: Vault, conn: Connection) -> None:
    ids = [vault.back_up("jobs") for _ in range(4)]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=10)

    def swept(kept: Retention, now: dt.datetime = later) -> list[str]:
        retention.sweep(conn, vault.bucket, "jobs", kept, now)
        return export.complete(vault.bucket, "jobs")

    vault.bucket.write("backups/jobs/20260230T000000000000Z-abcdef/manifest.json", b"no backup's name: no such day")
    assert swept(Retention(keep=1, keep_days=11)) == ids
    assert swept(Retention(keep=3, keep_days=1)) == ids[1:]
    assert swept(Retention(keep=0, keep_days=0)) == ids[3:]
    left = {version.key.split("/")[2] for version in vault.bucket.versions("backups/jobs/")}
    assert left == {ids[3], "20260230T000000000000Z-abcdef"}
    assert vault.restore("jobs") == {"jobs": (0, 0, 0, 0)}


def test_what_is_no_backup_takes_no_backups_place(vault: Vault) -> None:
    for year in (2020, 2030, 9999):
        vault.bucket.write(f"backups/jobs/{year}1231T235959999999Z-aaaaaa/manifest.json", b"junk")
    ids = [vault.back_up("jobs") for _ in range(2)]
    last = vault.back_up("jobs", retention=Retention(keep=2, keep_days=0))
    left = set(export.complete(vault.bucket, "jobs"))
    assert {ids[1], last} < left
    assert ids[0] not in left
    assert {id[:4] for id in left - {ids[1], last}} == {"2030", "9999"}, "by their age"


def test_what_nobody_completed_is_swept_but_not_while_somebody_may_be_at_work(vault: Vault, conn: Connection) -> None:
    abandoned, under_way = vault.begin_backup("jobs"), vault.begin_backup("jobs")
    mysql.run(conn, "UPDATE rowferry_jobs SET status = 'failed' WHERE id = %s", (abandoned,))
    for id in (abandoned, under_way):
        vault.bucket.write(export.data_key("jobs", id), b"half of it")
        vault.bucket._client.create_multipart_upload(Bucket=vault.bucket.name, Key=f"backups/jobs/{id}/data.avro")
    done = vault.back_up("jobs")
    now = dt.datetime.now(dt.UTC)
    assert retention.sweep(conn, vault.bucket, "jobs", Retention(), now).incomplete == (), "within the hour"
    removed = retention.sweep(conn, vault.bucket, "jobs", Retention(), now + dt.timedelta(hours=2))
    assert (removed.incomplete, removed.uploads) == ((abandoned,), 1)
    assert {key.split("/")[2] for key in vault.objects()} == {under_way, done}
    assert [under_way in upload.key for upload in vault.bucket.unfinished_uploads("backups/")] == [True]


def test_a_backup_is_complete_though_what_is_old_can_not_be_removed(vault: Vault) -> None:
    first = vault.back_up("jobs")
    client = vault.bucket._client
    client.meta.events.register("before-call.s3.DeleteObject", refuse)
    second = vault.back_up("jobs", retention=Retention(keep=1, keep_days=0))
    client.meta.events.unregister("before-call.s3.DeleteObject", refuse)
    assert export.complete(vault.bucket, "jobs") == [first, second]
    job = vault.jobs()[-1]
    assert (job.status, job.result["not_removed"][:13]) == ("done", "StorageDenied")
    assert vault.back_up("jobs", retention=Retention(keep=1, keep_days=36_500))
    vault.back_up("jobs", retention=Retention(keep=1, keep_days=0))
    assert len(export.complete(vault.bucket, "jobs")) == 1


def test_a_backup_whose_job_was_taken_for_dead_has_no_manifest(vault: Vault, conn: Connection) -> None:
    id = vault.begin_backup("jobs")

    def bury() -> None:
        mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = '2020-01-01'")
        assert jobs.read(conn, id).status == "failed"

    vault.fill("jobs", [(1, "Cook")])
    with mysql.session(vault.settings) as reading, pytest.raises(Busy, match="taken for dead"):
        export.backup(reading, vault.bucket, [table_named("jobs")], id, bury)
    assert export.complete(vault.bucket, "jobs") == []


def test_an_upload_that_has_ended_can_be_given_up_again(bucket: Bucket) -> None:
    bucket._client.create_multipart_upload(Bucket=bucket.name, Key="backups/jobs/x/data.avro")
    (upload,) = bucket.unfinished_uploads("backups/")
    bucket.give_up(upload)
    bucket.give_up(upload)
    assert list(bucket.unfinished_uploads("backups/")) == []
