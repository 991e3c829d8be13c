"""Whether database and process are available. Only these routes need no token."""

import time
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api_ec2.database import Looks
from api_ec2.deps import Caller, SettingsDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether a file could be loaded now. `missing` names tables, for operators.

    `age_seconds`: how long ago the database was checked; all callers within two seconds share one check.
    """

    status: Literal["ok", "unavailable"]
    database: bool
    tables: bool
    missing: list[str] | None = None
    age_seconds: float


@router.head("/", include_in_schema=False)
@router.get("/", responses={503: {"model": Health}})
async def health(request: Request, settings: SettingsDep, caller: Caller, response: Response) -> Health:
    """Whether the database answers and has the required tables. The answer comes within five seconds in every case."""
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
    """Answers if the process is alive, whether or not the database is available."""
    return {"status": "alive"}
