"""What routes depend on: settings, a database session, the caller's token."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, HTTPException, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from api_ec2.access import Access, Role
from api_ec2.database import Places
from api_ec2.limits import Limits
from rowferry import ledger
from rowferry.config import Settings
from rowferry.errors import SettingError
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from rowferry.storage.s3 import Bucket


class Problem(BaseModel):
    """`detail` explains what went wrong."""

    detail: str


@lru_cache
def _settings() -> Settings:
    return Settings.from_env(os.environ)


async def settings() -> Settings:
    """Asynchronous, like all dependencies of every request, because FastAPI calls a plain function in a thread."""
    return _settings()


async def bounded_settings(request: Request, settings: Annotated[Settings, Depends(settings)]) -> Settings:
    """With these settings, a session fails soon if the database accepts connections and does not answer."""
    limits: Limits = request.app.state.limits
    return replace(settings, connect_seconds=limits.connect)


SettingsDep = Annotated[Settings, Depends(bounded_settings)]


@lru_cache
def _bucket(name: str) -> Bucket:
    """Kept between requests, because creating a client takes longer than a request's work with the client."""
    return Bucket(name)


def bucket(settings: SettingsDep) -> Bucket:
    """Raises: SettingError if BUCKET is not set."""
    if not settings.bucket:
        raise SettingError("the environment variable BUCKET is missing")
    return _bucket(settings.bucket)


BucketDep = Annotated[Bucket, Depends(bucket)]


async def place(request: Request) -> AsyncIterator[None]:
    """One of the process's places for a session.

    Raises: DatabaseUnavailable.
    """
    places: Places = request.app.state.places
    async with places.place():
        yield


Place = Annotated[None, Depends(place, scope="function")]


def session(request: Request, settings: SettingsDep, place: Place) -> Iterator[Connection]:
    """A database session for one request. `Limits.query` limits a query; the server's answer may take a little longer.

    Raises: WrongSchema, DatabaseUnavailable.
    """
    limits: Limits = request.app.state.limits
    with ledger.session(replace(settings, answer_seconds=limits.query + limits.connect)) as conn:
        mysql.run(conn, "SET SESSION max_execution_time = %s", (round(limits.query * 1_000),))
        yield conn


Session = Annotated[Connection, Depends(session, scope="function")]
"""Closed before the answer is sent, so a client that reads slowly holds no connection."""


async def caller(request: Request) -> Role | None:
    """The caller's role; None without a valid token."""
    access: Access = request.app.state.access
    return access.role(request.headers.get("authorization", ""))


Caller = Annotated[Role | None, Depends(caller)]

described_token = HTTPBearer(auto_error=False, scheme_name="token", description="An operator's token or a validator's")
"""Only for the API's description, so that programs which read it ask for a token. `caller` reads the header."""


async def refuse_unknown(request: Request) -> None:
    """Rejects unknown parameters: with `dryrun` instead of `dry_run`, a restore would write rows.

    Raises: RequestValidationError for a parameter that the route does not know, or that is given twice.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = {name: f"given {times} times" for name, times in given.items() if times > 1}
    unknown = f"unknown; the route's parameters are: {', '.join(sorted(known)) or 'none'}"
    wrong |= {name: unknown for name in given if name not in known}
    if wrong:
        faults = [{"type": "parameter", "loc": ("query", name), "msg": words} for name, words in wrong.items()]
        raise RequestValidationError(faults)


async def require_validator(caller: Caller) -> None:
    """Raises: HTTPException 401 without a valid token of either role."""
    if caller is None:
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "a valid bearer token is needed", headers)


async def require_operator(caller: Caller) -> None:
    """Raises: HTTPException 401 without a valid token, 403 with one that may only validate chunks."""
    await require_validator(caller)
    if caller != "operator":
        words = "this token may only validate chunks (POST /upload_csv); everything else needs the operator's token"
        raise HTTPException(status.HTTP_403_FORBIDDEN, words)
