"""Backups and restores over HTTP."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api_ec2.access import Access
from api_ec2.deps import settings as api_settings
from api_ec2.main import create_app
from rowferry.backup.restore import Order
from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.serving import BEARER, NO_LIMITS, TOKEN, served


@pytest.fixture
def http(settings: Settings, vault: Vault) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.api_url, headers=BEARER, timeout=60) as client:
        yield client


def ended(http: httpx.Client, place: str) -> Any:
    for _ in range(200):
        job = http.get(place).json()
        if job["status"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError(f"{place} did not end")


def test_tables_are_backed_up_and_restored_when_the_answer_comes(http: httpx.Client, vault: Vault) -> None:
    vault.family()
    before = vault.state()
    made = http.post("/backup/all")
    assert (made.status_code, made.json()["status"]) == (200, "done")
    assert [backup["rows"] for backup in made.json()["result"]["backups"]] == [3, 2, 5]
    vault.run("DELETE FROM hired_employees", "UPDATE jobs SET name = 'x'")
    rehearsed = http.post("/restore/jobs,hired_employees?dry_run=true").json()
    assert vault.rows("hired_employees") == []
    restored = http.post(f"/restore/jobs,hired_employees?id={made.json()['id']}").json()
    assert restored["result"] == rehearsed["result"]
    assert [table["table"] for table in restored["result"]["restored"]] == ["jobs", "hired_employees"]
    assert vault.state() == before


def test_without_waiting_a_job_is_answered_and_followed(http: httpx.Client, vault: Vault) -> None:
    vault.family()
    begun = http.post("/backup/departments?wait=false")
    assert (begun.status_code, begun.json()["kind"]) == (202, "backup")
    assert begun.headers["location"] == f"/jobs/{begun.json()['id']}"
    made = ended(http, begun.headers["location"])
    assert (made["status"], made["result"]["backups"][0]["rows"]) == ("done", 3)
    vault.run("UPDATE departments SET name = 'x'")
    begun = http.post("/restore/departments?wait=false")
    assert ended(http, begun.headers["location"])["result"]["restored"][0]["updated"] == 3


def test_any_worker_and_one_started_anew_know_the_jobs(http: httpx.Client, vault: Vault, settings: Settings) -> None:
    begun = http.post("/backup/jobs?wait=false").headers["location"]
    with served(settings) as other, httpx.Client(base_url=other, headers=BEARER) as another:
        assert ended(another, begun)["status"] == "done"


def test_a_job_whose_process_died_is_said_to_have_failed(http: httpx.Client, vault: Vault, conn: Connection) -> None:
    id = vault.begin_restore(Order(("jobs",)))
    assert http.get(f"/jobs/{id}").json()["status"] == "running"
    mysql.run(conn, "UPDATE rowferry_jobs SET lease_until = UTC_TIMESTAMP(6)")
    job = http.get(f"/jobs/{id}").json()
    assert (job["status"], job["reason"]) == ("failed", "its process ended or fell silent; nothing was changed")


def test_backups_are_listed_the_newest_first(http: httpx.Client, vault: Vault) -> None:
    ids = [vault.back_up("jobs") for _ in range(3)]
    vault.bucket.write("backups/jobs/20200101T000000000000Z-000000/data.avro", b"incomplete")
    listed = http.get("/backups/jobs?limit=2").json()
    assert [backup["id"] for backup in listed["backups"]] == [ids[2], ids[1]]
    found = {
        table["table"]: (table["complete"], (table["newest"] or {}).get("id")) for table in http.get("/backups").json()
    }
    assert found == {"departments": (0, None), "jobs": (3, ids[2]), "hired_employees": (0, None)}


def test_the_second_of_two_restores_of_a_table_is_refused(http: httpx.Client, vault: Vault) -> None:
    vault.back_up()
    first = vault.begin_restore(Order(("jobs", "departments")))
    refused = http.post("/restore/departments")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(f"the restore {first} is at work on departments")
    assert http.post("/restore/hired_employees").status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/backup/salaries", 404, "there is no table 'salaries'"),
        ("/restore/jobs,salaries", 404, "there is no table 'salaries'"),
        ("/restore/jobs", 404, "there is no complete backup of jobs"),
        ("/restore/jobs?id=20200101T000000000000Z-000000", 404, "there is no complete backup 2020"),
        ("/restore/jobs?id=../../x", 422, "pattern"),
        ("/restore/jobs?before=2020-01-01T00:00:00", 422, "with its zone"),
        ("/restore/jobs?before=20200101000000", 422, "with its zone"),
        ("/restore/jobs?before=1577836800", 422, "with its zone"),
        ("/restore/jobs?before=2020-01-01T00:00:00Z", 404, "until 2020-01-01"),
        ("/restore/jobs?into=departments", 422, "has rows of its own"),
        ("/restore/jobs?into=a%60b", 422, "pattern"),
    ],
)
def test_what_can_not_be_is_said_in_words(http: httpx.Client, path: str, status: int, words: str) -> None:
    answer = http.post(path)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_what_stands_against_a_restore_is_said(http: httpx.Client, vault: Vault) -> None:
    vault.family()
    id = vault.back_up()
    vault.run("DELETE FROM hired_employees WHERE job_id = 2", "DELETE FROM jobs WHERE id = 2")
    answer = http.post(f"/restore/hired_employees?id={id}")
    assert answer.status_code == 409
    assert "refer by job_id to rows of jobs that would not be there" in answer.json()["detail"]
    vault.bucket.write(f"backups/jobs/{id}/data.avro", b"x")
    damaged = http.post(f"/restore/jobs?id={id}")
    assert (damaged.status_code, "is not what its manifest describes" in damaged.text) == (409, True)


def test_they_need_the_token(settings: Settings, vault: Vault) -> None:
    with httpx.Client(base_url=settings.api_url) as stranger:
        for method, path in (
            ("POST", "/backup/all"),
            ("POST", "/restore/all"),
            ("GET", "/backups"),
            ("GET", "/jobs/x"),
        ):
            assert stranger.request(method, path).status_code == 401
    assert vault.jobs() == []


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "status"), [(60, 200), (5, 501)])
async def test_on_lambda_only_what_is_done_in_time(settings: Settings, vault: Vault, seconds: int, status: int) -> None:
    """The app as Mangum calls it: with the call's context, which says how much time is left."""

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return seconds * 1_000

    app = create_app(Access((TOKEN,)), NO_LIMITS)
    app.dependency_overrides[api_settings] = lambda: settings

    async def on_lambda(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "aws.context": Context()}, receive, send)

    vault.family()
    transport = httpx.ASGITransport(on_lambda)
    async with httpx.AsyncClient(transport=transport, base_url="https://lambda", headers=BEARER) as client:
        answer = await client.post("/backup/all")
        assert answer.status_code == status
        if status == 501:
            assert answer.json()["detail"].startswith(
                "the API on Lambda can't do this: it takes longer than the 29 seconds"
            )
        refused = await client.post("/backup/all?wait=false")
    assert refused.status_code == 501
    assert "invoke the stack's BackupFunction" in refused.json()["detail"]


@pytest.mark.anyio
async def test_on_lambda_what_can_not_end_in_time_is_not_begun(settings: Settings, vault: Vault) -> None:
    app = create_app(Access((TOKEN,)), replace(NO_LIMITS, rows_on_lambda=1))
    app.dependency_overrides[api_settings] = lambda: settings

    async def on_lambda(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "aws.context": object()}, receive, send)

    vault.fill("jobs", [(1, "Cook"), (2, "Nurse"), (3, "Baker")])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(on_lambda), base_url="https://lambda", headers=BEARER
    ) as client:
        answers = [await client.post(path) for path in ("/backup/jobs", "/restore/jobs")]
    for answer in answers:
        assert answer.status_code == 501
        assert "jobs: about 3 rows, and a call of 29 seconds can process 1 at most" in answer.json()["detail"]
    assert vault.jobs() == []


def test_more_than_two_at_once_are_told_to_come_again(http: httpx.Client, vault: Vault) -> None:
    """Jobs that can't go on, since a transaction of somebody's holds their table's row."""
    vault.fill("jobs", [(1, "Cook")])
    vault.back_up("jobs")
    vault.run("UPDATE jobs SET name = 'x'")
    with mysql.session(vault.settings) as conn, mysql.transaction(conn):
        mysql.row(conn, "SELECT 1 FROM rowferry_turns WHERE table_name = 'jobs' FOR UPDATE")
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(http.post, "/restore/jobs") for _ in range(2)]
            time.sleep(1)
            refused = http.post("/backup/departments")
            mysql.run(conn, "COMMIT")
            answers = sorted(answer.result().status_code for answer in waiting)
    assert (refused.status_code, refused.json()["detail"][:31]) == (409, "this process already works on 2")
    assert answers in ([200, 409], [200, 200]), "one after the other, or the second is refused"
    assert http.post("/backup/departments").status_code == 200


@pytest.mark.parametrize(
    "query", ["dryrun=true", "dry_run=true&dry_run=false", "befor=2021-01-01T00:00:00Z", "ID=x", "foo=bar"]
)
def test_a_misspelt_or_repeated_parameter_restores_nothing(http: httpx.Client, vault: Vault, query: str) -> None:
    vault.family()
    http.post("/backup/jobs")
    vault.run("UPDATE jobs SET name = 'kept'")
    before = vault.state()
    answer = http.post(f"/restore/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"query.{query.partition('=')[0]}: ")
    assert vault.state() == before


@pytest.mark.parametrize("path", ["/runs?status=x", "/runs?limit=1&limit=2", "/employees_hired_per_quarter?Year=2020"])
def test_no_route_passes_over_a_parameter(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 422


def test_a_damaged_manifest_hides_no_other_backup(http: httpx.Client, vault: Vault) -> None:
    vault.family()
    good, bad = (http.post("/backup/jobs").json()["id"] for _ in range(2))
    vault.bucket.write(f"backups/jobs/{bad}/manifest.json", b"{")
    listed = http.get("/backups/jobs").json()
    assert ([backup["id"] for backup in listed["backups"]], listed["damaged"]) == ([good], [bad])
    assert {newest["table"]: newest["complete"] for newest in http.get("/backups").json()}["jobs"] == 2
    assert http.post("/restore/jobs").status_code == 409, "the newest is not what it was: it must be said"
    assert http.post(f"/restore/jobs?id={good}").status_code == 200


def test_a_table_that_is_named_twice_is_backed_up_once(http: httpx.Client, vault: Vault) -> None:
    made = http.post("/backup/jobs,departments,jobs").json()
    assert [backup["table"] for backup in made["result"]["backups"]] == ["jobs", "departments"]
