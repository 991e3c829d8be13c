"""Rows whose key is in the table already, and keys that stand in a file twice."""

import pytest

from tests.support.pipeline import Pipeline

OLD = "1,Sales\n2,Marketing\n3,Legal\n"
NEW = "1,sáles\n2,Marketing\n3,Legal \n4,New\n"


@pytest.mark.parametrize(
    ("on_conflict", "counts", "table", "codes"),
    [
        ("update", (4, 1, 2, 1, 0), ["sáles", "Marketing", "Legal ", "New"], []),
        ("skip", (4, 1, 0, 3, 0), ["Sales", "Marketing", "Legal", "New"], []),
        ("reject", (4, 1, 0, 1, 2), ["Sales", "Marketing", "Legal", "New"], [("1", "key_exists"), ("3", "key_exists")]),
    ],
)
def test_a_key_in_the_table_is_treated_as_chosen_and_values_are_compared_byte_for_byte(
    pipeline: Pipeline, on_conflict: str, counts: tuple[int, ...], table: list[str], codes: list[tuple[str, str]]
) -> None:
    pipeline.migrate("raw/departments.csv", OLD)
    report = pipeline.migrate("raw/departments.csv", NEW, on_conflict=on_conflict)
    assert tuple(report[name] for name in ("read", "inserted", "updated", "unchanged", "rejected")) == counts
    assert [name for _, name in pipeline.table("departments")] == table
    assert [(row["_line"], row["_codes"]) for row in pipeline.rejects(report)] == codes


@pytest.mark.parametrize(
    ("on_conflict", "winner", "losers"),
    [("update", "third", ["1", "2"]), ("skip", "first", ["2", "3"]), ("reject", "first", ["2", "3"])],
)
@pytest.mark.parametrize("batch_chunks", [1, 25])
def test_a_key_twice_in_a_file_has_one_winner_and_the_losers_stand_in_duplicates(
    pipeline: Pipeline, on_conflict: str, winner: str, losers: list[str], batch_chunks: int
) -> None:
    filling = "".join(f"{i},filling\n" for i in range(2000, 1000, -1))
    body = (
        f"7,first\n7,second\n{filling}7,third\n" if on_conflict == "none" else f"7,first\n7,second\n7,third\n{filling}"
    )
    report = pipeline.migrate("raw/departments.csv", body, on_conflict=on_conflict, batch_chunks=batch_chunks)
    assert pipeline.table("departments")[0] == (7, winner)
    assert report["rejected_by_code"] == {"duplicate_in_file": 2}
    duplicates = pipeline.rejects(report, "duplicates")
    assert [(row["_line"], row["id"], row["_codes"]) for row in duplicates] == [
        (line, "7", "duplicate_in_file") for line in losers
    ]
    assert report["rejects_key"] is None


def test_a_key_twice_in_batches_far_apart_is_found(pipeline: Pipeline) -> None:
    filling = "".join(f"{i},filling\n" for i in range(3000, 1000, -1))
    report = pipeline.migrate("raw/departments.csv", f"7,first\n{filling}7,last\n", batch_chunks=1)
    assert report["batches"] == 3
    assert pipeline.table("departments")[0] == (7, "last")
    (loser,) = pipeline.rejects(report, "duplicates")
    assert loser["_message"] == "line 1: id 7 stands in the file again on line 2002, which was taken instead"


def test_an_orphan_does_not_compete_for_its_key(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", "1,A\n")
    pipeline.migrate("raw/jobs.csv", "1,A\n")
    body = "1,good,2021-01-01T00:00:00Z,1,1\n1,orphan,2021-01-01T00:00:00Z,99,1\n"
    report = pipeline.migrate("raw/hired_employees.csv", body)
    assert [row[1] for row in pipeline.table("hired_employees")] == ["good"]
    assert report["rejected_by_code"] == {"no_parent": 1}


def test_a_file_with_no_valid_row_ends_whole_in_errors_with_its_rejects(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments/new.csv", "1,\nx,A\n")
    folder = f"errors/departments/new/{report['run']}"
    assert report["status"] == "gated"
    assert sorted(pipeline.places()) == [
        f"{folder}/departments-rejects.csv",
        f"{folder}/new.csv",
        f"{folder}/reason.json",
    ]


def test_too_many_rejects_shut_the_gate_and_nothing_is_written(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "1,A\n2,\n3,C\n", max_rejected_percent=30)
    assert (report["status"], report["rejected"], report["withheld"]) == ("gated", 1, 2)
    assert pipeline.table("departments") == []
    assert report["moved_to"] == f"errors/departments/{report['run']}/departments.csv"


def test_an_empty_file_is_processed(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/departments.csv", "id,name\n\n")
    assert (report["status"], report["read"], report["moved_to"]) == ("done", 0, "processed/departments.csv")


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        ("raw/department.csv", b"1,A\n", "unknown_table"),
        ("raw/departmentsx.csv", b"1,A\n", "unknown_table"),
        ("raw/departments.txt", b"1,A\n", "unknown_table"),
        ("raw/departments.csv", b"1,\xff\n", "not_utf8"),
        ("raw/departments.csv", b'1,"A\n', "open_quote"),
        ("raw/departments.csv", b"id,title\n1,A\n", "header"),
        ("raw/departments.csv.gz", b"1,A\n", "not_gzip"),
    ],
)
def test_a_file_that_can_never_load_goes_whole_to_errors_with_its_reason(
    pipeline: Pipeline, key: str, body: bytes, code: str
) -> None:
    report = pipeline.migrate(key, body)
    assert report["status"] == "refused"
    assert report["code"] == code
    assert not report["reason"].startswith(code)
    folder = report["moved_to"].rpartition("/")[0]
    assert sorted(pipeline.places()) == sorted([report["moved_to"], f"{folder}/reason.json"])
    assert pipeline.bucket.read_all(report["moved_to"]) == body


@pytest.mark.parametrize("on_conflict", ["update", "skip", "reject"])
@pytest.mark.parametrize("max_rejected_percent", [100, 10])
def test_a_check_says_what_the_real_run_then_does_and_writes_no_row(
    pipeline: Pipeline, on_conflict: str, max_rejected_percent: float
) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Marketing\n3,Legal\n")
    body = "1,sales\n2,Marketing\n4,New\n5,\n6,Twice\n6,Again\nx,y\n"
    options = {"on_conflict": on_conflict, "max_rejected_percent": max_rejected_percent}
    checked = pipeline.migrate("check/departments.csv", body, **options)
    assert [name for _, name in pipeline.table("departments")] == ["Sales", "Marketing", "Legal"]
    assert list(pipeline.bucket.keys("check/")) == ["check/departments.csv"]
    real = pipeline.migrate("raw/departments.csv", body, **options)

    assert (checked["status"], checked["would_be"]) == ("checked", real["status"])
    assert (checked["code"], checked["reason"]) == (real["code"], real["reason"])
    assert (checked["inserted"], checked["updated"], checked["unchanged"]) == (0, 0, 0)
    assert checked["withheld"] == real["inserted"] + real["updated"] + real["unchanged"] + real["withheld"]
    for would, did in (("would_insert", "inserted"), ("would_update", "updated"), ("would_unchanged", "unchanged")):
        assert checked[would] == real[did]
    assert (checked["read"], checked["rejected_by_code"]) == (real["read"], real["rejected_by_code"])
    for kind in ("rejects", "duplicates"):
        assert pipeline.rejects(checked, kind) == pipeline.rejects(real, kind)


def test_a_check_of_a_file_that_can_never_load_says_why_and_leaves_it(pipeline: Pipeline) -> None:
    checked = pipeline.migrate("check/departments.csv", "id,title\n")
    assert (checked["status"], checked["would_be"], checked["moved_to"]) == (
        "checked",
        "refused",
        "check/departments.csv",
    )
    assert list(pipeline.places(["check/", "errors/", "processed/"])) == ["check/departments.csv"]
