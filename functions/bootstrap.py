"""BootstrapFunction: users, rights and tables, with the credentials that CredentialsFunction calls it with."""

import os
import time

from pydantic import BaseModel, SecretStr

from rowferry.config import BootstrapSettings
from rowferry.setup.bootstrap import bootstrap
from runtime import Answer, ends, handler, logger


class Request(BaseModel):
    """`credentials`: as environment variables are named; they are never in this function's own environment.

    `release`: the same for the same code and settings, so that one is known which a rollback brings back.
    """

    credentials: dict[str, SecretStr]
    release: str = ""


@handler(Request)
def handle(event: Request) -> Answer:
    given = {name: value.get_secret_value() for name, value in event.credentials.items()}
    settings = BootstrapSettings.from_env({**os.environ, **given})
    if put_up_with := bootstrap(settings, ends() - time.monotonic(), event.release):
        logger.error("a rollback leaves tables as they are", extra={"reason": put_up_with})
    return {"outcome": "done", "reason": ""}
