"""A local stack of the tests' own: our template on the emulator, real MySQL, the API; empty tables for each test."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.stack import running
from tests.support.stack_client import World


@pytest.fixture(scope="session")
def stack_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("stack")) as stack, closing(World(stack)) as world:
        yield world


@pytest.fixture
def world(stack_world: World) -> World:
    stack_world.empty_tables()
    return stack_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the logs of everything comes last."""
    items.sort(key=lambda item: item.path.name == "test_logs.py")
