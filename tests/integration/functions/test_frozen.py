"""A database that is frozen, not dead: it takes connections and answers nothing. Its process is stopped by a signal."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import httpx
import pytest

from local.mysql import MySQLServer
from rowferry import ledger
from rowferry.config import Settings
from rowferry.errors import DatabaseUnavailable
from rowferry.storage import mysql
from tests.support.freezing import freeze, frozen
from tests.support.serving import BEARER, served


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    """A server that only these tests use."""
    with MySQLServer.start(tmp_path_factory.mktemp("frozen")) as server:
        yield server


@pytest.fixture
def own(own_server: MySQLServer) -> Settings:
    """For tests: a second of patience for each answer."""
    return replace(Settings.from_env(own_server.environment()), connect_seconds=1, answer_seconds=1)


@dataclass
class Clock:
    """How long something took."""

    begun: float = 0
    seconds: float = 0

    def __enter__(self) -> "Clock":
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.begun


def test_what_is_waited_for_is_bounded_by_default() -> None:
    """A function has 900 seconds and gives up before they are over, with what it says in the ledger about that."""
    settings = Settings("", 0, "", "", "")
    assert (settings.connect_seconds, settings.answer_seconds) == (10, 300)


@pytest.mark.parametrize("connections", [0, 5])
def test_no_session_is_made_and_nobody_waits_long_for_it(
    own_server: MySQLServer, own: Settings, connections: int
) -> None:
    with frozen(own_server), Clock() as clock, pytest.raises(DatabaseUnavailable):
        mysql.connect(replace(own, answer_seconds=300, patience=30))
    assert clock.seconds < 10
    with mysql.session(own) as conn:
        assert mysql.row(conn, "SELECT 1 AS one") == {"one": 1}


def statement(settings: Settings, freeze: Callable[[], object]) -> None:
    with mysql.session(settings) as conn:
        freeze()
        mysql.row(conn, "SELECT 1")


def transaction(settings: Settings, freeze: Callable[[], object]) -> None:
    with mysql.session(settings) as conn, mysql.transaction(conn):
        mysql.run(conn, "INSERT INTO departments (id, name) VALUES (1, 'x')")
        freeze()


def snapshot(settings: Settings, freeze: Callable[[], object]) -> None:
    with mysql.session(settings) as conn, mysql.snapshot(conn):
        freeze()
        mysql.row(conn, "SELECT COUNT(*) FROM departments")


def streaming(settings: Settings, freeze: Callable[[], object]) -> None:
    with mysql.session(settings) as conn:
        rows = mysql.stream(
            conn,
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
            " SELECT a.i, REPEAT('x', 100) FROM n a JOIN n b",
        )
        next(rows)
        freeze()
        for _ in rows:
            pass


def lock(settings: Settings, freeze: Callable[[], object]) -> None:
    with ledger.session(settings) as conn:
        freeze()
        ledger.read(conn, "0" * 32)


@pytest.mark.parametrize("act", [statement, transaction, snapshot, streaming, lock])
def test_whatever_is_under_way_gives_up_in_bounded_time(
    own_server: MySQLServer, own: Settings, act: Callable[[Settings, Callable[[], object]], None]
) -> None:
    pid = own_server.process.pid
    try:
        with Clock() as clock, pytest.raises(DatabaseUnavailable):
            act(own, lambda: freeze(pid))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert clock.seconds < 10
    with mysql.session(replace(own, connect_seconds=10)) as conn:
        assert mysql.row(conn, "SELECT 1 AS one") == {"one": 1}


ROUTES = (
    ("GET", "/runs"),
    ("GET", f"/runs/{'0' * 32}"),
    ("POST", f"/runs/{'0' * 32}/retry"),
    ("POST", f"/runs/{'0' * 32}/abandon"),
    ("GET", "/employees_hired_per_quarter?year=2021"),
    ("GET", "/departments_above_mean_hires?year=2021"),
    ("POST", "/backup/jobs"),
    ("POST", "/restore/jobs"),
    ("GET", "/jobs/20261103T020000000000Z-abcdef"),
)


def test_routes_answer_503_within_seconds_and_work_again_when_it_goes_on(
    own_server: MySQLServer, own: Settings
) -> None:
    usual = replace(own, connect_seconds=10, answer_seconds=300, bucket="any")

    def ask(route: tuple[str, str]) -> tuple[str, int, bool]:
        with Clock() as clock:
            answer = client.request(*route)
        return route[1], answer.status_code, clock.seconds < 10

    with served(usual) as url, httpx.Client(base_url=url, headers=BEARER, timeout=60) as client:
        with frozen(own_server), ThreadPoolExecutor(len(ROUTES)) as pool:
            answers = list(pool.map(ask, ROUTES))
        assert answers == [(path, 503, True) for _, path in ROUTES]
        assert client.get("/runs").json() == {"runs": [], "next": None}
