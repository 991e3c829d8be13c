"""Renders the console's pages, and checks who asks for them."""

import hmac
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

import rowferry
from api_ec2.access import Access
from api_ec2.console import formats, session

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
FORM_BYTES = 64 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser sends forms without their origin
}


class NotSignedIn(Exception):
    """The browser has no valid session."""


@lru_cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(HERE / "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters |= {"number": formats.number, "moment": formats.moment, "duration": formats.duration}
    return found


def page(request: Request, name: str, code: int = 200, **values: Any) -> HTMLResponse:
    """A rendered template with the headers of every page."""
    access: Access = request.app.state.access
    value = session.current(access, request.headers.get("cookie", ""))
    shared = {
        "path": request.url.path,
        "signed_in": value is not None,
        "with_session": bool(value),
        "csrf": session.csrf(access, value or ""),
        "version": rowferry.__version__,
    }
    return HTMLResponse(_templates().get_template(name).render(shared | values), code, HEADERS)


def error(request: Request, status: int, detail: str) -> HTMLResponse:
    return page(request, "error.html", status, detail=detail, status=status)


def is_console(request: Request) -> bool:
    path = request.url.path
    return path == session.PATH or path.startswith(f"{session.PATH}/")


async def require_session(request: Request) -> None:
    """Raises: NotSignedIn."""
    if session.current(request.app.state.access, request.headers.get("cookie", "")) is None:
        raise NotSignedIn


async def to_sign_in(request: Request, error: Exception) -> Response:
    """The handler of NotSignedIn."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"{session.PATH}/sign-in" + (f"?next={quote(wanted, safe='')}" if request.method == "GET" else "")
    return RedirectResponse(target, 303, HEADERS)


def here(target: str) -> str:
    """A path of the console to go to; its first page where a link names anything else."""
    parts = urlsplit(target)
    inside = target == session.PATH or target.startswith((f"{session.PATH}/", f"{session.PATH}?"))
    return target if inside and not (parts.scheme or parts.netloc or "\\" in target) else session.PATH


def go(target: str) -> RedirectResponse:
    """After a form: the browser gets the page by GET."""
    return RedirectResponse(target, 303, HEADERS)


def assert_same_origin(request: Request) -> None:
    """Raises: HTTPException 403."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != host:
        raise HTTPException(403, "this form comes from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form comes from another site")


async def small_form(request: Request) -> FormData:
    """A form from one of our own pages.

    Raises: HTTPException 403 for a form of another origin, 413 for a large one.
    """
    assert_same_origin(request)
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > FORM_BYTES:
        raise HTTPException(413, f"a form has at most {FORM_BYTES} bytes")
    return await request.form(max_files=0, max_fields=20)


async def checked_form(request: Request) -> FormData:
    """A form of this session.

    Raises: HTTPException 403 where its CSRF token is not the session's.
    """
    form = await small_form(request)
    check_csrf(request, form)
    return form


def check_csrf(request: Request, form: FormData) -> None:
    """Raises: HTTPException 403."""
    access: Access = request.app.state.access
    value = session.current(access, request.headers.get("cookie", "")) or ""
    if not hmac.compare_digest(str(form.get("csrf", "")).encode(), session.csrf(access, value).encode()):
        raise HTTPException(403, "this page was opened in another session; open it again and repeat what you did")


SmallForm = Annotated[FormData, Depends(small_form)]
CheckedForm = Annotated[FormData, Depends(checked_form)]
