"""The scheduled sweep on the deployed template: what its event never announced, and what failed and may be repeated."""

from rowferry import ledger
from rowferry.config import Options, Settings
from rowferry.storage import mysql
from rowferry.storage.s3 import Bucket
from tests.support.stack_client import World


def test_an_upload_that_nobody_announced_is_loaded_by_the_sweep(world: World) -> None:
    with world.unannounced():
        version = world.upload("raw/departments.csv", "1,A\n")
        assert world.sweep()["status"] == "SUCCEEDED"
        assert world.rows("SELECT * FROM rowferry_runs") == [], "by default it leaves uploads ten minutes"
        assert world.sweep(older_than_minutes=0)["status"] == "SUCCEEDED"
        assert world.report(version)["inserted"] == 1


def test_a_run_that_failed_for_a_passing_reason_is_started_again_by_the_sweep(world: World) -> None:
    with world.unannounced():
        version = world.upload("raw/departments.csv", "1,A\n")
    (uploaded,) = Bucket(world.bucket, world.s3).versions_of("raw/departments.csv")
    id = ledger.run_id(world.bucket, uploaded.key, version)
    claim = ledger.Claim(
        id, world.bucket, uploaded.key, version, uploaded.etag, uploaded.modified, "departments", "load", "x", Options()
    )
    assert world.stack.mysql
    with mysql.session(Settings.from_env(world.stack.mysql.environment())) as conn:
        ledger.claim(conn, claim)
        ledger.fail(conn, "x", "DatabaseUnavailable: for an hour", lasting=False)
    assert world.sweep()["status"] == "SUCCEEDED"
    world.wait_until_idle()
    assert world.report(version)["inserted"] == 1
    assert world.rows("SELECT starts FROM rowferry_runs") == [(2,)]
