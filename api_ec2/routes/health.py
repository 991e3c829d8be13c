"""Is it there? The only routes that need no token."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api_ec2.deps import Caller, SettingsDep
from rowferry import db, schema
from rowferry.errors import RowferryError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether a file could be loaded now. `missing` names tables, for operators."""

    status: Literal["ok", "unavailable"]
    database: bool
    tables: bool
    missing: list[str] | None = None


@router.head("/", include_in_schema=False)
@router.get("/", responses={503: {"model": Health}})
def health(settings: SettingsDep, caller: Caller, response: Response) -> Health:
    """Is the database there, with the required tables?"""
    try:
        with db.session(settings) as conn:
            missing = schema.missing(conn)
    except RowferryError:
        response.status_code = 503
        return Health(status="unavailable", database=False, tables=False)
    if missing:
        response.status_code = 503
    shown = missing if caller == "operator" else None
    return Health(status="unavailable" if missing else "ok", database=True, tables=not missing, missing=shown)


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def alive() -> dict[str, str]:
    """The process lives, whatever its database does."""
    return {"status": "alive"}
