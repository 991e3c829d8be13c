"""Signing in and out, and the files that every page loads."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from api_ec2.console import session
from api_ec2.console.pages import HEADERS, HERE, CheckedForm, SmallForm, go, here, page

router = APIRouter(include_in_schema=False)

STATIC = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


@router.get("/console/static/{name}")
async def static(name: str) -> Response:
    if name not in STATIC:
        return Response(status_code=404)
    headers = HEADERS | {"Cache-Control": "private, max-age=3600"}
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers=headers)


@router.get("/console/sign-in")
def sign_in_page(request: Request, next: Annotated[str, Query(max_length=2_000)] = session.PATH) -> Response:
    if session.current(request.app.state.access, request.headers.get("cookie", "")) is not None:
        return go(here(next))
    return page(request, "sign_in.html", next=here(next), wrong=False)


@router.post("/console/sign-in")
def sign_in(request: Request, form: SmallForm) -> Response:
    token, wanted = str(form.get("token", "")).strip(), here(str(form.get("next", "")))
    if not session.is_operator(request.app.state.access, token):
        return page(request, "sign_in.html", 401, next=wanted, wrong=True)
    answer = go(wanted)
    answer.set_cookie(
        session.COOKIE,
        session.begin(token),
        max_age=session.SECONDS,
        path=session.PATH,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/console/sign-out")
def sign_out(form: CheckedForm) -> Response:
    answer = go(f"{session.PATH}/sign-in")
    answer.delete_cookie(session.COOKIE, path=session.PATH, httponly=True, samesite="strict")
    return answer
