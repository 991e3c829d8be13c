"""Limits on the size, time and rate of requests, and the headers that every answer has, also an error's.

Each process counts its own requests: two workers together allow twice as much.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_ec2.access import Access
from api_ec2.console import session

log = logging.getLogger("uvicorn.error")

CHUNKS = "/upload_csv"
ALIVE = "/livez"

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TLS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}


@dataclass(frozen=True)
class Rate:
    """Requests of one client: on average in a second, and at the same time."""

    a_second: float
    at_once: int


@dataclass(frozen=True)
class Limits:
    """`chunks` is much more than one file's functions send at full speed. `strangers`: clients without a token.

    `arrive`: seconds until a request's body must have arrived; `query`: seconds for a database query. `headers`: bytes.

    For the database: `sessions` is how many sessions a process may use for requests at the same time. `place`: seconds
    that a request waits for a session. `connect`: seconds for each answer of the server during a login. `look`: seconds
    for a database answer to `GET /`, which reuses a result until it is older than `fresh` seconds. While the database
    is frozen, requests get 503 after `place` plus `connect` at most.
    """

    chunks: Rate = Rate(1_000, 4_000)
    others: Rate = Rate(20, 60)
    strangers: Rate = Rate(2, 30)
    arrive: float = 30
    query: float = 25  # API Gateway waits for 30
    headers: int = 16 * 1024
    sessions: int = 4
    place: float = 2
    connect: float = 3
    look: float = 2
    fresh: float = 2
    rows_on_lambda: int = 5_000_000  # docs/backup.md: rows that the fastest way backs up in 19 s


LIMITS = Limits()


class Bucket:
    """A token bucket for each client; clients that have sent no request for long are removed."""

    def __init__(self, rate: Rate, clients: int = 10_000) -> None:
        self._rate = rate
        self._clients = clients
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Takes a token and returns 0, or returns the seconds until the next token."""
        left, at = self._left.pop(client, (float(self._rate.at_once), now))
        left = min(self._rate.at_once, left + (now - at) * self._rate.a_second)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > self._clients:
            self._left.popitem(last=False)
        return 0 if allowed else (1 - left) / self._rate.a_second


@dataclass
class _Refusal(Exception):
    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


class Guard:
    """The outermost ASGI middleware: every request and every answer goes through it."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._chunks, self._others = Bucket(limits.chunks), Bucket(limits.others)
        self._strangers = Bucket(limits.strangers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            self._check(scope)
            await self._app(scope, self._in_time(receive), answer)
        except _Refusal as refusal:
            await answer.refuse(refusal)
        except ClientDisconnect:
            log.info("%s: the client disconnected", scope["path"])
        except Exception:
            log.exception("%s failed", scope["path"])
            await answer.refuse(_Refusal(500, "an internal error"))

    def _check(self, scope: Scope) -> None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        size += len(scope["query_string"]) + len(scope["path"])
        if size > self._limits.headers:
            raise _Refusal(431, f"headers, path and query are larger than {self._limits.headers} bytes")
        if scope["path"] == ALIVE:
            return
        client = scope["client"][0] if scope.get("client") else "unknown"
        wait = self._bucket(scope).wait(client, time.monotonic())
        if wait:
            seconds = str(max(1, round(wait + 0.5)))
            raise _Refusal(429, f"too many requests; try again in {seconds} s", {"Retry-After": seconds})

    def _bucket(self, scope: Scope) -> Bucket:
        headers = Headers(scope=scope)
        if self._access.role(headers.get("authorization", "")) is None:
            signed_in = scope["path"].startswith(session.PATH) and session.current(
                self._access, headers.get("cookie", "")
            )
            return self._others if signed_in else self._strangers
        return self._chunks if scope["path"] == CHUNKS else self._others

    def _in_time(self, receive: Receive) -> Receive:
        deadline = time.monotonic() + self._limits.arrive
        arrived = False

        async def receive_in_time() -> Message:
            nonlocal arrived
            if arrived:  # the app now waits for the client to disconnect
                return await receive()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise _Refusal(408, f"the request took longer than {self._limits.arrive:g} s to arrive") from None
            arrived = not message.get("more_body", False)
            return message

        return receive_in_time


class _Answer:
    """`send` with the headers that every answer has."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._more = SECURITY | (TLS_ONLY if scope.get("scheme") == "https" else {})
        self._send = send
        self._begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            for name, value in self._more.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self, refusal: _Refusal) -> None:
        if self._begun:  # too late for another status, so the connection is closed
            raise RuntimeError("the answer broke off") from refusal
        body = json.dumps({"detail": refusal.detail}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        raw = [(name.encode(), value.encode()) for name, value in (headers | refusal.headers).items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body})
