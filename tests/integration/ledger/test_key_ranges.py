"""Overlapping files load one after the other, whatever dies on the way."""

import pytest

from rowferry import ledger
from rowferry.errors import Busy, Contention
from rowferry.ledger import TurnBlocked, TurnLost
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline
from tests.support.stopped_runs import Stopped, loaded, other, to_turn


def test_overlapping_files_take_turns_and_disjoint_ones_do_not_wait(pipeline: Pipeline) -> None:
    runs = {}
    for name, body in {"a": "1,A\n9,A\n", "b": "5,B\n", "c": "10,C\n"}.items():
        runs[name] = pipeline.plan(pipeline.upload(f"raw/departments-{name}.csv", body), f"arn:{name}").run
        pipeline.validate(runs[name])
        pipeline.reconcile(runs[name])
    assert pipeline.turn(runs["a"])
    assert not pipeline.turn(runs["b"])
    assert pipeline.turn(runs["c"])
    assert pipeline.turn(runs["a"]), "asking twice is no harm"
    pipeline.load(runs["a"])
    pipeline.summarise(runs["a"])
    assert pipeline.turn(runs["b"])


def test_a_newer_version_waits_for_an_older_one_that_was_claimed_before_it(pipeline: Pipeline) -> None:
    older = pipeline.plan(pipeline.upload("raw/departments.csv", "1,Older\n")).run
    newer = to_turn(pipeline, pipeline.upload("raw/departments.csv", "1,Newer\n"))
    assert pipeline.take_turn(newer) == "wait", "the older one is still in Plan"
    pipeline.validate(older)
    assert pipeline.reconcile(older) == "load"
    assert pipeline.take_turn(older) == "go"
    pipeline.load(older)
    pipeline.summarise(older)
    assert pipeline.take_turn(newer) == "go"
    pipeline.load(newer)
    assert pipeline.table("departments") == [(1, "Newer")]


def test_an_older_version_that_comes_to_its_turn_after_a_newer_one_was_loaded_is_superseded(pipeline: Pipeline) -> None:
    first = pipeline.upload("raw/departments.csv", "1,Older\n2,\n")
    newer = to_turn(pipeline, pipeline.upload("raw/departments.csv", "1,Newer\n"))
    assert pipeline.take_turn(newer) == "go"
    older = to_turn(pipeline, first)
    assert pipeline.take_turn(older) == "wait"
    pipeline.load(newer)
    pipeline.summarise(newer)
    assert pipeline.take_turn(older) == "superseded"
    report = pipeline.summarise(older)
    assert (report["status"], report["read"], report["rejected"], report["withheld"]) == ("superseded", 2, 1, 1)
    assert pipeline.table("departments") == [(1, "Newer")]
    assert list(pipeline.bucket.keys("raw/")) == []


# --- runs that died --------------------------------------------------------------------------------------------------


def test_a_failed_run_with_rows_in_the_table_goes_before_what_overlaps_it(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn)
    first.fail()
    blocked = other(pipeline)
    with pytest.raises(TurnBlocked, match=r"departments-first\.csv.*start that again first"):
        pipeline.take_turn(blocked)
    assert pipeline.take_turn(other(pipeline, "1501,Elsewhere\n", "raw/departments-elsewhere.csv")) == "go"
    assert first.start_again() == "go"
    assert loaded(pipeline, first.run) == "done"
    assert pipeline.take_turn(blocked) == "go"
    assert loaded(pipeline, blocked) == "done"
    names = dict(pipeline.table("departments"))
    assert (names[1], names[2], names[1_500]) == ("Other", "First", "Other")


def test_a_failed_run_without_a_row_in_the_table_is_in_nobodys_way(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn, batches_loaded=0)
    first.fail()
    late = other(pipeline)
    assert pipeline.take_turn(late) == "go"
    assert first.start_again() == "wait"
    assert loaded(pipeline, late) == "done"
    assert pipeline.take_turn(first.run) == "go"


@pytest.mark.parametrize("batches_loaded", [0, 1])
def test_a_silent_run_is_waited_for_where_it_has_rows_in_the_table(
    pipeline: Pipeline, conn: Connection, batches_loaded: int
) -> None:
    first = Stopped(pipeline, conn, batches_loaded)
    first.fall_silent(minutes=1)
    assert pipeline.take_turn(other(pipeline)) == ("wait" if batches_loaded else "go")


def test_a_run_that_was_silent_for_longer_than_it_is_tried_again_blocks_what_overlaps(
    pipeline: Pipeline, conn: Connection
) -> None:
    first = Stopped(pipeline, conn)
    first.fall_silent(minutes=ledger.RETRIED_MINUTES + 1)
    with pytest.raises(TurnBlocked):
        pipeline.take_turn(other(pipeline))
    assert first.start_again() == "go"


def test_a_silent_run_that_lost_its_turn_writes_nothing_when_it_wakes_up(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn, batches_loaded=0)
    first.fall_silent(minutes=1)
    late = other(pipeline)
    assert pipeline.take_turn(late) == "go"
    with pytest.raises(TurnLost):
        pipeline.load(first.run)
    assert pipeline.table("departments") == []
    assert loaded(pipeline, late) == "done"
    first.fail()
    assert first.start_again() == "go"
    assert loaded(pipeline, first.run) == "done"


def test_a_turn_is_not_taken_from_a_batch_that_is_just_being_written(pipeline: Pipeline, conn: Connection) -> None:
    first = Stopped(pipeline, conn, batches_loaded=0)
    first.fall_silent(minutes=1)
    late = other(pipeline)
    with mysql.session(pipeline.settings) as writing:
        mysql.run(writing, "BEGIN")
        assert ledger.open_batch(writing, first.run, 0, 1_000)
        ledger.check_turn(writing, ledger.read(writing, first.run))
        mysql.run(conn, "SET SESSION innodb_lock_wait_timeout = 1")
        with pytest.raises(Contention):
            ledger.take_turn(conn, ledger.read(conn, late))
        mysql.run(writing, "COMMIT")
    assert pipeline.take_turn(late) == "wait", "now the silent run has a batch in the table"


def test_a_failed_older_version_does_not_block_a_newer_one_and_stays_where_it_was(
    pipeline: Pipeline, conn: Connection
) -> None:
    older = Stopped(pipeline, conn)
    older.fail()
    newer = other(pipeline, "1,Newer\n1400,Newer\n", "raw/departments-first.csv")
    assert pipeline.take_turn(newer) == "go"
    assert older.start_again() == "wait", "its turn is gone: the newer version is loading"
    assert loaded(pipeline, newer) == "done"
    assert pipeline.take_turn(older.run) == "superseded"
    report = pipeline.summarise(older.run)
    assert (report["status"], report["inserted"], report["withheld"]) == ("superseded", 1_000, 500)
    names = dict(pipeline.table("departments"))
    assert (names[1], names[2], names[1_400], len(names)) == ("Newer", "First", "Newer", 1_001)
    assert list(pipeline.bucket.keys("raw/")) == []


@pytest.mark.parametrize("loaded_by_newer", [0, 1])
def test_an_older_version_with_rows_in_the_table_stays_in_the_way_until_a_newer_one_was_loaded(
    pipeline: Pipeline, conn: Connection, loaded_by_newer: int
) -> None:
    older = Stopped(pipeline, conn)
    older.fail()
    body = "".join(f"{i},Newer\n" for i in range(1, 1_501))
    uploaded = pipeline.upload("raw/departments-first.csv", body)
    newer = pipeline.plan(uploaded, "arn:newer", batch_chunks=1).run
    pipeline.validate(newer)
    assert pipeline.reconcile(newer) == "load"
    assert pipeline.take_turn(newer) == "go"
    for batch in pipeline.batches(newer)[:loaded_by_newer]:
        pipeline.load_batch(newer, batch)
    ledger.fail(conn, "arn:newer", "DatabaseUnavailable: for an hour", lasting=False)
    late = other(pipeline)
    with pytest.raises(TurnBlocked, match=r"departments-first\.csv"):
        pipeline.take_turn(late)
    with pytest.raises(Busy, match=r"departments-first\.csv was loaded in part"):
        ledger.take_tables(conn, ["departments"])
    if loaded_by_newer:
        with pytest.raises(TurnBlocked):
            older.start_again()
    else:
        assert older.start_again() == "go"
        ledger.fail(conn, "arn:again", "once more", lasting=False)
    assert pipeline.plan(uploaded, "arn:third").run == newer
    assert pipeline.take_turn(newer) == "go"
    assert loaded(pipeline, newer) == "done"
    assert pipeline.take_turn(late) == "go", "what is still to be superseded is in nobody's way"
    assert older.start_again("arn:fourth") == "superseded"


def test_a_run_with_rows_in_the_table_does_not_wait_for_one_that_waits_for_it(
    pipeline: Pipeline, conn: Connection
) -> None:
    early = other(pipeline, "1500,Early\n1600,Early\n", "raw/departments-early.csv")
    older = Stopped(pipeline, conn)
    assert pipeline.take_turn(early) == "wait"
    older.fail()
    newer = pipeline.plan(pipeline.upload("raw/departments-first.csv", "1,Newer\n"), "arn:newer").run
    pipeline.validate(newer)
    assert pipeline.reconcile(newer) == "load"
    assert pipeline.take_turn(newer) == "go"
    ledger.fail(conn, "arn:newer", "DatabaseUnavailable: for an hour", lasting=False)
    assert older.start_again() == "go"
    assert pipeline.take_turn(early) == "wait"


def test_versions_of_a_key_that_both_have_rows_in_the_table_do_not_wait_for_each_other(
    pipeline: Pipeline, conn: Connection
) -> None:
    older = Stopped(pipeline, conn)
    older.fail()
    uploads = {n: pipeline.upload("raw/departments-first.csv", f"1,{n}\n1500,{n}\n") for n in ("second", "third")}
    runs = dict[str, str]()
    for name, uploaded in uploads.items():
        runs[name] = pipeline.plan(uploaded, f"arn:{name}").run
        pipeline.validate(runs[name])
        assert pipeline.reconcile(runs[name]) == "load"
        assert pipeline.take_turn(runs[name]) == "go"
        if name == "second":
            pipeline.load(runs[name])
        ledger.fail(conn, f"arn:{name}", "DatabaseUnavailable: for an hour", lasting=False)
    with pytest.raises(TurnBlocked):
        older.start_again("arn:older-again")
    assert pipeline.plan(uploads["second"], "arn:second-again").run == runs["second"]
    assert pipeline.take_turn(runs["second"]) == "go", "though the older one is alive and was claimed before it"
    assert pipeline.take_turn(older.run) == "wait"


def test_waits_grow_so_that_a_day_of_them_fits_an_executions_history(pipeline: Pipeline, conn: Connection) -> None:
    Stopped(pipeline, conn)
    late = other(pipeline)
    waits = []
    for minutes in (0, 10, 60, 600):
        claimed = f"UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"
        mysql.run(conn, f"UPDATE rowferry_runs SET claimed_at = {claimed} WHERE id = %s", (late,))
        turn = ledger.take_turn(conn, ledger.read(conn, late))
        assert turn.ahead == "raw/departments-first.csv"
        waits.append(turn.seconds)
    assert waits == [2, 60, 300, 300]
