"""Ports of 127.0.0.1 at another address of this machine, for as long as a container needs them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

BLOCK = 64 * 1024


@contextmanager
def forwarded(address: str, *ports: int, at: int = 0) -> Iterator[list[int]]:
    """The ports at `address` that lead to those of 127.0.0.1: free ones, or `at`.

    Raises: OSError where this machine does not have the address.
    """
    with ExitStack() as open_ones:
        listeners = [open_ones.enter_context(socket.create_server((address, at))) for _ in ports]
        for listener, port in zip(listeners, ports, strict=True):
            threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield [listener.getsockname()[1] for listener in listeners]


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):  # closed: the end
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK):
            sink.sendall(block)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    sink.close()
