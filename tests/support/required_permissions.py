"""What calls need to be allowed: of functions as they were recorded, of state machines and the instance as written.

Which action a call to S3 needs is from "Required permissions for Amazon S3 API operations" in the S3 User Guide; where
that page and the call's own disagree (HeadObject of a version) both are needed. What a state machine needs is from
"IAM policies for using Distributed Map state" in the Step Functions Developer Guide.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from local.emulator import ROOT
from local.recorder import Call
from tests.support.roles import ACCOUNT, Grant, Roles

BUCKET = "arn:aws:s3:::Bucket"
_LISTS = {
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
_OF_A_VERSION = {name: f"s3:{name}" for name in ("GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging")}
_PUTS = {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"}


# --- functions ------------------------------------------------------------------------------------------------------


def of_functions(calls: Iterable[Call]) -> set[Grant]:
    return {Grant(call.function, *need) for call in calls for need in of_call(call)}


def of_call(call: Call) -> Iterator[tuple[str, ...]]:
    """Actions with their resources; an object stands for all below the first part of its key.

    With a listing goes the condition that would allow it alone, of its prefix.
    """
    operation, version = call.operation, "versionid" in call.query
    if operation in _LISTS:
        yield _LISTS[operation], BUCKET, only_below(call.query.get("prefix", ""))
    elif operation in _OF_A_VERSION:
        action = _OF_A_VERSION[operation]
        yield _of_version(action, version), place(call.key)
    elif operation == "HeadObject":
        yield "s3:GetObject", place(call.key)
        yield _of_version("s3:GetObject", version), place(call.key)
    elif operation == "AbortMultipartUpload":
        yield "s3:AbortMultipartUpload", place(call.key)
    elif operation in _PUTS:
        yield "s3:PutObject", place(call.key)
        yield from _of_copy(call)
    else:
        raise LookupError(f"which action {operation} needs is not known here")
    if call.status == 404 and call.key:  # without it S3 answers 403, which is another error; no prefix is asked for
        yield "s3:ListBucket", BUCKET


def _of_copy(call: Call) -> Iterator[tuple[str, str]]:
    """CopyObject takes the source's tags along: uploads may have some."""
    if not call.source:
        return
    source, version = call.source
    yield _of_version("s3:GetObject", version), place(source)
    if call.operation == "CopyObject":
        assert "x-amz-tagging-directive" not in call.headers, "tags are no longer taken along: say here what is needed"
        yield _of_version("s3:GetObjectTagging", version), place(source)
        yield "s3:PutObjectTagging", place(call.key)


def _of_version(action: str, version: bool) -> str:
    return action.replace("Object", "ObjectVersion") if version else action


def only_below(prefix: str) -> str:
    """A condition, as JSON."""
    first = prefix.partition("/")[0]
    return json.dumps({"StringLike": {"s3:prefix": f"{first}/*"}})


def place(key: str) -> str:
    return f"{BUCKET}/{key.partition('/')[0]}/*"


# --- state machines -------------------------------------------------------------------------------------------------


def of_state_machines(roles: Roles) -> set[Grant]:
    machines = {
        name: resource["Properties"]
        for name, resource in roles.template["Resources"].items()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }
    return {need for name, properties in machines.items() for need in _of_machine(roles, name, properties)}


def _of_machine(roles: Roles, name: str, properties: dict[str, Any]) -> Iterator[Grant]:
    given = roles.resolver.value(properties["DefinitionSubstitutions"])
    text = (ROOT / "statemachine" / f"{name.lower()}.asl.json").read_text()
    definition = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: str(given[found[1]]), text))
    for state in states(definition):
        for action, resource in _of_state(state, roles.resolver.value(properties.get("StateMachineName"))):
            yield Grant(name, action, resource)


def states(part: Any) -> Iterator[dict[str, Any]]:
    """Those inside Maps too."""
    for state in part.get("States", {}).values():
        yield state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def _of_state(state: dict[str, Any], machine: str) -> Iterator[tuple[str, str]]:
    resource, parameters = state.get("Resource"), state.get("Parameters", {})
    if resource == "arn:aws:states:::lambda:invoke":
        yield "lambda:InvokeFunction", parameters["FunctionName"]
    elif resource == "arn:aws:states:::states:startExecution":
        itself = {"$$.StateMachine.Id": f"arn:aws:states:{ACCOUNT}:stateMachine:{machine}"}
        yield "states:StartExecution", parameters.get("StateMachineArn") or itself[parameters["StateMachineArn.$"]]
    elif resource:
        raise LookupError(f"which action {resource} needs is not known here")
    if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
        yield from _of_distributed_map(state, machine)


def _of_distributed_map(state: dict[str, Any], machine: str) -> Iterator[tuple[str, str]]:
    yield "states:StartExecution", f"arn:aws:states:{ACCOUNT}:stateMachine:{machine}"
    for action in ("DescribeExecution", "StopExecution"):
        yield f"states:{action}", f"arn:aws:states:{ACCOUNT}:execution:{machine}:*"
    yield "states:RedriveExecution", f"arn:aws:states:{ACCOUNT}:execution:{machine}/*"
    assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
    assert state["ResultWriter"]["Resource"] == "arn:aws:states:::s3:putObject"
    for action in ("GetObject", "PutObject", "ListMultipartUploadParts", "AbortMultipartUpload"):
        yield f"s3:{action}", place("runs/")  # where the run's files are; Plan answers the keys


# --- the instance ---------------------------------------------------------------------------------------------------

_EC2 = f"arn:aws:ec2:{ACCOUNT}"
_GROUP = f"arn:aws:autoscaling:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/rowferry-api"
_LOGS = f"arn:aws:logs:{ACCOUNT}:log-group:ApiLogGroup"
_SECRET = f"arn:aws:secretsmanager:{ACCOUNT}:secret:"
_OURS = '{"StringEquals": {"aws:ResourceTag/Name": "rowferry-api"}}'
COMMANDS: dict[str, tuple[Grant, ...]] = {
    "lambda get-layer-version-by-arn": (
        Grant("Api", "lambda:GetLayerVersion", f"arn:aws:lambda:{ACCOUNT}:layer:ApiLayer"),
    ),
    "secretsmanager get-secret-value": (
        Grant("Api", "secretsmanager:GetSecretValue", f"{_SECRET}AppSecret"),
        Grant("Api", "secretsmanager:GetSecretValue", f"{_SECRET}rowferry/*/validator/*"),
        Grant("Api", "secretsmanager:GetSecretValue", f"{_SECRET}rowferry/*/operator/*"),
    ),
    "secretsmanager list-secrets": (Grant("Api", "secretsmanager:ListSecrets", "*"),),
    "ec2 describe-network-interfaces": (Grant("Api", "ec2:DescribeNetworkInterfaces", "*"),),
    "ec2 attach-network-interface": (
        Grant("Api", "ec2:AttachNetworkInterface", f"{_EC2}:network-interface/ApiInterface"),
        Grant("Api", "ec2:AttachNetworkInterface", f"{_EC2}:instance/*", _OURS),
    ),
    "autoscaling set-instance-health": (Grant("Api", "autoscaling:SetInstanceHealth", _GROUP),),
    "cloudwatch put-metric-data": (
        Grant("Api", "cloudwatch:PutMetricData", "*", '{"StringEquals": {"cloudwatch:namespace": "Rowferry"}}'),
    ),
    "cfn-signal": (Grant("Api", "cloudformation:SignalResource", f"arn:aws:cloudformation:{ACCOUNT}:stack/rowferry"),),
    "amazon-cloudwatch-agent-ctl": (
        Grant("Api", "logs:CreateLogStream", _LOGS),
        Grant("Api", "logs:DescribeLogStreams", _LOGS),
        Grant("Api", "logs:PutLogEvents", f"{_LOGS}:log-stream:*"),
    ),
}
"""What each command in the instance's scripts needs; the agent's from the Service Authorization Reference of Logs."""


def of_the_instance() -> set[Grant]:
    scripts = [path.read_text() for path in (ROOT / "api_ec2/instance").glob("*.sh")]
    scripts.append((ROOT / "template.yaml").read_text().partition("UserData:")[2].partition("ApiGroup:\n")[0])
    found = {command for script in scripts for command in commands(script)}
    unknown, unused = found - set(COMMANDS), set(COMMANDS) - found
    assert not unknown, f"{unknown} in the instance's scripts: say in COMMANDS what is needed"
    assert not unused, f"{unused} is no longer in the instance's scripts"
    return {need for command in found for need in COMMANDS[command]}


def commands(script: str) -> set[str]:
    text = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))
    aws = {" ".join(found) for found in re.findall(r"\baws ([a-z0-9]+) ([a-z][a-z-]+)", text)}
    return aws | set(re.findall(r"/(cfn-signal|amazon-cloudwatch-agent-ctl)\b", text))


# --- who starts executions and functions ----------------------------------------------------------------------------


def of_events(roles: Roles) -> set[Grant]:
    return set(_of_events(roles))


def _of_events(roles: Roles) -> Iterator[Grant]:
    for resource in roles.template["Resources"].values():
        properties = resource.get("Properties", {})
        if not roles.resolver.exists(resource):
            continue
        if resource["Type"] == "AWS::Events::Rule":
            targets = properties["Targets"]
        elif resource["Type"] == "AWS::Scheduler::Schedule":
            targets = [properties["Target"]]
        else:
            continue
        for target in targets:
            if "RoleArn" in target:
                arn, (role, _) = roles.resolver.value(target["Arn"]), target["RoleArn"]["Fn::GetAtt"]
                yield Grant(role.removesuffix("Role"), _STARTS[arn.split(":")[2]], arn)


_STARTS = {"states": "states:StartExecution", "lambda": "lambda:InvokeFunction"}
"""By the service that a rule or a schedule calls."""
