"""Nobody in: tokens, limits and what an answer never says, over real HTTP."""

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from api_ec2.limits import CHUNKS, SECURITY, Limits, Rate
from rowferry.config import Settings
from rowferry.csvfile.records import CHUNK_BYTES
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.serving import BEARER, NO_LIMITS, TOKEN, VALIDATOR, served

OPEN = {("GET", "/"), ("GET", "/livez")}
OLD = "the-token-before-this-one"


@pytest.fixture
def stranger(settings: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.api_url) as client:
        yield client


def routes(url: str) -> list[tuple[str, str]]:
    described = httpx.get(f"{url}/openapi.json", headers=BEARER).json()["paths"]
    return [(method.upper(), path) for path, methods in described.items() for method in methods]


# --- tokens


def test_everything_but_health_and_life_needs_a_token(settings: Settings, stranger: httpx.Client) -> None:
    guarded = {*routes(settings.api_url), ("GET", "/openapi.json")} - OPEN
    assert len(guarded) >= 8
    for method, path in guarded:
        for headers in ({}, {"Authorization": "Bearer not-the-token-of-this-api"}, {"Authorization": TOKEN}):
            answer = stranger.request(method, path, headers=headers)
            assert (method, path, answer.status_code) == (method, path, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    for _, path in OPEN:
        assert stranger.get(path).status_code == 200


def test_the_functions_token_validates_chunks_and_does_nothing_else(
    settings: Settings, stranger: httpx.Client, conn: Connection
) -> None:
    bearer = {"Authorization": f"Bearer {VALIDATOR}", "Content-Type": "text/csv"}
    assert stranger.post("/upload_csv?table=jobs", headers=bearer, content="1,Cook\n").json()["valid"] == 1
    for method, path in {*routes(settings.api_url), ("GET", "/openapi.json")} - OPEN - {("POST", "/upload_csv")}:
        answer = stranger.request(method, path.replace("{table}", "all"), headers=bearer)
        assert (method, path, answer.status_code) == (method, path, 403)
        assert answer.json()["detail"].endswith("everything else needs the operator's token")
    assert mysql.rows(conn, "SELECT id FROM rowferry_jobs") == [], "no backup and no restore has begun"


def test_the_description_asks_for_a_token_where_one_is_needed(settings: Settings) -> None:
    described = httpx.get(f"{settings.api_url}/openapi.json", headers=BEARER).json()
    (scheme,) = described["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert bool(operation.get("security")) == ((method.upper(), path) not in OPEN)


def test_a_strangers_body_is_not_even_read(stranger: httpx.Client) -> None:
    answer = stranger.post("/upload_csv?table=no-such-table", content=b"x" * 10_000_000)
    assert answer.status_code == 401


def test_the_new_token_and_the_one_before_are_both_good(settings: Settings) -> None:
    with served(settings, tokens=(TOKEN, OLD)) as url:
        for token in (TOKEN, OLD):
            assert httpx.get(f"{url}/runs", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_what_is_missing_is_told_with_a_token_only(
    settings: Settings, stranger: httpx.Client, admin: Connection
) -> None:
    mysql.run(admin, "RENAME TABLE hired_employees TO hidden")
    try:
        said = stranger.get("/").json()
        del said["age_seconds"]
        assert said == {"status": "unavailable", "database": True, "tables": False, "missing": None}
        assert stranger.get("/", headers=BEARER).json()["missing"] == ["hired_employees"]
    finally:
        mysql.run(admin, "RENAME TABLE hidden TO hired_employees")


# --- limits


def test_too_many_requests_are_told_when_to_come_back(settings: Settings) -> None:
    few = replace(NO_LIMITS, others=Rate(1, 3))
    with served(settings, limits=few) as url, httpx.Client(base_url=url, headers=BEARER) as client:
        answers = [client.get("/runs") for _ in range(5)]
        assert [answer.status_code for answer in answers[:3]] == [200] * 3
        assert answers[-1].status_code == 429
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
        assert client.get("/livez").status_code == 200, "what the instance's group asks is not counted"
        assert client.post(CHUNKS, params={"table": "jobs"}, content="1,A\n").status_code == 200, "counted apart"


def test_guessing_tokens_is_slow(settings: Settings) -> None:
    with served(settings, limits=replace(NO_LIMITS, strangers=Rate(1, 5))) as url:
        guesses = [httpx.get(f"{url}/runs", headers={"Authorization": f"Bearer {n}"}) for n in range(8)]
        assert [guess.status_code for guess in guesses[5:]] == [429] * 3
        assert httpx.get(f"{url}/runs", headers=BEARER).status_code == 200, "who has the token is not held up"


def test_a_body_that_does_not_arrive_in_time_is_given_up(settings: Settings) -> None:
    with served(settings, limits=replace(NO_LIMITS, arrive=0.5)) as url:
        begun = time.monotonic()
        answer = _send_slowly(url, f"Authorization: Bearer {TOKEN}\r\n")
        assert b" 408 " in answer.partition(b"\r\n")[0]
        assert time.monotonic() - begun < 10


def test_headers_and_query_have_a_bound(settings: Settings, stranger: httpx.Client) -> None:
    bound = Limits().headers
    assert stranger.get("/", headers={"X-Long": "x" * bound}).status_code == 431
    assert stranger.get("/?" + "x" * bound).status_code == 431
    assert stranger.get("/" + "x" * bound).status_code == 431


def test_a_client_that_goes_away_is_no_failure_of_ours(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    where = urlsplit(settings.api_url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as connection:
        start = f"POST {CHUNKS}?table=jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{start}Content-Type: text/csv\r\nContent-Length: 100\r\n\r\n1,A".encode())
        time.sleep(0.3)
    with caplog.at_level("INFO"):
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.1)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_a_body_has_a_bound_that_is_told(settings: Settings) -> None:
    too_much = b"x" * (CHUNK_BYTES + 1)
    answer = httpx.post(f"{settings.api_url}{CHUNKS}?table=jobs", content=too_much, headers=BEARER)
    assert answer.status_code == 413


def test_a_body_without_end_is_cut_off_at_the_bound(settings: Settings) -> None:
    """Its length is not told, so it is read: no further than the bound, or memory would end first."""
    where = urlsplit(settings.api_url)
    part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as connection:
        start = f"POST {CHUNKS}?table=jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        while not select.select([connection], [], [], 0)[0]:
            assert sent < 16 * CHUNK_BYTES, "it reads on and on"
            connection.sendall(part)
            sent += len(part)
        assert b" 413 " in connection.recv(65_536).partition(b"\r\n")[0]


def test_a_query_has_its_time(settings: Settings, admin: Connection) -> None:
    """So that a slow report holds no connection for ever. Here the query waits for somebody's lock."""
    assert Limits().query == 25
    with served(settings, limits=replace(NO_LIMITS, query=0.5)) as url:
        mysql.run(admin, "LOCK TABLES rowferry_runs WRITE, rowferry_batches WRITE")
        try:
            begun = time.monotonic()
            assert httpx.get(f"{url}/runs", headers=BEARER, timeout=30).status_code == 503
            assert time.monotonic() - begun < 10
        finally:
            mysql.run(admin, "UNLOCK TABLES")
        assert httpx.get(f"{url}/runs", headers=BEARER).status_code == 200


# --- what an answer says


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/livez", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/livez", 200),
        ("GET", "/runs", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/runs", 405),
        ("GET", "/runs?limit=x", 422),
        ("POST", "/upload_csv?table=nothing", 404),
    ],
)
def test_every_answer_has_the_security_headers(settings: Settings, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{settings.api_url}{path}", headers=BEARER)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY


def test_a_failure_tells_nothing_of_its_inner_workings(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    with served(replace(settings, db_name="somewhere_else")) as url:
        answer = httpx.get(f"{url}/runs", headers=BEARER)
    assert (answer.status_code, answer.json()) == (500, {"detail": "an internal error"})
    assert "Access denied" in capfd.readouterr().err, "who runs it finds the reason in the log"


def test_a_database_that_is_away_is_said_without_its_address(settings: Settings) -> None:
    with served(replace(settings, db_port=1)) as url:
        answer = httpx.get(f"{url}/runs", headers=BEARER)
    assert (answer.status_code, answer.json()) == (503, {"detail": "not available, try again"})
    assert answer.headers["retry-after"]


def _send_slowly(url: str, headers: str) -> bytes:
    """A request whose body never ends; answers what came back."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as connection:
        start = f"POST /upload_csv?table=jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n{headers}\r\n1,A"
        connection.sendall(start.encode())
        return connection.recv(65_536)
