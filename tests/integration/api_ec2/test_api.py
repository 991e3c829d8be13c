"""The API over real HTTP, on real MySQL."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rowferry.config import Settings
from rowferry.csvfile.records import CHUNK_BYTES
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.validate.verdict import CHUNK_MEDIA_TYPE
from tests.support.pipeline import Pipeline
from tests.support.serving import BEARER, served

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.api_url, headers=BEARER) as client:
        yield client


def test_health_says_that_database_and_tables_are_there(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    said = answer.json()
    assert said.pop("age_seconds") < 5
    assert said == {"status": "ok", "database": True, "tables": True, "missing": []}


def test_health_is_503_without_database_or_table_and_life_goes_on(
    client: httpx.Client, settings: Settings, admin: Connection
) -> None:
    with served(replace(settings, db_port=1)) as url, httpx.Client(base_url=url, headers=BEARER) as without:
        assert without.get("/").status_code == 503
        assert without.get("/").json()["database"] is False
        assert without.get("/livez").json() == {"status": "alive"}
        assert without.get("/runs").status_code == 503
        assert "127.0.0.1" not in without.get("/runs").text
    mysql.run(admin, "RENAME TABLE hired_employees TO hidden")
    try:
        answer = client.get("/")
    finally:
        mysql.run(admin, "RENAME TABLE hidden TO hired_employees")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["hired_employees"])


def test_a_chunk_is_answered_with_rows_and_rejects(client: httpx.Client) -> None:
    body = "4535,Marcelo Gonzalez,2021-07-27T16:02:08Z,1,2\n4572,Lidia Mendez,2021-07-27T19:04:09Z,1,\n"
    answer = client.post("/upload_csv", params={"table": "hired_employees"}, content=body, headers=CSV)
    assert answer.status_code == 200
    assert answer.json() == {
        "table": "hired_employees",
        "read": 2,
        "valid": 1,
        "rejected": 1,
        "rows": [
            {
                "id": 4535,
                "name": "Marcelo Gonzalez",
                "datetime": "2021-07-27T16:02:08Z",
                "department_id": 1,
                "job_id": 2,
            }
        ],
        "rejects": [
            {
                "line": 2,
                "codes": ["missing"],
                "message": "line 2: job_id is empty",
                "fields": ["4572", "Lidia Mendez", "2021-07-27T19:04:09Z", "1", ""],
                "raw": None,
            }
        ],
    }


def test_a_file_with_bom_and_header_may_come_as_a_form(client: httpx.Client) -> None:
    files = {"file": ("jobs.csv", "\ufeffName;ID\nCook;7\n;8\n".encode(), "text/csv")}
    answer = client.post("/upload_csv?table=jobs", files=files).json()
    assert answer["rows"] == [{"id": 7, "name": "Cook"}]
    assert [reject["line"] for reject in answer["rejects"]] == [3]


def test_a_chunk_from_the_middle_of_a_file_keeps_its_lines_and_columns(client: httpx.Client) -> None:
    params = {"table": "jobs", "delimiter": ";", "columns": "name,_,id", "first_line": "1001"}
    answer = client.post("/upload_csv", params=params, content="Cook;x;7\nNurse;y;z\n", headers=CSV).json()
    assert answer["rows"] == [{"id": 7, "name": "Cook"}]
    assert answer["rejects"][0]["message"] == "line 1002: id 'z' is not a whole number in digits"


def test_rows_come_as_text_for_load_data_where_that_is_asked_for(client: httpx.Client) -> None:
    headers = CSV | {"Accept": CHUNK_MEDIA_TYPE}
    answer = client.post("/upload_csv?table=jobs", content='1,"a\tb"\n2,\n3,c\\d\n', headers=headers)
    assert answer.headers["content-type"].startswith(CHUNK_MEDIA_TYPE)
    head, *rows = answer.text.split("\n")
    assert '"read": 3' in head
    assert rows == ["1\t1\ta\\tb", "3\t3\tc\\\\d", ""]


def test_a_thousand_records_are_taken_and_one_more_is_refused_whole(client: httpx.Client) -> None:
    lines = [f"{i},Job {i}\n" for i in range(1, 1002)]
    taken = client.post("/upload_csv?table=jobs", content="".join(lines[:1000]), headers=CSV)
    assert taken.json()["valid"] == 1000
    refused = client.post("/upload_csv?table=jobs", content="".join(lines), headers=CSV)
    assert refused.status_code == 413
    assert refused.json() == {"detail": "1001 records in one chunk; at most 1000 are taken, and none of these was"}


def test_a_body_over_the_cap_is_refused_with_and_without_its_length(client: httpx.Client) -> None:
    assert client.post("/upload_csv?table=jobs", content=b"x" * (CHUNK_BYTES + 1), headers=CSV).status_code == 413
    pieces = (b"x" * 65536 for _ in range(CHUNK_BYTES // 65536 + 1))
    assert client.post("/upload_csv?table=jobs", content=pieces, headers=CSV).status_code == 413


def test_an_unknown_table_is_404_and_the_known_ones_are_named(client: httpx.Client) -> None:
    answer = client.post("/upload_csv?table=nope", content="1,a\n", headers=CSV)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no table 'nope'; the tables are departments, jobs, hired_employees"


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"1,\xff\n", "byte 2 is not UTF-8 (invalid start byte)"),
        (b"1,a\0\n", "the text holds NUL: it is not CSV"),
        (
            b"id,title\n",
            "line 1: the header lacks name; has 'title', which jobs does not have. The columns are id, name",
        ),
    ],
)
def test_what_is_not_csv_text_is_422(client: httpx.Client, content: bytes, detail: str) -> None:
    answer = client.post("/upload_csv?table=jobs", content=content, headers=CSV)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    "kind", ["application/json", "image/png", "text/csv; charset=utf-16", 'text/csv;charset="latin1"']
)
def test_another_kind_of_body_is_422(client: httpx.Client, kind: str) -> None:
    answer = client.post("/upload_csv?table=jobs", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (
            (),
            "the body is application/x-www-form-urlencoded, which is what curl -d sends; curl -d removes",
        ),
        (("-H", "Content-Type: text/csv"), "line 1: the header lacks"),
    ],
)
def test_a_file_that_curl_took_the_line_ends_from_is_422_and_told_how_to_be_sent(
    settings: Settings, tmp_path: Path, arguments: tuple[str, ...], begins: str
) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("id,title\n1,Cook\n2,Nurse\n")
    url = f"{settings.api_url}/upload_csv?table=jobs"
    token = ("-H", f"Authorization: {BEARER['Authorization']}")
    for way in ("-d", "--data-binary"):
        sent = subprocess.run(["curl", "-s", *token, *arguments, way, f"@{file}", url], capture_output=True, check=True)
        detail = json.loads(sent.stdout)["detail"]
        told = "send a file with --data-binary @file.csv -H 'Content-Type: text/csv'" in detail
        assert told == (way == "-d" or not arguments), detail
        assert detail.startswith(begins)


@pytest.mark.parametrize("kind", ["Text/CSV; Charset=UTF-8", "TEXT/PLAIN", "text/csv ;charset=us-ascii"])
def test_a_kind_of_body_may_be_spelt_in_any_case(client: httpx.Client, kind: str) -> None:
    answer = client.post("/upload_csv?table=jobs", content=b"1,A\n", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["valid"]) == (200, 1)


@pytest.mark.parametrize("charset", ["undefined", "punycode", "utf-16"])
def test_a_form_in_another_encoding_is_422(client: httpx.Client, charset: str) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n1,A\r\n--b--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    answer = client.post("/upload_csv?table=jobs", content=form, headers=kind)
    assert (answer.status_code, answer.json()["detail"][:20]) == (422, "the header Content-T")


def test_metrics_count_quarters_in_utc_and_the_mean_over_all_departments(
    client: httpx.Client, pipeline: Pipeline
) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Legal\n3,Nobody\n")
    pipeline.migrate("raw/jobs.csv", "1,Cook\n2,Nurse\n")
    rows = [
        "1,a,2021-01-01T00:00:00Z,1,1",
        "2,b,2020-12-31T23:59:59Z,1,1",
        "3,c,2022-01-01T01:00:00+02:00,1,1",  # 2021-12-31T23:00:00Z
        "4,d,2021-04-01T00:00:00Z,1,2",
        "5,e,2021-09-30T23:59:59Z,2,2",
    ]
    pipeline.migrate("raw/hired_employees.csv", "\n".join(rows))
    quarters = [
        {"department": "Legal", "job": "Nurse", "q1": 0, "q2": 0, "q3": 1, "q4": 0},
        {"department": "Sales", "job": "Cook", "q1": 1, "q2": 0, "q3": 0, "q4": 1},
        {"department": "Sales", "job": "Nurse", "q1": 0, "q2": 1, "q3": 0, "q4": 0},
    ]
    above = [{"id": 1, "department": "Sales", "hired": 3}]  # the mean is 4 / 3, the department without hires included
    for ask in (client.get, client.post):
        assert ask("/employees_hired_per_quarter").json() == quarters
        assert ask("/departments_above_mean_hires").json() == above
    assert client.get("/departments_above_mean_hires?year=2020").json() == [
        {"id": 1, "department": "Sales", "hired": 1}
    ]
    assert client.get("/employees_hired_per_quarter?year=1999").json() == []
    assert client.get("/employees_hired_per_quarter?year=x").status_code == 422


def test_runs_are_listed_newest_first_by_pages_and_one_has_its_report(client: httpx.Client, pipeline: Pipeline) -> None:
    reports = [pipeline.migrate(f"raw/jobs-{i}.csv", f"{i},Job\n{i},\n") for i in (1, 2, 3)]
    page = client.get("/runs?limit=2").json()
    assert [run["run"] for run in page["runs"]] == [reports[2]["run"], reports[1]["run"]]
    rest = client.get(f"/runs?limit=2&before={page['next']}").json()
    assert [run["run"] for run in rest["runs"]] == [reports[0]["run"]]
    assert rest["next"] is None
    one = client.get(f"/runs/{reports[0]['run']}").json()
    assert (one["status"], one["read"], one["inserted"], one["rejected"]) == ("done", 2, 1, 1)
    assert one["report"] == reports[0]
    assert client.get(f"/runs/{'0' * 32}").status_code == 404


def test_a_running_run_says_how_far_it_is(client: httpx.Client, pipeline: Pipeline) -> None:
    uploaded = pipeline.upload("raw/jobs.csv", "".join(f"{i},Job\n" for i in range(1, 2001)))
    id = pipeline.plan(uploaded, batch_chunks=1).run
    pipeline.validate(id)
    pipeline.reconcile(id)
    pipeline.turn(id)
    pipeline.load_batch(id, pipeline.batches(id)[0])
    one = client.get(f"/runs/{id}").json()
    assert (one["status"], one["stage"], one["batches"], one["batches_done"]) == ("running", "Load", 2, 1)
    assert (one["records"], one["read"], one["report"]) == (2000, 1000, None)


def test_openapi_has_examples_and_every_route(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/",
        "/livez",
        "/upload_csv",
        "/employees_hired_per_quarter",
        "/departments_above_mean_hires",
        "/runs",
        "/runs/{run}",
        "/runs/{run}/abandon",
        "/runs/{run}/retry",
        "/backup/{table}",
        "/restore/{table}",
        "/jobs/{id}",
        "/backups",
        "/backups/{table}",
    }
    body = described["paths"]["/upload_csv"]["post"]["requestBody"]["content"]
    assert "Marcelo Gonzalez" in body["text/csv"]["example"]
    assert client.get("/docs").status_code == 404, "a page with scripts from elsewhere"
