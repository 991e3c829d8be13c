"""Tables that have more in MySQL than their classes say: unique indexes, foreign keys, CHECKs, triggers and others."""

from collections.abc import Iterator

import pytest

from rowferry.declare import constraints
from rowferry.declare.catalog import table_named
from rowferry.errors import Contention, DatabaseError, SchemaDiffers
from rowferry.steps.summarise import Report
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.declared import UNIQUE_NAMES, altered
from tests.support.pipeline import Pipeline

COUNTS = ("inserted", "updated", "unchanged", "rejected")


def counts(report: Report) -> tuple[int, ...]:
    assert report["read"] == sum(report[name] for name in (*COUNTS, "withheld"))
    return tuple(report[name] for name in COUNTS)


def messages(pipeline: Pipeline, report: Report) -> dict[str, str]:
    return {row["_line"]: row["_message"].partition(": ")[2] for row in pipeline.rejects(report)}


# --- unique indexes --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unique_names")
@pytest.mark.parametrize("batch_chunks", [1, 25])
def test_a_row_that_breaks_a_unique_index_is_rejected_and_the_index_and_the_other_row_are_named(
    pipeline: Pipeline, batch_chunks: int
) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Legal\n")
    filling = "".join(f"{i},filling {i}\n" for i in range(1_000, 3_000))
    body = f"3,SALES\n4,New\n{filling}5,new\n2,Legal\n"
    report = pipeline.migrate("raw/departments.csv", body, batch_chunks=batch_chunks)
    assert (report["status"], counts(report)) == ("done", (2_001, 0, 1, 2))
    assert report["rejected_by_code"] == {"not_unique": 2}
    assert messages(pipeline, report) == {
        "1": "by the unique index by_name it is the same as id 1 in departments",
        "2": "by the unique index by_name it is the same as line 2003 of the file, which was taken instead",
    }
    assert [row for row in pipeline.table("departments") if row[0] < 1_000] == [(1, "Sales"), (2, "Legal"), (5, "new")]
    corrected = (
        pipeline.bucket.read_all(report["rejects_key"]).decode().replace("SALES", "Buying").replace("New", "Law")
    )
    again = pipeline.migrate("raw/departments-corrected.csv", corrected)
    assert counts(again) == (2, 0, 0, 0)


@pytest.mark.usefixtures("unique_names")
@pytest.mark.parametrize("batch_chunks", [1, 25])
@pytest.mark.parametrize("downwards", [False, True])
def test_values_that_rows_of_a_file_swap_are_taken_in_every_order_of_batches(
    pipeline: Pipeline, batch_chunks: int, downwards: bool
) -> None:
    pipeline.migrate("raw/departments.csv", "1,a\n2,b\n3,c\n")
    filling = "".join(f"{i},filling {i}\n" for i in range(1_000, 3_000))
    run = pipeline.plan(
        pipeline.upload("raw/departments.csv", f"1,b\n{filling}2,a\n3,d\n4,c\n"), "arn", batch_chunks=batch_chunks
    ).run
    pipeline.validate(run)
    assert pipeline.reconcile(run) == "load"
    assert pipeline.turn(run)
    batches = list(pipeline.batches(run))
    for batch in reversed(batches) if downwards else batches:
        pipeline.load_batch(run, batch)
    report = pipeline.summarise(run)
    assert counts(report) == (2_000, 1, 0, 3)
    assert messages(pipeline, report) == {
        "1": "by the unique index by_name it is the same as id 2 in departments",
        "2002": "by the unique index by_name it is the same as id 1 in departments",
        "2004": "by the unique index by_name it is the same as id 3 in departments",
    }
    assert [row for row in pipeline.table("departments") if row[0] < 1_000] == [(1, "a"), (2, "b"), (3, "d")]


@pytest.mark.usefixtures("unique_names")
@pytest.mark.parametrize(
    ("on_conflict", "did", "codes", "table"),
    [
        ("update", (1, 1, 0, 3), {"not_unique": 2, "duplicate_in_file": 1}, [(1, "Sales"), (2, "sales2"), (5, "new")]),
        ("skip", (1, 0, 2, 2), {"not_unique": 2}, [(1, "Sales"), (2, "Legal"), (4, "New")]),
        ("reject", (1, 0, 0, 4), {"not_unique": 2, "key_exists": 2}, [(1, "Sales"), (2, "Legal"), (4, "New")]),
    ],
)
def test_on_conflict_decides_first_and_a_check_gives_the_same_verdict(
    pipeline: Pipeline,
    on_conflict: str,
    did: tuple[int, ...],
    codes: dict[str, int],
    table: list[tuple[int, str]],
) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Legal\n")
    body = "1,Legal\n2,sales2\n4,New\n5,new\n5,new\n"
    checked = pipeline.migrate("check/departments.csv", body, on_conflict=on_conflict)
    real = pipeline.migrate("raw/departments.csv", body, on_conflict=on_conflict)
    assert (counts(real), real["rejected_by_code"]) == (did, codes)
    assert pipeline.table("departments") == table
    for would, name in (("would_insert", "inserted"), ("would_update", "updated"), ("would_unchanged", "unchanged")):
        assert checked[would] == real[name]
    assert checked["rejected_by_code"] == codes
    for kind in ("rejects", "duplicates"):
        assert pipeline.rejects(checked, kind) == pipeline.rejects(real, kind)


@pytest.mark.usefixtures("unique_names")
def test_only_the_characters_that_the_index_has_count(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", f"1,{'x' * 20}1\n2,short\n")
    report = pipeline.migrate("raw/departments-2.csv", f"3,{'X' * 20}2\n4,{'y' * 20}1\n5,{'y' * 20}2\n6,short 2\n")
    assert messages(pipeline, report) == {
        "1": "by the unique index by_name it is the same as id 1 in departments",
        "2": "by the unique index by_name it is the same as line 3 of the file, which was taken instead",
    }
    assert [row[0] for row in pipeline.table("departments")] == [1, 2, 5, 6]


def test_a_unique_index_of_several_columns(pipeline: Pipeline, admin: Connection) -> None:
    index = "ALTER TABLE hired_employees ADD UNIQUE seat (department_id, job_id)"
    pipeline.migrate("raw/departments.csv", "1,A\n2,B\n")
    pipeline.migrate("raw/jobs.csv", "1,A\n2,B\n")
    with altered(
        admin,
        index,
        undo=["ALTER TABLE hired_employees ADD KEY hired_employees_department_id (department_id), DROP INDEX seat"],
    ):
        day = "2021-01-01T00:00:00Z"
        rows = [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 1, 2), (5, 9, 9)]
        body = "".join(f"{id},N,{day},{department},{job}\n" for id, department, job in rows)
        report = pipeline.migrate("raw/hired_employees.csv", body)
        assert report["rejected_by_code"] == {"no_parent": 1, "not_unique": 1}
        assert [row[0] for row in pipeline.table("hired_employees")] == [1, 3, 4]


def test_a_unique_index_that_came_after_reconcile_rejects_rows_while_they_are_loaded(
    pipeline: Pipeline, admin: Connection
) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Legal\n9,Nine\n")
    run = pipeline.plan(pipeline.upload("raw/departments.csv", "1,LEGAL\n2,Law\n3,nine\n4,New\n"), "arn").run
    pipeline.validate(run)
    assert pipeline.reconcile(run) == "load"
    assert pipeline.turn(run)
    with altered(admin, UNIQUE_NAMES, undo=["ALTER TABLE departments DROP INDEX by_name"]):
        pipeline.load(run)
        report = pipeline.summarise(run)
        assert counts(report) == (1, 1, 0, 2)
        assert messages(pipeline, report) == {
            "1": "by the unique index by_name it is the same as id 2 in departments",
            "3": "by the unique index by_name it is the same as id 9 in departments",
        }


@pytest.mark.usefixtures("unique_names")
def test_a_value_that_somebody_else_took_after_reconcile_is_a_reject_and_not_another_try(
    pipeline: Pipeline, admin: Connection
) -> None:
    run = pipeline.plan(pipeline.upload("raw/departments.csv", "1,Sales\n2,Legal\n"), "arn").run
    pipeline.validate(run)
    assert pipeline.reconcile(run) == "load"
    assert pipeline.turn(run)
    mysql.run(admin, "INSERT INTO departments VALUES (7, 'legal')")
    pipeline.load(run)
    report = pipeline.summarise(run)
    assert (counts(report), report["rejected_by_code"]) == ((1, 0, 0, 1), {"not_unique": 1})


@pytest.mark.usefixtures("unique_names")
def test_files_of_a_table_with_a_unique_index_are_judged_one_after_the_other(pipeline: Pipeline) -> None:
    first = pipeline.plan(pipeline.upload("raw/departments-1.csv", "1,Sales\n"), "arn-1").run
    second = pipeline.plan(pipeline.upload("raw/departments-2.csv", "2,sales\n"), "arn-2").run
    for run in (first, second):
        pipeline.validate(run)
    assert pipeline.reconcile(second) == "wait"
    assert pipeline.reconcile(first) == "load"
    assert pipeline.turn(first)
    pipeline.load(first)
    assert pipeline.summarise(first)["inserted"] == 1
    assert pipeline.reconcile(second) == "withhold"
    assert pipeline.summarise(second)["rejected_by_code"] == {"not_unique": 1}


# --- foreign keys and CHECKs -----------------------------------------------------------------------------------------


@pytest.fixture
def known_names(admin: Connection) -> Iterator[None]:
    """A department's id must also be in a table that its class does not know."""
    with altered(
        admin,
        "CREATE TABLE sites (id INT PRIMARY KEY)",
        "INSERT INTO sites VALUES (1), (2), (3)",
        "ALTER TABLE departments ADD CONSTRAINT departments_site FOREIGN KEY (id) REFERENCES sites (id)",
        undo=["ALTER TABLE departments DROP FOREIGN KEY departments_site", "DROP TABLE sites"],
    ):
        yield


@pytest.mark.usefixtures("known_names")
@pytest.mark.parametrize("place", ["raw", "check"])
def test_a_foreign_key_that_the_class_does_not_know_is_not_bypassed(pipeline: Pipeline, place: str) -> None:
    report = pipeline.migrate(f"{place}/departments.csv", "1,A\n4,B\n")
    assert report["rejected_by_code"] == {"no_parent": 1}
    assert messages(pipeline, report) == {"2": "id 4 is not in sites (foreign key departments_site)"}
    assert pipeline.table("departments") == ([(1, "A")] if place == "raw" else [])


def test_a_foreign_key_that_came_after_reconcile_is_not_bypassed(pipeline: Pipeline, admin: Connection) -> None:
    run = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n4,B\n"), "arn").run
    pipeline.validate(run)
    assert pipeline.reconcile(run) == "load"
    assert pipeline.turn(run)
    with altered(
        admin,
        "CREATE TABLE sites (id INT PRIMARY KEY)",
        "INSERT INTO sites VALUES (1)",
        "ALTER TABLE departments ADD CONSTRAINT departments_site FOREIGN KEY (id) REFERENCES sites (id)",
        undo=["ALTER TABLE departments DROP FOREIGN KEY departments_site", "DROP TABLE sites"],
    ):
        pipeline.load(run)
        report = pipeline.summarise(run)
        assert (counts(report), report["rejected_by_code"]) == ((1, 0, 0, 1), {"no_parent": 1})
        assert "departments_site" in messages(pipeline, report)["2"]


@pytest.mark.parametrize("place", ["raw", "check"])
def test_a_check_constraint_that_a_row_breaks_rejects_it_by_name(
    pipeline: Pipeline, admin: Connection, place: str
) -> None:
    with altered(
        admin,
        "ALTER TABLE departments ADD CONSTRAINT no_test CHECK (name <> 'it''s a `test`' AND name NOT LIKE 'x%')",
        "ALTER TABLE departments ADD CONSTRAINT asleep CHECK (id > 1) NOT ENFORCED",
        undo=["ALTER TABLE departments DROP CHECK no_test", "ALTER TABLE departments DROP CHECK asleep"],
    ):
        report = pipeline.migrate(f"{place}/departments.csv", "1,A\n2,it's a `test`\n3,xyz\n")
        assert report["rejected_by_code"] == {"rule": 2}
        assert messages(pipeline, report)["3"] == "the table's constraint no_test does not allow it"


# --- what is refused in words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "undo", "words"),
    [
        (
            "CREATE TRIGGER louder BEFORE INSERT ON departments FOR EACH ROW SET NEW.name = UPPER(NEW.name)",
            "DROP TRIGGER louder",
            "departments has a trigger louder (BEFORE INSERT), which may change what a file says",
        ),
        (
            "ALTER TABLE departments ADD boss INT NOT NULL DEFAULT 1,"
            " ADD CONSTRAINT own FOREIGN KEY (boss) REFERENCES departments (id)",
            "ALTER TABLE departments DROP FOREIGN KEY own, DROP COLUMN boss",
            "departments refers to itself by the foreign key own",
        ),
        (
            "ALTER TABLE departments ADD city INT NOT NULL",
            "ALTER TABLE departments DROP COLUMN city",
            "departments.city is in the database and not declared; it may not be NULL and has no default",
        ),
        (
            "ALTER TABLE departments ADD UNIQUE loud ((UPPER(LEFT(name, 9))))",
            "ALTER TABLE departments DROP INDEX loud",
            "departments has a unique index loud on (upper(left(`name`,9)))",
        ),
        (
            "ALTER TABLE departments ADD city INT NOT NULL DEFAULT 1, ADD UNIQUE in_city (city, name(9))",
            "ALTER TABLE departments DROP COLUMN city, DROP INDEX in_city",
            "departments has a unique index in_city on city",
        ),
        (
            "ALTER TABLE departments ADD city INT DEFAULT 1, ADD CONSTRAINT some CHECK (city < id)",
            "ALTER TABLE departments DROP CHECK some, DROP COLUMN city",
            "departments has a CHECK some on city",
        ),
    ],
)
def test_plan_refuses_a_table_whose_constraint_loading_would_bypass_or_can_not_judge(
    pipeline: Pipeline, admin: Connection, change: str, undo: str, words: str
) -> None:
    with altered(admin, change, undo=[undo]):
        with pytest.raises(SchemaDiffers) as refused:
            pipeline.migrate("raw/departments.csv", "1,A\n")
        assert words in str(refused.value)
    assert pipeline.table("departments") == []


def test_a_view_another_engine_and_keys_without_a_partition_are_refused(pipeline: Pipeline, admin: Connection) -> None:
    for change, words in (
        ("CREATE TABLE jobs (id INT PRIMARY KEY, name TEXT NOT NULL) ENGINE = MyISAM", "of the engine MyISAM"),
        ("CREATE VIEW jobs AS SELECT * FROM departments", "is a view"),
        (
            "CREATE TABLE jobs (id INT PRIMARY KEY, name TEXT NOT NULL) PARTITION BY RANGE (id)"
            " (PARTITION p VALUES LESS THAN (10))",
            "not every key has a partition",
        ),
    ):
        with altered(
            admin,
            "ALTER TABLE hired_employees DROP FOREIGN KEY hired_employees_job_id",
            "RENAME TABLE jobs TO kept",
            change,
            undo=[
                f"DROP {'VIEW' if 'VIEW' in change else 'TABLE'} jobs",
                "RENAME TABLE kept TO jobs",
                "ALTER TABLE hired_employees ADD CONSTRAINT hired_employees_job_id FOREIGN KEY (job_id)"
                " REFERENCES jobs (id)",
            ],
        ):
            with pytest.raises(SchemaDiffers) as refused:
                pipeline.migrate("raw/jobs.csv", "1,A\n")
            assert words in str(refused.value)


def test_columns_indexes_and_foreign_keys_that_loading_never_touches_are_no_hindrance(
    pipeline: Pipeline, admin: Connection
) -> None:
    with altered(
        admin,
        "ALTER TABLE departments ADD code INT UNIQUE, ADD made DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,"
        " ADD boss INT, ADD CONSTRAINT boss FOREIGN KEY (boss) REFERENCES departments (id),"
        " ADD UNIQUE more (id, name(9)), ADD n BIGINT NOT NULL AUTO_INCREMENT UNIQUE",
        undo=[
            "ALTER TABLE departments DROP FOREIGN KEY boss, DROP INDEX more, DROP COLUMN code, DROP COLUMN made,"
            " DROP COLUMN boss, DROP COLUMN n",
        ],
    ):
        report = pipeline.migrate("raw/departments.csv", "1,A\n2,A\n")
        assert (report["status"], counts(report)) == ("done", (2, 0, 0, 0))


# --- triggers and what changes meanwhile -----------------------------------------------------------------------------


def test_what_an_after_trigger_writes_is_checked_against_foreign_keys(pipeline: Pipeline, admin: Connection) -> None:
    with altered(
        admin,
        "CREATE TABLE sites (id INT PRIMARY KEY)",
        "INSERT INTO sites VALUES (1)",
        "CREATE TABLE audit (id INT, CONSTRAINT of_site FOREIGN KEY (id) REFERENCES sites (id))",
        "CREATE TRIGGER noted AFTER INSERT ON departments FOR EACH ROW INSERT INTO audit VALUES (NEW.id)",
        undo=["DROP TRIGGER noted", "DROP TABLE audit", "DROP TABLE sites"],
    ):
        report = pipeline.migrate("raw/departments.csv", "1,A\n4,B\n")
        assert counts(report) == (1, 0, 0, 1)
        assert mysql.rows(admin, "SELECT id FROM audit") == [{"id": 1}]
        assert pipeline.table("departments") == [(1, "A")]


def test_a_trigger_that_came_after_reconcile_stops_the_load_in_words(pipeline: Pipeline, admin: Connection) -> None:
    run = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n"), "arn").run
    pipeline.validate(run)
    assert pipeline.reconcile(run) == "load"
    assert pipeline.turn(run)
    trigger = "CREATE TRIGGER louder BEFORE INSERT ON departments FOR EACH ROW SET NEW.name = UPPER(NEW.name)"
    with altered(admin, trigger, undo=["DROP TRIGGER louder"]), pytest.raises(SchemaDiffers, match="louder"):
        pipeline.load(run)
    assert pipeline.table("departments") == []
    pipeline.load(run)
    assert pipeline.summarise(run)["inserted"] == 1


def test_nobody_adds_a_constraint_between_the_look_and_the_end_of_a_batch(conn: Connection, admin: Connection) -> None:
    mysql.run(admin, "SET SESSION lock_wait_timeout = 1")
    with mysql.transaction(conn):
        assert constraints.may_skip_checks(conn, table_named("departments"))
        with pytest.raises(Contention):
            mysql.run(admin, "CREATE TRIGGER t BEFORE INSERT ON departments FOR EACH ROW SET NEW.name = 'x'")
        with pytest.raises(Contention):
            mysql.run(admin, UNIQUE_NAMES)
        mysql.run(conn, "INSERT INTO departments VALUES (1, 'A')")


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unique_names")
def test_what_another_try_does_not_cure_is_no_contention(vault: Vault, conn: Connection) -> None:
    vault.family(1)
    for statement, code, constraint in (
        ("INSERT INTO departments VALUES (1, 'Other')", "not_unique", "PRIMARY"),
        ("INSERT INTO departments VALUES (8, \"it's for key 'x\"), (9, \"IT'S for key 'x\")", "not_unique", "by_name"),
        (
            "UPDATE hired_employees SET department_id = 77",
            "no_parent",
            "hired_employees_department_id",
        ),
    ):
        with pytest.raises(mysql.BreaksConstraint) as broken:
            mysql.run(conn, statement)
        assert (broken.value.code, broken.value.constraint) == (code, constraint)
        assert "IT'S" not in str(broken.value), "it may hold a row's contents"
    with pytest.raises(DatabaseError, match="1451"):
        mysql.run(conn, "DELETE FROM departments")
