"""BootstrapFunction: CloudFormation asks for the database to be made ready, and is answered through a presigned URL."""

import json
import os
from typing import Literal

import urllib3
from pydantic import BaseModel, Field

from rowferry.bootstrap import bootstrap
from rowferry.config import BootstrapSettings
from runtime import Answer, handler, logger


class Request(BaseModel):
    """A custom resource's event. Its properties only make CloudFormation call again, so they are not read."""

    kind: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    answer_to: str = Field(alias="ResponseURL")
    stack: str = Field(alias="StackId")
    request: str = Field(alias="RequestId")
    resource: str = Field(alias="LogicalResourceId")


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
    try:
        bootstrap(BootstrapSettings.from_env(os.environ))
    except Exception as error:  # whatever it is: a stack that is not answered hangs for as long as an hour
        logger.exception("the database could not be made ready")
        return f"{type(error).__name__}: {error}"[:1_000]
    return ""


def tell(url: str, answer: Answer) -> None:
    """The URL is signed for a PUT without a content type. Lambda calls again where this fails."""
    told = urllib3.request(
        "PUT", url, body=json.dumps(answer), headers={"Content-Type": ""}, timeout=10, retries=urllib3.Retry(5)
    )
    if told.status >= 300:
        raise RuntimeError(f"CloudFormation's bucket answered HTTP {told.status}")
