"""Proxies on 127.0.0.1 that do to a connection what networks and servers do on bad days."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import h11
import psutil

_BLOCK = 64 * 1024
_CLOSED = (ConnectionError, asyncio.IncompleteReadError, OSError)


class Loop:
    """One event loop in a thread of its own, for all proxies of a stack."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def call(self, act: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(act)

    def close(self) -> None:
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Trap:
    """Springs once: at a connection's `packets`-th packet that matches, when `skip` such ones have gone by.

    `act`: gets the port of the client's end; its answer says whether the packet still goes on its way.
    `fired`: how often it did.
    """

    act: Callable[[int], bool]
    skip: int = 0
    matches: Callable[[str], bool] = lambda _: True
    armed: bool = True
    fired: int = 0

    def springs(self, what: str) -> bool:
        if not self.armed or not self.matches(what):
            return False
        self.skip -= 1
        if self.skip >= 0:
            return False
        self.armed = False
        self.fired += 1
        return True


class _Proxy:
    def __init__(self, loop: Loop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self.refusing = False
        self.traps: list[Trap] = []
        self._server: asyncio.Server = loop.run(self._start())
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def close(self) -> None:
        self._loop.call(self._server.close)
        self.cut_all()

    def cut_all(self) -> int:
        """Aborts every connection that is open; answers how many ends there were."""
        ends = list(self._open)
        for end in ends:
            self._loop.call(end.transport.abort)
        return len(ends)

    def heal(self) -> None:
        self.refusing = False
        for trap in self.traps:
            trap.armed = False
        self.traps.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.refusing:
                writer.transport.abort()
            else:
                await self._serve(reader, writer)
        except _CLOSED:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TcpProxy(_Proxy):
    """Passes bytes on. A trap's packet is a piece that a client sent."""

    def __init__(self, loop: Loop, target: int) -> None:
        self.stalled = False
        super().__init__(loop, target)

    def heal(self) -> None:
        super().heal()
        self.stalled = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(there)
        client = writer.get_extra_info("peername")[1]
        pumps = [asyncio.create_task(self._pump(reader, there, client)), asyncio.create_task(self._pump(back, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._open.discard(there)
            there.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: int = 0) -> None:
        while block := await source.read(_BLOCK):
            while self.stalled:
                await asyncio.sleep(0.02)
            passes = True
            for trap in list(self.traps) if client else []:
                if trap.springs(""):
                    passes = trap.act(client)
            if passes:
                sink.write(block)
                await sink.drain()
            if not passes or (client and sink.is_closing()):
                return


@dataclass
class Request:
    method: str
    target: str
    head: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"

    def raw(self) -> bytes:
        """As it goes on: by a connection of its own, its body in one piece."""
        dropped = {b"connection", b"content-length", b"transfer-encoding", b"expect"}
        lines = [b"%s: %s" % pair for pair in self.head if pair[0].lower() not in dropped]
        lines += [b"Connection: close", b"Content-Length: %d" % len(self.body)]
        start = f"{self.method} {self.target} HTTP/1.1".encode()
        return b"\r\n".join([start, *lines, b"", self.body])


@dataclass
class HttpFault:
    """What happens to the next `times` requests that match.

    `how`: `status` answers `answer`; `half` cuts the server's answer in two; `lost` drops the whole answer, though the
    server did as it was told; `drop` drops the request; `slow` waits `seconds` first; `trap` calls `act` with the
    client's port and drops the request, `trap_after` the same when the server has done it.
    """

    how: str
    matches: Callable[[str], bool] = lambda _: True
    times: int = 1
    answer: bytes = b""
    seconds: float = 0
    act: Callable[[int], object] = lambda _: None
    fired: int = 0

    def takes(self, line: str) -> bool:
        if self.fired >= self.times or not self.matches(line):
            return False
        self.fired += 1
        return True


def answer(status: int, body: bytes, kind: bytes = b"text/plain", more: bytes = b"") -> bytes:
    """A whole HTTP answer."""
    head = b"HTTP/1.1 %d Fault\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n"
    return head % (status, kind, len(body), more) + body


class HttpProxy(_Proxy):
    """Takes one request at a time from a connection, whole; faults are asked in their order."""

    def __init__(self, loop: Loop, target: int, dice: random.Random) -> None:
        self.faults: list[HttpFault] = []
        self._dice = dice
        super().__init__(loop, target)

    def heal(self) -> None:
        super().heal()
        self.faults.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._request(reader, writer)
        if request is None:
            return
        fault = next((fault for fault in list(self.faults) if fault.takes(request.line)), None)
        client = writer.get_extra_info("peername")[1]
        if fault and fault.how == "status":
            writer.write(fault.answer)
        elif fault and fault.how in ("drop", "trap"):
            fault.act(client)
            return
        else:
            if fault and fault.how == "slow":
                await asyncio.sleep(fault.seconds)
            whole = await self._forward(request)
            if fault and fault.how in ("lost", "trap_after"):
                fault.act(client)
                return
            writer.write(whole[: self._dice.randrange(1, len(whole))] if fault and fault.how == "half" else whole)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
        parser = h11.Connection(h11.SERVER)
        request, body = None, list[bytes]()
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                if parser.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(parser.send(go_on) or b"")
                block = await reader.read(_BLOCK)
                if not block:
                    return None
                parser.receive_data(block)
            elif isinstance(event, h11.Request):
                head = [(bytes(name), bytes(value)) for name, value in event.headers]
                request = Request(event.method.decode(), event.target.decode("latin-1"), head, b"")
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and request:
                request.body = b"".join(body)
                return request
            else:
                return None

    async def _forward(self, request: Request) -> bytes:
        back, there = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            there.write(request.raw())
            await there.drain()
            return await back.read(-1)
        finally:
            there.transport.abort()


@dataclass
class Peers:
    """Finds the process at the other end of a connection."""

    family: Callable[[], list[psutil.Process]] = field(repr=False)

    def of(self, port: int) -> psutil.Process | None:
        """The one among our servers' children whose end of a connection has this port."""
        for process in self.family():
            try:
                ends = [end.laddr[1] for end in process.net_connections("tcp")]
            except psutil.Error:
                continue
            if port in ends:
                return process
        return None
