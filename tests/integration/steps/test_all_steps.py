"""A file's way through all steps, on real MySQL."""

from tests.support.pipeline import Pipeline

DEPARTMENTS = "1,Product Management\n2,Sales\n3,Engineering\n"
JOBS = "id,name\n1,Recruiter\n2,Analyst\n"
EMPLOYEES = """\
1,Harold Vogt,2021-11-07T02:48:42Z,2,1
2,Ty Hofer,2021-05-30T05:43:46Z,3,
3,"Hadye, Lyman",2021-09-01T23:27:38Z,3,2
4,Ada,2021-02-30T00:00:00Z,x,2
5,Bob,2021-01-01T00:00:00Z,9,2
"""


def parents(pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", DEPARTMENTS)
    pipeline.migrate("raw/jobs.csv", JOBS)


def test_valid_rows_arrive_and_the_others_say_why(pipeline: Pipeline) -> None:
    parents(pipeline)
    report = pipeline.migrate("raw/hired_employees.csv", EMPLOYEES)

    assert pipeline.table("hired_employees") == [
        (1, "Harold Vogt", "2021-11-07 02:48:42", 2, 1),
        (3, "Hadye, Lyman", "2021-09-01 23:27:38", 3, 2),
    ]
    counts = {name: report[name] for name in ("read", "inserted", "updated", "unchanged", "rejected", "withheld")}
    assert counts == {"read": 5, "inserted": 2, "updated": 0, "unchanged": 0, "rejected": 3, "withheld": 0}
    assert report["status"] == "done"
    rejects = pipeline.rejects(report)
    assert [(row["_line"], row["_codes"], row["_message"]) for row in rejects] == [
        ("2", "missing", "line 2: job_id is empty"),
        (
            "4",
            "datetime_format;int_format",
            "line 4: datetime '2021-02-30T00:00:00Z' is not an ISO 8601 date and time;"
            " department_id 'x' is not a whole number in digits",
        ),
        ("5", "no_parent", "line 5: department_id 9 is not in departments"),
    ]
    assert sorted(pipeline.places()) == [
        f"errors/hired_employees/{report['run']}/hired_employees-rejects.csv",
        "processed/departments.csv",
        "processed/hired_employees.csv",
        "processed/jobs.csv",
    ]


def test_the_corrected_reject_file_brings_the_rest(pipeline: Pipeline) -> None:
    parents(pipeline)
    report = pipeline.migrate("raw/hired_employees.csv", EMPLOYEES)
    text = pipeline.bucket.read_all(report["rejects_key"]).decode()
    corrected = (
        text.replace("05:43:46Z,3,,", "05:43:46Z,3,1,").replace("2021-02-30", "2021-02-28", 1).replace("Z,x,", "Z,1,")
    )
    again = pipeline.migrate("raw/hired_employees-corrected.csv", corrected)
    assert (again["read"], again["inserted"], again["rejected"]) == (3, 2, 1)
    assert [row[0] for row in pipeline.table("hired_employees")] == [1, 2, 3, 4]


def test_the_same_file_again_changes_nothing_and_one_value_changed_updates_one_row(pipeline: Pipeline) -> None:
    parents(pipeline)
    pipeline.migrate("raw/hired_employees.csv", EMPLOYEES)
    same = pipeline.migrate("raw/hired_employees.csv", EMPLOYEES)
    assert (same["read"], same["inserted"], same["updated"], same["unchanged"]) == (5, 0, 0, 2)
    changed = pipeline.migrate("raw/hired_employees.csv", EMPLOYEES.replace("Harold", "Harald"))
    assert (changed["inserted"], changed["updated"], changed["unchanged"]) == (0, 1, 1)
    assert pipeline.table("hired_employees")[0][1] == "Harald Vogt"
