"""No log holds a row's contents, a credential or a token. Runs last, so that it sees what the whole suite left."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import httpx
import pytest

from tests.support.stack_client import World

CANARY = "Zebedee Quickfoot"
"""A name that stands in rows of every fate, and nowhere else."""


def rows() -> str:
    """Accepted, rejected for each reason that quotes a field, of the wrong width, twice there."""
    return "\n".join(
        [
            f"1,{CANARY}",
            f"{CANARY},2",
            f"2,{CANARY},{CANARY}",
            f"3,{CANARY} first",
            f"3,{CANARY} last",
            f"{CANARY}",
            f"4,{'x' * 65_536}{CANARY}",
        ]
    )


def secrets(world: World) -> dict[str, str]:
    stack = world.stack
    assert stack.mysql
    return {
        "the application's password": stack.mysql.password,
        "the administrator's password": stack.mysql.admin_password,
        "the API's token": stack.api_token,
    }


def logs(world: World) -> Iterator[tuple[str, str]]:
    """The files of the stack, and what the functions sent to CloudWatch."""
    for path in sorted(Path(world.stack.folder).rglob("*.log")):
        yield path.name, path.read_text(errors="replace")
    assert world.stack.emulator
    client = boto3.client("logs", **world.stack.emulator.client_options())
    groups = [group["logGroupName"] for group in client.describe_log_groups()["logGroups"]]
    for group in groups:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
            yield group, "\n".join(event["message"] for event in page["events"])
    client.close()


def as_root(world: World, statement: str) -> None:
    assert world.stack.mysql
    with closing(world.stack.mysql.connect("root")) as conn, conn.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(scope="module")
def traffic(stack_world: World) -> World:
    """Everything that might make somebody write a field or a token into a log."""
    world = stack_world
    world.empty_tables()
    world.migrate("raw/jobs.csv", rows())
    world.migrate("raw/jobs-again.csv", rows().replace("first", "again"))
    world.migrate("check/jobs.csv", rows())
    world.migrate("raw/departments.csv", f'1,"{CANARY}\n')
    world.migrate("raw/departments-header.csv", f"id,{CANARY}\n1,A\n")
    world.start({"detail": {"object": {"key": CANARY}}})
    for body in (rows(), "\0" + CANARY, f'1,"{CANARY}'):
        world.api.post("/upload_csv", params={"table": "jobs"}, content=body.encode())
    world.api.post("/upload_csv", params={"table": CANARY}, content="1,A\n")
    url = str(world.api.base_url)
    httpx.get(f"{url}/runs", headers={"Authorization": f"Bearer {world.stack.api_token}x"})
    as_root(world, "RENAME TABLE jobs TO hidden")
    try:
        assert "1146" in world.failure(world.upload("raw/jobs-later.csv", rows()))  # there is no such table
    finally:
        as_root(world, "RENAME TABLE hidden TO jobs")
    return world


def test_no_log_holds_a_rows_contents_a_credential_or_a_token(traffic: World) -> None:
    texts = list(logs(traffic))
    assert any('"planned"' in text for _, text in texts), "the functions' logs are not where they are looked for"
    for name, text in texts:
        assert CANARY not in text, f"{name} quotes a row: {text[max(0, text.index(CANARY) - 500) :][:1_000]}"
        for what, secret in secrets(traffic).items():
            assert secret not in text, f"{name} holds {what}"


def test_what_runs_say_of_themselves_quotes_no_row(traffic: World) -> None:
    """Reports and reasons are shown to whoever may see runs; rejects are files with rights of their own."""
    for report, reason in traffic.rows("SELECT report, reason FROM rowferry_runs"):
        assert CANARY not in json.dumps([report, reason])
