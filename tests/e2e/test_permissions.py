"""Each role allows just what is done under it: files go every way, the calls are held against the template.

The emulator asks nobody for permissions, so the policies are judged here, in both directions: a call without a right,
and a right without a call or a reason. Rights that no call of this stack can show have theirs in REVIEWED.
"""

from collections.abc import Iterator, Set
from dataclasses import replace
from typing import Any

import boto3
import pytest

from local.api import Api
from local.recorder import Call, Recorder, read_call
from local.stack import Stack, running
from tests.support import required_permissions
from tests.support.every_call import take_all
from tests.support.required_permissions import BUCKET
from tests.support.roles import Grant, Roles, grants_of, translated, wider
from tests.support.stack_client import World

LOGS = ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries")
POLICIES = ("PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")
TRACES = ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")
API_LOGS = "arn:aws:logs:us-east-1:123456789012:log-group:ApiLogGroup"

REVIEWED = {
    **{
        Grant(machine, f"logs:{action}", "*"): "Step Functions needs it to write the machine's log; knows no resources"
        for machine in ("Migrate", "Sweep")
        for action in LOGS + POLICIES
    },
    **{
        Grant(machine, f"xray:{action}", "*"): "Step Functions writes traces with it; knows no resources"
        for machine in ("Migrate", "Sweep")
        for action in TRACES
    },
    **{
        Grant("Migrate", f"states:{action}", "arn:aws:states:us-east-1:123456789012:execution:rowferry-migrate/*"): (
            "a Map's children are named MACHINE/LABEL:ID, the guide names MACHINE:* only; which holds is not known here"
        )
        for action in ("DescribeExecution", "StopExecution")
    },
    **{
        Grant(function, "s3:GetObjectTagging", f"{BUCKET}/{place}/*"): (
            "which of both actions CopyObject of a version reads tags with is written nowhere"
        )
        for function, places in {"PlanFunction": ("raw", "check"), "SummariseFunction": ("raw", "runs")}.items()
        for place in places
    },
    Grant("Api", "s3:GetObject", f"{BUCKET}/errors/*"): "the console shows rejects",
    Grant("Api", "s3:PutObject", f"{BUCKET}/raw/*"): "the console uploads files",
    Grant("Api", "s3:PutObject", f"{BUCKET}/check/*"): "the console uploads files that are checked first",
    Grant("Api", "s3:GetObjectVersion", f"{BUCKET}/check/*"): "the console loads a file that was checked",
    Grant(
        "Api", "states:StartExecution", "arn:aws:states:us-east-1:123456789012:stateMachine:rowferry-migrate"
    ): "POST /runs/{run}/retry starts the run's execution again",
    **{
        Grant("CredentialsFunction", action, resource): "CloudFormation asks it where the stack makes users; by boto3,"
        " not recorded"
        for action, resource in (
            ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:AdminSecret"),
            ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:rowferry/*"),
            ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:BootstrapFunction"),
        )
    },
    **{
        Grant("Api", f"logs:{action}", resource): "the agent's actions, each on the group and on its streams"
        for action in ("CreateLogStream", "DescribeLogStreams", "PutLogEvents")
        for resource in (API_LOGS, f"{API_LOGS}:log-stream:*")
    },
    **{
        Grant(
            "Api", action, resource
        ): "backups and restores that are ordered over HTTP: the calls of BackupFunction and"
        " RestoreFunction, but for what removes backups"
        for action, resource in (
            ("s3:ListBucket", BUCKET),
            ("s3:GetObject", f"{BUCKET}/backups/*"),
            ("s3:PutObject", f"{BUCKET}/backups/*"),
            ("s3:AbortMultipartUpload", f"{BUCKET}/backups/*"),
        )
    },
}
"""Rights that no recorded call shows, and why they are there."""

LOGGED = {"AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AWSXrayWriteOnlyAccess"}
MANAGED = {"Api": {"AmazonSSMManagedInstanceCore"}, "Migrate": {"AWSXrayWriteOnlyAccess"}}
MANAGED |= {"Sweep": MANAGED["Migrate"]}
"""AWS's own policies; each function has LOGGED: its log, its network interface, its traces. Session Manager's on the
instance is the widest: it may read all parameters of Systems Manager."""


def complaints(granted: Set[Grant], needed: Set[Grant]) -> list[str]:
    """What is not as it should be, in words. A listing's condition may also be left out, where it is of everything."""
    bare = {need: replace(need, condition="") for need in needed if "s3:prefix" in need.condition}
    missing = {need for need in needed - granted if bare.get(need) not in granted}
    used = needed | set(bare.values())
    return [
        *(f"not allowed: {grant}" for grant in sorted(missing)),
        *(f"allowed, but neither used nor reviewed: {grant}" for grant in sorted(granted - used - set(REVIEWED))),
        *(f"reviewed, but not allowed: {grant}" for grant in sorted(set(REVIEWED) - granted)),
    ]


@pytest.fixture(scope="module")
def roles() -> Roles:
    return Roles(translated())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """On a stack of its own, whose functions all come by the recorder from the first call on."""
    with running(tmp_path_factory.mktemp("recorded")) as stack:
        assert stack.emulator and stack.deployment
        world = World(stack)
        with Recorder(stack.emulator) as recorder:
            recorder.point_functions(stack.deployment.bucket)
            point_api(stack, recorder)
            take_all(world, recorder)
            check_deployed_roles(stack.emulator.client_options(), stack.deployment.bucket)
            yield recorder
        world.close()


def point_api(stack: Stack, recorder: Recorder) -> None:
    """The API of an instance, whose calls are its role's."""
    assert stack.api
    stack.api.stop()
    environment = stack.api_environment() | recorder.environment("Api")
    stack.api = Api.start(stack.folder, environment, stack.api.port)
    stack.write()  # so that it is ended with the rest


@pytest.fixture(scope="module")
def needed(recorded: Recorder, roles: Roles) -> set[Grant]:
    others = (
        required_permissions.of_state_machines(roles),
        required_permissions.of_the_instance(),
        required_permissions.of_events(roles),
    )
    return required_permissions.of_functions(recorded.calls).union(*others)


def check_deployed_roles(options: dict[str, Any], bucket: str) -> None:
    """That the roles read from the template are those that CloudFormation makes, by the emulator's."""
    iam = boto3.client("iam", **options)
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"].removeprefix("rowferry-").rpartition("-")[0].removesuffix("Role")
        if not name.endswith("Function"):
            continue
        deployed = {
            replace(grant, resource=grant.resource.replace(bucket, "Bucket"))
            for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
            for statement in iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"][
                "Statement"
            ]
            for grant in grants_of(name, statement)
        }
        assert deployed == {grant for grant in Roles(translated()).grants() if grant.role == name}, name
    iam.close()


def test_every_call_is_allowed_and_nothing_is_that_is_neither_used_nor_reviewed(
    roles: Roles, needed: set[Grant]
) -> None:
    assert complaints(roles.grants(), needed) == []


def test_each_right_that_is_taken_away_is_missed(roles: Roles, needed: set[Grant]) -> None:
    granted = roles.grants()
    unmissed = [grant for grant in granted if not complaints(granted - {grant}, needed)]
    assert unmissed == []


def test_each_right_that_is_widened_is_one_too_many(roles: Roles, needed: set[Grant]) -> None:
    granted = roles.grants()
    narrow = [grant for grant in granted if wider(grant) != grant]
    unseen = [grant for grant in narrow if not complaints(granted - {grant} | {wider(grant)}, needed)]
    assert unseen == []


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{BUCKET}/raw/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/processed/*"},
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": BUCKET},
    ],
)
def test_a_statement_too_many_is_seen(roles: Roles, needed: set[Grant], statement: dict[str, Any]) -> None:
    (complaint,) = complaints(roles.grants() | set(grants_of("LoadFunction", statement)), needed)
    assert complaint.startswith("allowed, but neither used nor reviewed")


def test_a_statement_of_another_form_is_not_passed_over(roles: Roles) -> None:
    for statement in ({"Effect": "Deny", "Action": "s3:*"}, {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}):
        with pytest.raises(ValueError, match="is not judged here"):
            list(grants_of("LoadFunction", statement))


def test_aws_own_policies_are_the_ones_that_were_looked_at(roles: Roles) -> None:
    found = {name: roles.managed(name) for name in roles.names}
    assert found == {name: LOGGED if name.endswith("Function") else MANAGED.get(name, set()) for name in roles.names}


def test_the_endpoint_lets_every_call_through(roles: Roles, recorded: Recorder) -> None:
    policy = roles.resolver.value(roles.template["Resources"]["S3Endpoint"]["Properties"]["PolicyDocument"])
    (ours,) = policy["Statement"]
    assert (ours["Resource"], ours["Action"]) == ([BUCKET, f"{BUCKET}/*"], "s3:*")
    assert len({call.bucket for call in recorded.calls}) == 1, "functions ask for the stack's bucket only"


def test_every_function_with_rights_was_seen_at_work(roles: Roles, recorded: Recorder) -> None:
    unrecorded = {"CredentialsFunction"}  # not on this stack, whose users exist already
    with_rights = {grant.role for grant in roles.grants() if grant.role.endswith("Function")} - unrecorded
    assert {call.function for call in recorded.calls} == with_rights


@pytest.mark.parametrize(
    ("request_line", "headers", "expected"),
    [
        ("GET /b/raw/x.csv?versionId=1", {}, {("s3:GetObjectVersion", f"{BUCKET}/raw/*")}),
        ("DELETE /b/raw/x%20y.csv?versionId=1", {}, {("s3:DeleteObjectVersion", f"{BUCKET}/raw/*")}),
        ("DELETE /b/raw/x.csv", {}, {("s3:DeleteObject", f"{BUCKET}/raw/*")}),
        (
            "GET /b?versions&prefix=raw%2Fx",
            {},
            {("s3:ListBucketVersions", BUCKET, required_permissions.only_below("raw/"))},
        ),
        ("PUT /b/runs/x?partNumber=1&uploadId=u", {}, {("s3:PutObject", f"{BUCKET}/runs/*")}),
        (
            "PUT /b/processed/x",
            {"x-amz-copy-source": "b/raw/x?versionId=1"},
            {
                ("s3:PutObject", f"{BUCKET}/processed/*"),
                ("s3:PutObjectTagging", f"{BUCKET}/processed/*"),
                ("s3:GetObjectVersion", f"{BUCKET}/raw/*"),
                ("s3:GetObjectVersionTagging", f"{BUCKET}/raw/*"),
            },
        ),
    ],
)
def test_what_a_call_needs(request_line: str, headers: dict[str, str], expected: set[tuple[str, ...]]) -> None:
    method, _, target = request_line.partition(" ")
    assert set(required_permissions.of_call(read_call(method, target, headers))) == expected


def test_a_listing_may_be_allowed_below_a_prefix_alone() -> None:
    need = Grant("F", "s3:ListBucket", BUCKET, required_permissions.only_below("backups/"))
    others = set(REVIEWED)
    assert complaints({need} | others, {need}) == []
    assert complaints({replace(need, condition="")} | others, {need}) == []
    elsewhere = replace(need, condition=required_permissions.only_below("raw/"))
    assert len(complaints({elsewhere} | others, {need})) == 2


def test_an_object_that_is_not_there_needs_the_right_to_list() -> None:
    call = Call("PlanFunction", "HEAD", "b", "runs/1/input.csv", {}, {}, status=404)
    assert ("s3:ListBucket", BUCKET) in set(required_permissions.of_call(call))
