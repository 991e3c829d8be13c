"""What is watched, as it was deployed: alarms, dashboard, queue, retention."""

import json
from typing import Any

import boto3
import pytest

from tests.support.stack_client import World


@pytest.fixture(scope="module")
def options(stack_world: World) -> dict[str, Any]:
    assert stack_world.stack.emulator
    return stack_world.stack.emulator.client_options()


@pytest.fixture(scope="module")
def resources(options: dict[str, Any]) -> dict[str, str]:
    found = boto3.client("cloudformation", **options).describe_stack_resources(StackName="rowferry")["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


def test_each_alarm_rings_the_topic_and_watches_something_of_this_stack(
    options: dict[str, Any], resources: dict[str, str]
) -> None:
    found = boto3.client("cloudwatch", **options).describe_alarms()["MetricAlarms"]
    alarms = [alarm for alarm in found if alarm["AlarmName"] in resources.values()]
    assert {alarm["MetricName"] for alarm in alarms} == {
        "ExecutionsFailed",
        "ExecutionsSucceeded",
        "ApproximateNumberOfMessagesVisible",
        "BackupsCompleted",
    }, "an instance, a database and HTTPS of our own have theirs where they are"
    named = {*resources.values(), "rowferry", resources["UndeliveredEvents"].rpartition("/")[2]}
    for alarm in alarms:
        assert alarm["AlarmActions"] == [resources["Alarms"]]
        assert {dimension["Value"] for dimension in alarm["Dimensions"]} <= named


def test_the_dashboard_shows_this_stack_only(options: dict[str, Any], resources: dict[str, str]) -> None:
    body = boto3.client("cloudwatch", **options).get_dashboard(DashboardName="rowferry-us-east-1")["DashboardBody"]
    assert "${" not in body
    widgets = json.loads(body)["widgets"]
    assert [widget["properties"]["title"] for widget in widgets] == [
        "Runs",
        "Rows of finished runs",
        "How long a run takes, ms",
        "Functions at the same time, and held back",
        "Events that started no run",
        "What failed for good",
    ]
    assert resources["Migrate"] in body
    assert resources["LoadFunction"] in body


def test_all_logs_end(options: dict[str, Any], resources: dict[str, str]) -> None:
    groups = boto3.client("logs", **options).describe_log_groups()["logGroups"]
    ours = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
    for name in ("FunctionsLogGroup", "StateMachineLogGroup"):
        assert ours[resources[name]] == 7


def test_an_event_that_starts_no_run_is_kept_for_a_fortnight(
    options: dict[str, Any], resources: dict[str, str]
) -> None:
    sqs, queue = boto3.client("sqs", **options), resources["UndeliveredEvents"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert int(attributes["MessageRetentionPeriod"]) == 14 * 24 * 3600
    events = boto3.client("events", **options)
    (rule,) = [rule for rule in events.list_rules()["Rules"] if rule["Name"] == resources["MigrateUploaded"]]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["DeadLetterConfig"]["Arn"] == attributes["QueueArn"]
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rule["Arn"]}}
