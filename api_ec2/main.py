"""The app: routes, and one handler that turns our errors into answers. Run: `uvicorn api_ec2.main:app`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

import rowferry
from api_ec2.deps import require_token
from api_ec2.routes import health, metrics, runs, upload
from rowferry.errors import BadRequest, Later, NotFound, Refused, RowferryError, TooLarge, UnknownTable

_STATUS: tuple[tuple[type[RowferryError], int], ...] = (
    (UnknownTable, 404),
    (NotFound, 404),
    (TooLarge, 413),
    (BadRequest, 422),
    (Refused, 422),
    (Later, 503),
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What was imported stays: kept out of the garbage collector's way, which a chunk's many tuples call often."""
    gc.collect()
    gc.freeze()
    yield


def create_app() -> FastAPI:
    app = FastAPI(
        lifespan=lifespan,
        title="Rowferry",
        version=rowferry.__version__,
        summary="Carries CSV files into MySQL and accounts for every row",
    )
    app.include_router(health.router)
    for router in (upload.router, metrics.router, runs.router):
        app.include_router(router, dependencies=[Depends(require_token)])
    app.add_exception_handler(RowferryError, answer_error)
    return app


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """A caller's mistake in words; anything else without its inner workings."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    detail = str(error) if status < 500 else "not available, try again" if status == 503 else "an internal error"
    return JSONResponse({"detail": detail}, status, {"Retry-After": "5"} if status == 503 else None)


app = create_app()
