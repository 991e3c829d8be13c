"""CredentialsFunction: CloudFormation asks for the database to be made ready, and is answered by a presigned URL.

It runs outside the VPC, where it can read the secrets and answer; BootstrapFunction inside the VPC does the work. So no
function has the administrator's password in its environment.
"""

import hashlib
import json
import os
import time
from typing import Literal

import urllib3
from pydantic import BaseModel, ConfigDict, Field

from rowferry.setup.credentials import call_and_wait, read_credentials
from runtime import Answer, ends, handler, logger


class Secrets(BaseModel):
    """The properties that are read: ARNs. All of them together name what is deployed."""

    model_config = ConfigDict(extra="allow")

    admin: str = Field(alias="AdminSecret")
    app: str = Field(alias="AppSecret")
    reporting: str = Field(alias="BiSecret")

    @property
    def release(self) -> str:
        """The same for the same properties: where a deploy is rolled back, those of the one before come again."""
        told = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class Request(BaseModel):
    """A custom resource's event."""

    kind: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    answer_to: str = Field(alias="ResponseURL")
    stack: str = Field(alias="StackId")
    request: str = Field(alias="RequestId")
    resource: str = Field(alias="LogicalResourceId")
    secrets: Secrets = Field(alias="ResourceProperties")


@handler(Request)
def handle(event: Request) -> Answer:
    reason = carry_out(event)
    answer = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason,
        "PhysicalResourceId": "rowferry-database",  # always the same: another one would have this one deleted
        "StackId": event.stack,
        "RequestId": event.request,
        "LogicalResourceId": event.resource,
        "Data": {"User": os.environ["DB_USER"]},  # the other functions' environment takes it from here: after this
    }
    tell(event.answer_to, answer)
    return {"outcome": "failed" if reason else "done", "reason": reason}


def carry_out(event: Request) -> str:
    """Why it failed; empty where it did not. Delete leaves database and users as they are."""
    if event.kind == "Delete":
        return ""
    secrets = event.secrets
    try:
        credentials = read_credentials(secrets.admin, secrets.app, secrets.reporting)
        event_for_it = {"credentials": dict(credentials), "release": secrets.release}
        answer = call_and_wait(os.environ["BOOTSTRAP_FUNCTION"], event_for_it, ends() - time.monotonic())
        return "" if answer["outcome"] == "done" else str(answer["reason"])[:1_000]
    except Exception as error:  # whatever it is: a stack that is not answered hangs for as long as an hour
        logger.exception("the database could not be made ready")
        return f"{type(error).__name__}: {error}"[:1_000]


def tell(url: str, answer: Answer) -> None:
    """The URL is signed for a PUT without a content type. Lambda calls again where this fails."""
    told = urllib3.request(
        "PUT", url, body=json.dumps(answer), headers={"Content-Type": ""}, timeout=10, retries=urllib3.Retry(5)
    )
    if told.status >= 300:
        raise RuntimeError(f"CloudFormation's bucket answered HTTP {told.status}")
