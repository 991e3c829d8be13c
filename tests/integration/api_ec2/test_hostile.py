"""What somebody may try by a file's name, its header and its fields: SQL, paths, formulas."""

import csv
import io
from collections.abc import Iterator

import httpx
import pytest

from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.pipeline import Pipeline
from tests.support.serving import BEARER

SQL = "x'); DROP TABLE jobs; -- "
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1", "＝1"]


@pytest.fixture
def tables(conn: Connection) -> Iterator[list[str]]:
    """All tables must still be there afterwards."""
    before = _tables(conn)
    yield before
    assert _tables(conn) == before


def _tables(conn: Connection) -> list[str]:
    return sorted(str(next(iter(row.values()))) for row in mysql.rows(conn, "SHOW TABLES"))


# --- SQL


@pytest.mark.usefixtures("tables")
def test_sql_in_a_field_is_a_name_like_any_other(pipeline: Pipeline) -> None:
    names = [SQL, "' OR '1'='1", '"; SELECT 1; --', "`jobs`", "\\'; DROP TABLE jobs", "%s %(id)s", "\\N"]
    text = io.StringIO()
    csv.writer(text).writerows(enumerate(names, 1))
    assert pipeline.migrate("raw/jobs.csv", text.getvalue())["inserted"] == len(names)
    assert [row[1] for row in pipeline.table("jobs")] == names
    again = pipeline.migrate("raw/jobs-again.csv", text.getvalue().replace("1,", "1,changed ", 1))
    assert (again["updated"], again["unchanged"]) == (1, len(names) - 1), "the careful way takes them as well"


@pytest.mark.usefixtures("tables")
def test_sql_in_a_files_name_is_a_name(pipeline: Pipeline) -> None:
    name = "jobs/'; DROP TABLE jobs; -- %s.csv"
    assert pipeline.migrate(f"raw/{name}", "1,A\n")["inserted"] == 1
    assert f"processed/{name}" in pipeline.places()


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("header", ["id,name` = 1; DROP TABLE jobs; --", "id,name,`DROP TABLE jobs`", f"id,name,{SQL}"])
def test_sql_in_a_header_refuses_the_file(pipeline: Pipeline, header: str) -> None:
    report = pipeline.migrate("raw/jobs.csv", f"{header}\n1,A,B\n")
    assert (report["status"], report["inserted"]) == ("refused", 0)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("where", ["table", "columns", "delimiter", "first_line"])
def test_sql_in_a_parameter_of_the_api_is_refused(settings: Settings, where: str) -> None:
    given = {"table": "jobs", "delimiter": ",", where: SQL}
    answer = httpx.post(f"{settings.api_url}/upload_csv", params=given, content="1,A\n", headers=BEARER)
    assert answer.status_code in (404, 422)
    for path in ("/runs?limit=1;DROP TABLE jobs", "/runs/' OR 1=1", "/employees_hired_per_quarter?year=2021 OR 1=1"):
        assert httpx.get(settings.api_url + path, headers=BEARER).status_code in (404, 422)


@pytest.mark.usefixtures("tables")
def test_sql_in_headers_is_not_read(settings: Settings) -> None:
    for header in ("Authorization", "X-Forwarded-For", "User-Agent", "Host", "Accept"):
        answer = httpx.get(f"{settings.api_url}/runs", headers=BEARER | {header: SQL.strip()})
        assert answer.status_code == (401 if header == "Authorization" else 200)


# --- paths


@pytest.mark.parametrize("name", ["jobs//a.csv", "jobs/\\..\\a.csv", "/jobs.csv", "Jobs.csv"])
def test_a_path_in_a_name_leads_nowhere_else(pipeline: Pipeline, name: str) -> None:
    """S3 knows no folders: `..` is two characters of a key."""
    pipeline.migrate(f"raw/{name}", "1,A\n2,\n")
    places = list(pipeline.bucket.keys(""))
    assert f"processed/{name}" in places
    report = f"errors/{name.removesuffix('.csv')}"
    assert all(place == f"processed/{name}" or place.startswith((report, "runs/")) for place in places)


@pytest.mark.parametrize(
    "name", ["jobs/../../backups/jobs.csv", "jobs/..%2f..%2fbackups.csv", "jobs/./a.csv", "../jobs.csv", "_x/jobs.csv"]
)
def test_a_hidden_name_starts_no_run_and_its_file_stays(pipeline: Pipeline, name: str) -> None:
    uploaded = pipeline.upload(f"raw/{name}", "1,A\n")
    assert pipeline.plan(uploaded).outcome == "ignored"
    assert list(pipeline.bucket.keys("")) == [f"raw/{name}"]


@pytest.mark.parametrize("key", ["raw/%6aobs.csv", "raw/jobs csv", "raw/xjobs.csv"])
def test_a_name_that_only_looks_like_a_tables_is_refused(pipeline: Pipeline, key: str) -> None:
    assert pipeline.migrate(key, "1,A\n")["code"] == "unknown_table"


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/runs/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"]
)
def test_a_path_in_an_address_is_not_found(settings: Settings, path: str) -> None:
    assert httpx.get(settings.api_url + path, headers=BEARER).status_code in (404, 422)


# --- formulas


def test_a_formula_stays_as_it_was_given_and_a_copy_is_safe_to_look_at(pipeline: Pipeline) -> None:
    lines = [f'{SQL},"{formula}"' for formula in FORMULAS]
    report = pipeline.migrate("raw/jobs.csv", "\n".join(["1,=1+1", "2,", *lines]))
    assert pipeline.table("jobs") == [(1, "=1+1")]
    kept = [row["name"] for row in pipeline.rejects(report)]
    assert kept == ["", *FORMULAS]
    (view,) = report["view_keys"]
    assert view == report["rejects_key"].replace("jobs-rejects.csv", "rejects-to-view.csv")
    text = pipeline.bucket.read_all(view).decode("utf-8-sig")
    shown = [row["name"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert shown == ["", *(f"'{formula}" for formula in FORMULAS)]


def test_a_formula_in_a_record_of_the_wrong_width_is_made_safe_too(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/jobs.csv", "=1+1,2,3\n1,A\n")
    text = pipeline.bucket.read_all(report["view_keys"][0]).decode()
    assert [row["_raw"] for row in csv.DictReader(io.StringIO(text, newline=""))] == ["'=1+1,2,3"]


def test_losers_of_their_key_have_a_copy_of_their_own(pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/jobs.csv", "1,=1+1\n1,B\n")
    assert report["view_keys"] == [report["duplicates_key"].replace("duplicates.csv", "duplicates-to-view.csv")]


def test_without_a_formula_there_is_no_copy(pipeline: Pipeline) -> None:
    assert pipeline.migrate("raw/jobs.csv", "1,A\n2,\n")["view_keys"] == []
    assert pipeline.migrate("raw/jobs.csv", "-1,A\n-12.50,B\n")["view_keys"] == [], "a minus of a number"
