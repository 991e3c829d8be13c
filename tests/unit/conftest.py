"""Unit tests need nothing but Python: sockets are closed, and each property test draws the same examples each time."""

from collections.abc import Iterator

import hypothesis
import pytest
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

hypothesis.settings.register_profile(
    "rowferry", derandomize=True, database=None, deadline=None, max_examples=300, print_blob=True
)
hypothesis.settings.load_profile("rowferry")


@pytest.fixture(autouse=True)
def closed_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture
def loopback(closed_sockets: None) -> None:
    """Opens sockets for one test, to this machine alone."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
