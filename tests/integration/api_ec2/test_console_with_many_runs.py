"""The console's pages with 10,000 runs in the ledger: each answers within a second."""

import time
from collections.abc import Iterator

import httpx
import pytest

from rowferry.config import Settings
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket
from tests.support.serving import TOKEN

RUNS = 10_000


@pytest.fixture
def many_runs(conn: Connection) -> None:
    runs = """
        INSERT INTO rowferry_runs (id, bucket, object_key, version_id, etag, uploaded_at, table_name, kind, execution,
          status, stage, reason, lease_until, options, records, batches, report, started_at, claimed_at, finished_at)
        SELECT LEFT(SHA2(n, 256), 32), 'a-bucket', CONCAT('raw/departments-', n % 500, '.csv'), n, '', t,
          'departments', 'load', n,
          IF(n % 10, 'done', 'failed'), 'Load', 'DatabaseUnavailable: it was down', t, '{}', 1000, 2,
          JSON_OBJECT('reason', REPEAT('x', 1000)), t, t, t
        FROM (SELECT n, UTC_TIMESTAMP(6) - INTERVAL n * 5 MINUTE AS t FROM (
          WITH RECURSIVE d AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM d WHERE i < 99)
          SELECT a.i * 100 + b.i AS n FROM d a JOIN d b ORDER BY n) x) y"""
    assert mysql.run(conn, runs) == RUNS
    batches = """
        INSERT INTO rowferry_batches (run_id, batch, records, inserted, committed_at)
        SELECT id, b, 500, 500, finished_at FROM rowferry_runs JOIN (SELECT 0 AS b UNION SELECT 1) n"""
    assert mysql.run(conn, batches) == 2 * RUNS


@pytest.fixture
def browser(settings: Settings, bucket: Bucket, many_runs: None) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.api_url, follow_redirects=True, timeout=30) as client:
        assert client.post("/console/sign-in", data={"token": TOKEN}).status_code == 200
        yield client


def test_each_page_answers_within_a_second(browser: httpx.Client, conn: Connection) -> None:
    found = mysql.row(conn, "SELECT id FROM rowferry_runs ORDER BY claim LIMIT 1")
    assert found
    slow = {}
    for path in ("", "?status=failed", "?table=jobs", "?before=2000", f"/runs/{found['id']}", "/tables/departments"):
        browser.get(f"/console{path}")  # the first one may read the disk
        begin = time.monotonic()
        assert browser.get(f"/console{path}").status_code == 200
        slow[path] = time.monotonic() - begin
    print(slow)
    assert {path: seconds for path, seconds in slow.items() if seconds > 1} == {}
