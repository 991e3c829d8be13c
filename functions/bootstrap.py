"""BootstrapFunction: users, rights and tables, with the credentials that CredentialsFunction calls it with."""

import os
import time

from pydantic import BaseModel, SecretStr

from rowferry.bootstrap import bootstrap
from rowferry.config import BootstrapSettings
from runtime import Answer, ends, handler


class Request(BaseModel):
    """`credentials`: as environment variables are named; they are never in this function's own environment."""

    credentials: dict[str, SecretStr]


@handler(Request)
def handle(event: Request) -> Answer:
    given = {name: value.get_secret_value() for name, value in event.credentials.items()}
    bootstrap(BootstrapSettings.from_env({**os.environ, **given}), patience=ends() - time.monotonic())
    return {"outcome": "done", "reason": ""}
