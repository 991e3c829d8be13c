"""The app: routes, and one handler that turns our errors into answers. `uvicorn --factory api_ec2.main:from_env`."""

import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.routing import compile_path

import rowferry
from api_ec2.access import Access
from api_ec2.bounds_on_lambda import SECONDS, STATUS, NotOnLambda, in_words
from api_ec2.console import metrics as metrics_pages
from api_ec2.console import pages, sign_in
from api_ec2.console import runs as run_pages
from api_ec2.console import tables as table_pages
from api_ec2.console import upload as upload_pages
from api_ec2.database import Looks, Places
from api_ec2.deps import Problem, described_token, refuse_unknown, require_operator, require_validator
from api_ec2.limits import LIMITS, Guard, Limits
from api_ec2.routes import backups, health, metrics, runs, upload
from rowferry.errors import (
    BackupDamaged,
    BadRequest,
    Conflict,
    Later,
    NotFound,
    OutOfTime,
    Refused,
    RowferryError,
    TooLarge,
    UnknownTable,
)
from rowferry.ledger import WrongSchema

log = logging.getLogger("uvicorn.error")

_STATUS: tuple[tuple[type[RowferryError], int], ...] = (
    (UnknownTable, 404),
    (NotFound, 404),
    (TooLarge, 413),
    (OutOfTime, STATUS),
    (NotOnLambda, STATUS),
    (Conflict, 409),
    (BackupDamaged, 409),
    (BadRequest, 422),
    (Refused, 422),
    (Later, 503),
)


def _refusal(words: str) -> dict[str, Any]:
    return {"model": Problem, "description": words}


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: _refusal("No valid token was sent"),
    408: _refusal("The request took too long to arrive"),
    422: _refusal("A parameter is missing, unknown or has a wrong value"),
    429: _refusal("Too many requests; Retry-After says when to try again"),
    431: _refusal("Headers and query are too large"),
    503: _refusal("The database is not available; Retry-After says when to try again"),
}
FORBIDDEN: dict[int | str, dict[str, Any]] = {403: _refusal("The token may only validate chunks")}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Excludes imported objects from garbage collection, which a chunk's many tuples start often."""
    gc.collect()
    gc.freeze()
    yield


def create_app(access: Access, limits: Limits = LIMITS) -> FastAPI:
    """The app for these callers. All routes except `/` and `/livez` need a token. All of these except `/upload_csv`
    need an operator's token, also the API's own description.

    No page shows the description, because such pages load their scripts from other servers.
    """
    app = FastAPI(
        lifespan=lifespan,
        title="Rowferry",
        version=rowferry.__version__,
        summary="Loads CSV files into MySQL and accounts for every row",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.access = access
    app.state.limits = limits
    app.state.places = Places(limits)
    app.state.looks = Looks(limits)
    app.include_router(health.router)
    shared = [Depends(refuse_unknown), Depends(described_token)]
    app.include_router(upload.router, dependencies=[Depends(require_validator), *shared], responses=REFUSALS)
    for router in (metrics.router, runs.router, backups.router):
        responses = REFUSALS | FORBIDDEN
        app.include_router(router, dependencies=[Depends(require_operator), *shared], responses=responses)
    app.include_router(sign_in.router)
    for router in (run_pages.router, table_pages.router, metrics_pages.router, upload_pages.router):
        app.include_router(router, dependencies=[Depends(pages.require_session)])
    app.add_api_route(
        "/openapi.json",
        lambda: JSONResponse(app.openapi()),
        dependencies=[Depends(require_operator)],
        include_in_schema=False,
    )
    app.add_exception_handler(RowferryError, answer_error)
    app.add_exception_handler(pages.NotSignedIn, pages.to_sign_in)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(status.HTTP_405_METHOD_NOT_ALLOWED, answer_method)
    app.add_middleware(Guard, access=access, limits=limits)
    return app


async def answer_error(request: Request, error: Exception) -> Response:
    """Explains a mistake of the caller; shows no internals of any other failure."""
    code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if code == 500:
        log.error("%s %s failed: %s: %s", request.method, request.url.path, type(error).__name__, error)
    if isinstance(error, OutOfTime):  # happens on Lambda only
        error = NotOnLambda(in_words(f"it takes longer than the {SECONDS} seconds of a call, and nothing was changed"))
    with_words = code < 500 or isinstance(error, (WrongSchema, NotOnLambda))
    detail = str(error) if with_words else "not available, try again" if code == 503 else "an internal error"
    if pages.is_console(request):
        return pages.error(request, code, detail)
    return JSONResponse({"detail": detail}, code, {"Retry-After": "5"} if code == 503 else None)


async def answer_http(request: Request, error: Exception) -> Response:
    """FastAPI's own answer; a page where a page was asked for."""
    assert isinstance(error, HTTPException)
    if pages.is_console(request):
        return pages.error(request, error.status_code, str(error.detail))
    return await http_exception_handler(request, error)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """A parameter that is missing, unknown or has a wrong value, in one sentence, as every other `detail` is."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    if pages.is_console(request):
        return pages.error(request, 422, "; ".join(faults))
    return JSONResponse({"detail": "; ".join(faults)}, 422)


async def answer_method(request: Request, error: Exception) -> JSONResponse:
    """Names every method that the path takes; Starlette names those of its first route only."""
    described = request.app.openapi()["paths"].items()
    fitting = [methods for path, methods in described if compile_path(path)[0].match(request.url.path)]
    allowed = sorted({method.upper() for methods in fitting for method in methods})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(allowed)})


def from_env() -> FastAPI:
    """The app with the settings of the environment.

    Raises: SettingError.
    """
    return create_app(Access.from_env(os.environ))
