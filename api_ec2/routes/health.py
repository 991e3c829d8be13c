"""Is it there? The only routes that need no token."""

import time
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api_ec2.database import Looks
from api_ec2.deps import Caller, SettingsDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether a file could be loaded now. `missing` names tables, for operators.

    `age_seconds`: how long ago the database was looked at; all who ask within two seconds share one look.
    """

    status: Literal["ok", "unavailable"]
    database: bool
    tables: bool
    missing: list[str] | None = None
    age_seconds: float


@router.head("/", include_in_schema=False)
@router.get("/", responses={503: {"model": Health}})
async def health(request: Request, settings: SettingsDep, caller: Caller, response: Response) -> Health:
    """Is the database there, with the required tables? Answered within five seconds, whatever the database does."""
    looks: Looks = request.app.state.looks
    look = await looks.newest(settings)
    is_well = look.answered and not look.missing
    if not is_well:
        response.status_code = 503
    return Health(
        status="ok" if is_well else "unavailable",
        database=look.answered,
        tables=is_well,
        missing=list(look.missing) if look.answered and caller == "operator" else None,
        age_seconds=round(time.monotonic() - look.taken, 1),
    )


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def alive() -> dict[str, str]:
    """The process lives, whatever its database does."""
    return {"status": "alive"}
