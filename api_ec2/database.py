"""The API's database sessions: few at a time, so that enough are left for loading, and with a limit for every wait.

The application's user has 30 connections. Each of the instance's two processes uses 4 for requests, 1 for `GET /` and
4 for the two backups or restores that it carries out: 18 in all.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from api_ec2.limits import Limits
from rowferry.config import Settings
from rowferry.errors import DatabaseUnavailable, RowferryError
from rowferry.setup import tables
from rowferry.storage import mysql


class Places:
    """Limits how many requests of this process have a session. Others wait for a short time, without a thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.sessions)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises: DatabaseUnavailable if no session is free in time."""
        try:
            async with asyncio.timeout(self._limits.place):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(f"all {self._limits.sessions} sessions of this process are in use") from None
        try:
            yield
        finally:
            self._free.release()


@dataclass(frozen=True)
class Look:
    """What was found. `taken`: when it began, by time.monotonic. `missing`: tables, if the database answered."""

    taken: float
    answered: bool
    missing: tuple[str, ...] = ()


class Looks:
    """Checks of the database for `GET /`: one at a time, shared by concurrent callers, kept for `Limits.fresh`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._newest: Look | None = None
        self._under_way: asyncio.Task[Look] | None = None

    async def newest(self, settings: Settings) -> Look:
        if self._newest and time.monotonic() - self._newest.taken < self._limits.fresh:
            return self._newest
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._take(settings))
        return await asyncio.shield(self._under_way)

    async def _take(self, settings: Settings) -> Look:
        bounded = replace(settings, connect_seconds=self._limits.connect, answer_seconds=self._limits.look)
        try:
            self._newest = await asyncio.to_thread(_look, bounded)
            return self._newest
        finally:
            self._under_way = None


def _look(settings: Settings) -> Look:
    taken = time.monotonic()
    try:
        with mysql.session(settings) as conn:
            return Look(taken, True, tuple(tables.missing(conn)))
    except RowferryError:
        return Look(taken, False)
