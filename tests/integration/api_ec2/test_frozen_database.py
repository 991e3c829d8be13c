"""A frozen database, which takes connections and answers nothing: a real server stopped by SIGSTOP, and real HTTP."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from api_ec2.limits import LIMITS
from local.mysql import USER, MySQLServer
from local.processes import wait_until
from rowferry.config import Settings
from rowferry.errors import DatabaseUnavailable
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket
from tests.support.freezing import frozen
from tests.support.serving import BEARER, NO_LIMITS, served

BOUND = LIMITS.place + LIMITS.connect + 2
"""Seconds; two of them for a machine that is busy."""

RUN = "0" * 32
WITH_DATABASE = [
    ("GET", "/"),
    ("GET", "/employees_hired_per_quarter"),
    ("GET", "/departments_above_mean_hires"),
    ("GET", "/runs"),
    ("GET", f"/runs/{RUN}"),
    ("POST", f"/runs/{RUN}/abandon"),
    ("POST", f"/runs/{RUN}/retry"),
    ("POST", "/backup/all?wait=false"),
    ("POST", "/restore/all?dry_run=true&wait=false"),
    ("GET", "/jobs/20260101T000000000000Z-abcdef"),
]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    with MySQLServer.start(tmp_path_factory.mktemp("frozen")) as server:
        yield server


@pytest.fixture
def own(own_server: MySQLServer, bucket: Bucket) -> Settings:
    environment = own_server.environment() | {"BUCKET": bucket.name}
    return Settings.from_env(environment)


def sessions(server: MySQLServer) -> int:
    with server.connect("root") as conn, conn.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s", (USER,))
        (count,) = cursor.fetchone() or (0,)
        return int(count)


def test_every_route_is_503_in_seconds_while_it_is_frozen_and_well_afterwards(
    own: Settings, own_server: MySQLServer
) -> None:
    with served(own) as url, httpx.Client(base_url=url, headers=BEARER, timeout=60) as client:

        def ask(route: tuple[str, str]) -> tuple[int, float]:
            began = time.monotonic()
            return client.request(*route).status_code, time.monotonic() - began

        assert client.get("/").status_code == 200
        with frozen(own_server), ThreadPoolExecutor(20) as pool:
            asked = pool.map(ask, WITH_DATABASE * 2)
            for _ in range(5):  # while those wait
                began = time.monotonic()
                assert client.get("/livez").status_code == 200
                chunk = client.post("/upload_csv?table=jobs", content="1,Cook\n", headers={"Content-Type": "text/csv"})
                assert chunk.json()["valid"] == 1
                assert time.monotonic() - began < 2, "the event loop is blocked"
            answers = dict(zip(WITH_DATABASE * 2, asked, strict=True))
        assert {route: status for route, (status, _) in answers.items()} == dict.fromkeys(WITH_DATABASE, 503)
        assert max(seconds for _, seconds in answers.values()) < BOUND
        for route in WITH_DATABASE:
            assert client.request(*route).status_code in (200, 202, 404), route
        assert wait_until(lambda: sessions(own_server) == 0, 20), "no session is left"


def test_a_login_ends_after_its_time_where_a_statement_would_have_minutes(
    own: Settings, own_server: MySQLServer
) -> None:
    began = time.monotonic()
    with frozen(own_server), pytest.raises(DatabaseUnavailable):
        mysql.connect(replace(own, connect_seconds=1, answer_seconds=300))
    assert time.monotonic() - began < 5


def test_a_session_that_is_open_already_waits_for_its_read_timeout_and_no_longer(
    own: Settings, own_server: MySQLServer
) -> None:
    with mysql.session(replace(own, answer_seconds=1)) as conn:
        began = time.monotonic()
        with frozen(own_server), pytest.raises(DatabaseUnavailable):
            mysql.run(conn, "SELECT 1")
        assert time.monotonic() - began < 5


def test_make_status_says_so_and_does_not_hang(own_server: MySQLServer) -> None:
    assert own_server.answers()
    with frozen(own_server):
        began = time.monotonic()
        assert not own_server.answers()
        assert time.monotonic() - began < 10


def test_all_who_ask_for_health_share_a_look_that_is_two_seconds_old_at_most(
    own: Settings, own_server: MySQLServer
) -> None:
    with (
        served(own, limits=replace(NO_LIMITS, fresh=2)) as url,
        httpx.Client(base_url=url, timeout=60) as stranger,
        own_server.connect("root") as conn,
        conn.cursor() as cursor,
        ThreadPoolExecutor(20) as pool,
    ):

        def logins() -> int:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Connections'")
            return int((cursor.fetchone() or ("", 0))[1])

        before, began = logins(), time.monotonic()
        answers = list(pool.map(lambda _: stranger.get("/"), range(100)))
        looks = 1 + (time.monotonic() - began) // 2
        assert {answer.status_code for answer in answers} == {200}
        assert logins() - before <= looks, "one login for a hundred strangers"
        assert max(answer.json()["age_seconds"] for answer in answers) < 5


def test_requests_beyond_the_apis_sessions_are_503_and_leave_the_others_to_loading(
    own: Settings, own_server: MySQLServer
) -> None:
    limits = replace(NO_LIMITS, sessions=1, place=0.2)
    with (
        served(own, limits=limits) as url,
        httpx.Client(base_url=url, headers=BEARER, timeout=60) as client,
        own_server.connect("root") as conn,
        conn.cursor() as cursor,
        ThreadPoolExecutor(6) as pool,
    ):
        cursor.execute("LOCK TABLES rowferry_runs WRITE")
        held = [pool.submit(client.get, "/runs") for _ in range(6)]
        assert wait_until(lambda: sum(one.done() for one in held) == 5, 20)
        assert sessions(own_server) == 1
        cursor.execute("UNLOCK TABLES")
        assert sorted(one.result().status_code for one in held) == [200, *[503] * 5]
