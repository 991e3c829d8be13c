"""The console's pages over HTTP, on real MySQL: who gets in, what they show, what they do."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from api_ec2.console import session
from rowferry import ledger
from rowferry.config import Settings
from rowferry.steps.plan import Uploaded
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN, served


@pytest.fixture
def browser(settings: Settings, bucket: Bucket) -> Iterator[httpx.Client]:
    """Signed in; keeps cookies and follows redirects, as a browser does."""
    with httpx.Client(base_url=settings.api_url, follow_redirects=True) as client:
        assert client.post("/console/sign-in", data={"token": TOKEN}).status_code == 200
        yield client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize("path", ["/console", "/console/tables", "/console/metrics", f"/console/runs/{'0' * 32}"])
def test_without_a_session_each_page_leads_to_the_sign_in(settings: Settings, path: str) -> None:
    with httpx.Client(base_url=settings.api_url) as client:
        answer = client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/sign-in?next=")
        assert client.post(f"{path}/retry").status_code in (303, 404, 405)


def test_a_wrong_token_is_refused_and_the_right_one_leads_back(settings: Settings) -> None:
    with httpx.Client(base_url=settings.api_url) as client:
        wrong = client.post("/console/sign-in", data={"token": "wrong-token-wrong-token"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        right = client.post("/console/sign-in", data={"token": TOKEN, "next": "/console/metrics?year=2020"})
        assert (right.status_code, right.headers["location"]) == (303, "/console/metrics?year=2020")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/console" in cookie
        assert TOKEN not in cookie


@pytest.mark.parametrize("target", ["https://example.com", "//example.com", "/console\\@example.com", "/runs", ""])
def test_the_sign_in_leads_to_no_other_place(settings: Settings, target: str) -> None:
    with httpx.Client(base_url=settings.api_url) as client:
        answer = client.post("/console/sign-in", data={"token": TOKEN, "next": target})
        assert answer.headers["location"] == "/console"


def test_the_validators_token_and_a_changed_cookie_open_nothing(settings: Settings) -> None:
    with httpx.Client(base_url=settings.api_url) as client:
        assert client.post("/console/sign-in", data={"token": settings.api_token}).status_code == 401
        forged = session.begin("another-token-of-somebody")
        assert client.get("/console", headers={"Cookie": f"{session.COOKIE}={forged}"}).status_code == 303


def test_a_form_without_the_sessions_csrf_token_or_of_another_site_changes_nothing(
    browser: httpx.Client, pipeline: Pipeline, conn: Connection
) -> None:
    planned = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n"))
    target = f"/console/runs/{planned.run}/abandon"
    assert browser.post(target, data={}).status_code == 403
    token = csrf(browser.get("/console").text)
    for headers in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post(target, data={"csrf": token}, headers=headers).status_code == 403
    assert ledger.read(conn, planned.run).status == "running"
    assert browser.post(target, data={"csrf": token, "reason": "no longer needed"}).status_code == 200
    assert ledger.read(conn, planned.run).status == "abandoned"


def test_sign_out_ends_the_session(browser: httpx.Client) -> None:
    browser.post("/console/sign-out", data={"csrf": csrf(browser.get("/console").text)})
    assert "operator" in browser.get("/console").text
    assert browser.get("/console", follow_redirects=False).status_code == 303


def test_pages_allow_only_their_own_files(browser: httpx.Client) -> None:
    answer = browser.get("/console")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "style=" not in answer.text and "http://" not in answer.text and "onclick" not in answer.text
    for name in ("style.css", "live.js"):
        assert browser.get(f"/console/static/{name}").status_code == 200
    assert browser.get("/console/static/secret").status_code == 404


def test_the_list_shows_filters_and_marks_runs(browser: httpx.Client, pipeline: Pipeline) -> None:
    assert "No file has arrived yet" in browser.get("/console").text
    pipeline.migrate("raw/departments.csv", "id,title\n1,A\n")
    pipeline.migrate("raw/departments.csv", "1,A\n2,<b>B</b>\n")
    pipeline.migrate("raw/jobs.csv", "1,Cook\n,Nurse\n")
    page = browser.get("/console").text
    assert page.count("/console/runs/") >= 4
    assert "mended by a later run" in page
    assert "<strong>file:</strong>" in page
    assert "raw/departments.csv" not in browser.get("/console?table=jobs").text
    assert "No run fits" in browser.get("/console?status=failed").text
    assert "No run fits" in browser.get("/console?day=2020-01-01").text
    assert browser.get("/console?day=2020-02-31").status_code == 200
    assert browser.get("/console?day=x").status_code == 422


def test_a_run_shows_its_balance_its_rejects_and_their_file(browser: httpx.Client, pipeline: Pipeline) -> None:
    report = pipeline.migrate("raw/jobs.csv", '1,Cook\n,Nurse\nx,"<script>"\n3,C\n3,D\n')
    browser_page = browser.get(f"/console/runs/{report['run']}").text
    assert "2 of 5 records are in jobs, 3 were rejected" in browser_page
    assert "id is empty" in browser_page and "missing" in browser_page
    assert "<script>" not in browser_page.replace('<script src="/console/static/live.js" defer>', "")
    rejects = browser.get(f"/console/runs/{report['run']}/rejects").text
    assert '<td class="n">2</td>' in rejects and "not a whole number" in rejects
    assert "<td>id</td>" in rejects or ">id<" in rejects, (
        "the first column, whose name stands behind the byte order mark"
    )
    assert "stands in the file again" in browser.get(f"/console/runs/{report['run']}/rejects?kind=duplicates").text
    file = browser.get(f"/console/runs/{report['run']}/files/rejects.csv")
    assert file.text.startswith("\ufeffid,name,_line")
    assert file.headers["content-disposition"].startswith("attachment")
    assert browser.get(f"/console/runs/{report['run']}/files/report.json").json()["read"] == 5
    assert browser.get(f"/console/runs/{report['run']}/files/other").status_code == 404


def test_many_rejects_come_page_by_page_and_none_twice(browser: httpx.Client, pipeline: Pipeline) -> None:
    lines = "".join(f'x{place},"{"x" * 3000}{place}\nsecond line"\n' for place in range(1, 241))
    report = pipeline.migrate("raw/jobs.csv", lines)
    assert report["rejected"] == 240
    target, seen = f"/console/runs/{report['run']}/rejects", list[str]()
    while target:
        page = browser.get(target).text
        seen += re.findall(r'<tr><td class="n">(\d+)</td>', page)
        found = re.search(r'href="(\?kind=rejects&amp;start=\d+)" rel="next"', page)
        target = f"/console/runs/{report['run']}/rejects{found[1].replace('&amp;', '&')}" if found else ""
    assert len(seen) == len(set(seen)) == 240


def test_a_run_under_way_says_so_and_a_failed_one_is_started_again(
    browser: httpx.Client, pipeline: Pipeline, conn: Connection
) -> None:
    planned = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n"))
    page = browser.get(f"/console/runs/{planned.run}").text
    assert "Under way, in Plan" in page and "data-live" in page
    run = ledger.read(conn, planned.run)
    ledger.fail(conn, run.execution, "DatabaseUnavailable: the database is not available", False)
    page = browser.get(f"/console/runs/{planned.run}").text
    assert "The cause lies with: <strong>database</strong>" in page
    answer = browser.post(f"/console/runs/{planned.run}/retry", data={"csrf": csrf(page)})
    assert answer.status_code == 200
    assert [found.id for found in ledger.to_start_again(conn, run.bucket, 1, ("", ""), 10)] == [planned.run]


def test_a_run_that_waits_links_to_what_it_waits_for(
    browser: httpx.Client, pipeline: Pipeline, conn: Connection
) -> None:
    parent = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n")).run
    child = pipeline.plan(pipeline.upload("raw/hired_employees.csv", "1,A,2021-01-01T00:00:00Z,1,1\n")).run
    ledger.note(conn, ledger.read(conn, child), "waits for raw/departments.csv")
    assert f'It waits for <a href="/console/runs/{parent}">' in browser.get(f"/console/runs/{child}").text


def test_tables_show_columns_backups_and_a_dry_run_before_a_restore(browser: httpx.Client, pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", "1,A\n2,B\n")
    assert "hired_employees refers to departments" in browser.get("/console/tables").text
    page = browser.get("/console/tables/departments").text
    assert "There is no backup yet" in page and "raw/departments.csv" in page
    token = csrf(page)
    made = browser.post("/console/tables/departments/backup", data={"csrf": token})
    assert made.status_code == 200
    while "badge running" in browser.get(str(made.url)).text:
        pass
    page = browser.get(str(made.url)).text
    assert "is complete" in page
    id = re.search(r'name="id" value="([^"]+)"', page)
    assert id
    pipeline.migrate("raw/departments.csv", "1,Changed\n")
    dry = browser.post("/console/tables/departments/restore", data={"csrf": token, "id": id[1]}).text
    assert "1 rows would be updated" in dry and "Restore now" in dry
    assert pipeline.table("departments")[0] == (1, "Changed")
    done = browser.post("/console/tables/departments/restore", data={"csrf": token, "id": id[1], "confirmed": "yes"})
    while "badge running" in browser.get(str(done.url)).text:
        pass
    assert pipeline.table("departments")[0] == (1, "A")
    assert browser.get("/console/tables/nothing").status_code == 404


def test_metrics_have_a_chart_their_numbers_and_a_csv(browser: httpx.Client, pipeline: Pipeline) -> None:
    assert "Nobody was hired in 2021" in browser.get("/console/metrics").text
    pipeline.migrate("raw/departments.csv", "1,=Sales\n2,Tax\n")
    pipeline.migrate("raw/jobs.csv", "1,Cook\n")
    pipeline.migrate("raw/hired_employees.csv", "1,Ann,2021-02-01T00:00:00Z,1,1\n2,Bob,2021-11-01T00:00:00Z,1,1\n")
    page = browser.get("/console/metrics?year=2021").text
    assert "Hires per quarter: Q1 1, Q2 0, Q3 0, Q4 1" in page
    text = browser.get("/console/metrics/hired-per-quarter.csv?year=2021").text
    assert text.splitlines() == ["department,job,q1,q2,q3,q4", "'=Sales,Cook,1,0,0,1"]


def test_an_uploaded_file_is_checked_first_and_then_loaded(
    browser: httpx.Client, pipeline: Pipeline, bucket: Bucket
) -> None:
    token = csrf(browser.get("/console/upload").text)
    files = {"file": ("My Départments.CSV", b"1,A\n2,\n", "text/csv")}
    form = {"csrf": token, "table": "departments"}
    assert browser.post("/console/upload", data={"table": "departments"}, files=files).status_code == 403
    arriving = browser.post("/console/upload", data=form, files=files)
    assert "The file has arrived" in arriving.text
    (checked,) = bucket.versions_of("check/departments/My-D-partments.csv")
    report = pipeline.run(Uploaded(checked.key, checked.etag, checked.id))
    assert report["run"] in str(arriving.url)
    page = browser.get(f"/console/runs/{report['run']}").text
    assert "1 of 2 records would be rejected" in page and "Load this file" in page
    loading = browser.post(f"/console/runs/{report['run']}/load", data={"csrf": csrf(page)})
    assert "The file has arrived" in loading.text
    (raw,) = bucket.versions_of("raw/departments/My-D-partments.csv")
    loaded = pipeline.run(Uploaded(raw.key, raw.etag, raw.id))
    assert (loaded["status"], loaded["run"] in str(loading.url)) == ("done", True)
    assert browser.post(f"/console/runs/{loaded['run']}/load", data={"csrf": token}).status_code == 409


def test_an_upload_without_a_file_or_of_no_table_is_refused_in_words(browser: httpx.Client) -> None:
    form = {"csrf": csrf(browser.get("/console/upload").text), "table": "departments"}
    assert browser.post("/console/upload", data=form, files={"other": b""}).status_code == 422
    answer = browser.post("/console/upload", data=form | {"table": "x"}, files={"file": ("a.csv", b"1,A\n")})
    assert (answer.status_code, "there is no table" in answer.text) == (404, True)


def test_an_error_is_a_page_and_shows_no_internals(settings: Settings, browser: httpx.Client) -> None:
    absent = browser.get(f"/console/runs/{'0' * 32}")
    assert (absent.status_code, "there is no run" in absent.text) == (404, True)
    with served(replace(settings, db_port=1)) as url, httpx.Client(base_url=url, follow_redirects=True) as without:
        down = without.post("/console/sign-in", data={"token": TOKEN})
        assert down.status_code == 503
        assert "The database is not available" in down.text
        assert "127.0.0.1" not in down.text


def test_the_api_starts_without_the_template_engine() -> None:
    code = "import sys, api_ec2.main; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
