"""The console in a real Chromium: each page's main use, an error, an empty state, a run under way; axe-core's view."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from rowferry import ledger
from rowferry.config import Settings
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.browser import NARROW, WIDE, findings, picture, started
from tests.support.pipeline import Pipeline
from tests.support.serving import TOKEN

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, settings: Settings, bucket: Bucket) -> Iterator[Page]:
    """Signed in, with the pages' own Content-Security-Policy in force."""
    context = chromium.new_context(base_url=settings.api_url, viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = list[str]()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    sign_in(page)
    yield page
    context.close()
    assert complaints == [], "the browser refused something, or a script failed"


def sign_in(page: Page) -> None:
    page.goto("/console")
    page.get_by_label("The operator's token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def loaded(pipeline: Pipeline) -> str:
    """Files of all three tables; answers the run that has most to show."""
    pipeline.migrate("raw/departments.csv", "id,title\n1,A\n")
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Tax\n3,Legal\n4,Support\n")
    pipeline.migrate("raw/jobs.csv", "1,Cook\n2,Nurse\n")
    hires = [
        f"{place},Employee {place},2021-{1 + place % 12:02}-01T00:00:00Z,{1 + place % 7 // 3},{1 + place % 2}"
        for place in range(1, 121)
    ]
    broken = ["121,,2021-01-01T00:00:00Z,1,1", "122,Ann,yesterday,1,1", "123,Bob,2021-01-01T00:00:00Z,99,1", "1,2"]
    text = "\n".join([*hires, *broken]) + "\n"
    return str(pipeline.migrate("raw/hired_employees.csv", text, chunk_records=10, batch_chunks=1)["run"])


def test_runs_are_listed_filtered_and_opened(page: Page, pipeline: Pipeline) -> None:
    expect(page.get_by_text("No file has arrived yet")).to_be_visible()
    picture(page, "runs-empty")
    loaded(pipeline)
    page.reload()
    picture(page, "runs")
    page.get_by_label("Table").select_option("departments")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_role("link", name="mended by a later run").click()
    expect(page.get_by_text("4 of 4 records are in departments")).to_be_visible()


def test_a_run_shows_its_rejects_and_leads_to_all_of_them(page: Page, pipeline: Pipeline) -> None:
    page.goto(f"/console/runs/{loaded(pipeline)}")
    expect(page.get_by_text("120 of 124 records are in hired_employees, 4 were rejected.")).to_be_visible()
    expect(page.get_by_role("cell", name="name is empty")).to_be_visible()
    picture(page, "run")
    page.get_by_role("link", name="All rejects").click()
    expect(page.get_by_role("row")).to_have_count(5)
    picture(page, "rejects")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download rejects.csv").click()
    assert download.value.suggested_filename.endswith("rejects.csv")


def test_a_run_under_way_is_followed_without_a_click(page: Page, pipeline: Pipeline, conn: Connection) -> None:
    run = pipeline.plan(pipeline.upload("raw/departments.csv", "1,A\n")).run
    page.goto(f"/console/runs/{run}")
    expect(page.get_by_text("Under way, in Plan")).to_be_visible()
    picture(page, "run-under-way")
    reason = "DatabaseUnavailable: the database is not available (MySQL error 2003)"
    ledger.fail(conn, ledger.read(conn, run).execution, reason, False)
    expect(page.get_by_text("The cause lies with: database")).to_be_visible(timeout=15_000)
    picture(page, "run-failed")
    page.get_by_role("button", name="Start the run again").click()
    expect(page.get_by_text("The run failed in Plan")).to_be_visible()
    page.get_by_label("Why you give the run up").fill("not needed")
    page.get_by_role("button", name="Give the run up for good").click()
    expect(page.get_by_text("A person gave this run up")).to_be_visible()


def test_a_table_is_backed_up_and_restored_after_its_dry_run(page: Page, pipeline: Pipeline) -> None:
    pipeline.migrate("raw/departments.csv", "1,Sales\n2,Tax\n")
    page.get_by_role("link", name="Tables").click()
    picture(page, "tables")
    page.get_by_role("link", name="departments", exact=True).click()
    page.get_by_role("button", name="Back up now").click()
    expect(page.get_by_text("is complete")).to_be_visible(timeout=30_000)
    pipeline.migrate("raw/departments.csv", "1,Changed\n")
    page.get_by_role("button", name="See what restoring").click()
    expect(page.get_by_text("1 rows would be updated")).to_be_visible()
    picture(page, "table")
    page.get_by_role("button", name="Restore now").click()
    expect(page.get_by_text("1 rows were updated")).to_be_visible(timeout=30_000)
    assert pipeline.table("departments")[0] == (1, "Sales")


def test_metrics_are_shown_by_year(page: Page, pipeline: Pipeline) -> None:
    loaded(pipeline)
    page.get_by_role("link", name="Metrics").click()
    page.get_by_label("Year").select_option("2021")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("img", name="Hires per quarter: Q1 30, Q2 30, Q3 30, Q4 30")).to_be_visible()
    picture(page, "metrics")


def test_a_page_that_does_not_exist_says_so_and_leads_back(chromium: Browser, page: Page) -> None:
    page.get_by_role("link", name="Tables").click()
    answer = page.request.get(f"/console/runs/{'0' * 32}")
    assert answer.status == 404
    assert "there is no run" in answer.text()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_and_a_phone_need_not_scroll_sideways(
    chromium: Browser, settings: Settings, pipeline: Pipeline, scheme: Literal["light", "dark"]
) -> None:
    run = loaded(pipeline)
    waiting = pipeline.plan(pipeline.upload("raw/jobs-2.csv", "1,A\n")).run
    context = chromium.new_context(
        base_url=settings.api_url,
        viewport=NARROW,  # type: ignore[arg-type]
        color_scheme=scheme,
        bypass_csp=True,  # for axe's own script
    )
    page = context.new_page()
    found = dict[str, list[str]]()
    page.goto("/console/sign-in")
    found["sign-in"] = findings(page)
    picture(page, f"sign-in-{scheme}")
    sign_in(page)
    for path in (
        *("", f"/runs/{run}", f"/runs/{run}/rejects", f"/runs/{waiting}", "/tables", "/tables/hired_employees"),
        *("/metrics", "/upload", f"/runs/{'0' * 32}"),
    ):
        page.goto(f"/console{path}")
        found[path] = findings(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > NARROW["width"]:
            found[path].append(f"{width} pixels wide")
        picture(page, f"phone-{scheme}{path.replace('/', '-')[:30]}")
    context.close()
    assert {path: words for path, words in found.items() if words} == {}
