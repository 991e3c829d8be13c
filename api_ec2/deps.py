"""What routes depend on: settings, a database session, the caller's token."""

import hmac
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, HTTPException, Request, status

from rowferry import db
from rowferry.config import Settings
from rowferry.db import Connection


@lru_cache
def _settings() -> Settings:
    return Settings.from_env(os.environ)


async def settings() -> Settings:
    """Like the other dependencies of every request asynchronous: FastAPI calls a plain function in a thread."""
    return _settings()


SettingsDep = Annotated[Settings, Depends(settings)]


def session(settings: SettingsDep) -> Iterator[Connection]:
    """A database session for one request."""
    with db.session(settings) as conn:
        yield conn


Session = Annotated[Connection, Depends(session)]


async def is_authorised(request: Request, settings: SettingsDep) -> bool:
    """Whether the caller sent the token; true where none is set, as on a private machine."""
    given = request.headers.get("authorization", "")
    return not settings.api_token or hmac.compare_digest(given.encode(), f"Bearer {settings.api_token}".encode())


Authorised = Annotated[bool, Depends(is_authorised)]


async def require_token(authorised: Authorised) -> None:
    if not authorised:
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "a valid bearer token is needed", headers)
