"""The sample events of events/ with the running stack's own names in them, and the file that they speak of.

They take `events/departments.csv` by hand through the steps: PlanFunction uploads it, without anything being started by
that, and makes a run; the steps behind it then find that run. Each may be repeated.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3

from local.emulator import ROOT, Emulator
from local.processes import LocalError
from local.stack import Stack

EVENTS = ROOT / "events"
SAMPLE = EVENTS / "departments.csv"
EXECUTION = str(json.loads((EVENTS / "plan.json").read_text())["execution"])
"""The execution that the events make believe they come from."""
ANSWER = "runs/bootstrap/answer.json"

Event = dict[str, Any]


def sample_event(stack: Stack, function: str) -> Event:
    """Raises: LocalError where the function has no sample, or needs a run and PlanFunction has made none."""
    name = function.removesuffix("Function").lower()
    path = EVENTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(f"{found.stem.capitalize()}Function" for found in EVENTS.glob("*.json")))
        raise LocalError(f"there is no {path.relative_to(ROOT)}; FN is one of {known}")
    event: Event = json.loads(path.read_text())
    if name == "plan":
        event["detail"] = uploaded(stack, event["detail"])
    elif name == "bootstrap":
        event["credentials"] = credentials(stack)
    elif name == "credentials":  # the local stack's users exist already, so it has no secrets of theirs to read
        event |= {"RequestType": "Delete", "ResponseURL": place_for_an_answer(stack)}
    elif name == "fail":
        event["state"]["run"] = newest_run(stack)
    elif "run" in event:
        event["run"] = newest_run(stack)
    return event


def uploaded(stack: Stack, detail: Event) -> Event:
    """The event's detail for the sample file, uploaded anew but where a run of it is under way."""
    assert stack.emulator and stack.deployment
    bucket, key = stack.deployment.bucket, detail["object"]["key"]
    s3 = boto3.client("s3", **stack.emulator.client_options())
    with closing(s3):
        under_way = runs(stack, "AND status IN ('running', 'failed')")
        if under_way:
            version = str(under_way[0][1])
        else:
            with unannounced(stack.emulator):
                version = s3.put_object(Bucket=bucket, Key=key, Body=SAMPLE.read_bytes())["VersionId"]
    return {**detail, "bucket": {"name": bucket}, "object": {**detail["object"], "version-id": version}}


def newest_run(stack: Stack) -> str:
    found = runs(stack)
    if not found:
        raise LocalError("no run is there for this step yet; begin by: make invoke FN=PlanFunction")
    return str(found[0][0])


def runs(stack: Stack, condition: str = "") -> list[tuple[Any, ...]]:
    """Id and version of the sample's runs, newest first."""
    assert stack.mysql
    sql = f"SELECT id, version_id FROM rowferry_runs WHERE execution = %s {condition} ORDER BY claim DESC"
    with closing(stack.mysql.connect()) as conn, conn.cursor() as cursor:
        cursor.execute(sql, (EXECUTION,))
        return list(cursor.fetchall())


def credentials(stack: Stack) -> dict[str, str]:
    assert stack.mysql
    return {**stack.mysql.admin_environment(), "DB_PASSWORD": stack.mysql.password}


def place_for_an_answer(stack: Stack) -> str:
    """A presigned URL, as CloudFormation gives a custom resource, whose object is in the stack's bucket."""
    assert stack.emulator and stack.deployment
    with closing(boto3.client("s3", **stack.emulator.client_options())) as s3:
        where = {"Bucket": stack.deployment.bucket, "Key": ANSWER}
        return str(s3.generate_presigned_url("put_object", Params=where))


@contextmanager
def unannounced(emulator: Emulator) -> Iterator[None]:
    """Uploads start nothing."""
    with closing(boto3.client("events", **emulator.client_options())) as events:
        rules = [rule["Name"] for rule in events.list_rules()["Rules"] if "aws.s3" in rule.get("EventPattern", "")]
        for rule in rules:  # of a second stack too
            events.disable_rule(Name=rule)
        try:
            yield
        finally:
            for rule in rules:
                events.enable_rule(Name=rule)
