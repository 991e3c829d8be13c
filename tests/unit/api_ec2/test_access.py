"""Who may ask."""

import inspect

import pytest

from api_ec2 import access
from api_ec2.access import Access
from rowferry.errors import SettingError

NEW, OLD = "the-new-token-0123456789", "the-old-token-0123456789"


def test_two_tokens_open_at_once_so_that_one_can_be_replaced() -> None:
    both = Access.from_env({"API_TOKEN": NEW, "API_TOKEN_PREVIOUS": OLD})
    assert both.allows(f"Bearer {NEW}")
    assert both.allows(f"Bearer {OLD}")
    assert not Access.from_env({"API_TOKEN": NEW}).allows(f"Bearer {OLD}")


@pytest.mark.parametrize(
    "header", ["", NEW, f"Basic {NEW}", "Bearer", "Bearer ", f"Bearer {NEW}x", f"Bearer {NEW[:-1]}", "Bearer Ωmega"]
)
def test_nothing_else_opens(header: str) -> None:
    assert not Access((NEW,)).allows(header)


def test_the_scheme_is_written_in_any_case() -> None:
    assert Access((NEW,)).allows(f"bEARER {NEW}")


@pytest.mark.parametrize("env", [{}, {"API_TOKEN": ""}, {"API_TOKEN": " "}, {"API_OPEN": "yes"}])
def test_without_a_token_nothing_starts(env: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="API_TOKEN is missing"):
        Access.from_env(env)


def test_only_a_machine_that_says_so_is_open() -> None:
    assert Access.from_env({"API_OPEN": "1"}).allows("")
    assert not Access.from_env({"API_OPEN": "1", "API_TOKEN": NEW}).allows("")


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "a-token-with-ümläuts", "a-token-with\ttab-in-it"])
@pytest.mark.parametrize("name", ["API_TOKEN", "API_TOKEN_PREVIOUS"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_none(name: str, token: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is no token"):
        Access.from_env({"API_TOKEN": NEW, name: token})


def test_a_token_is_not_shown_where_its_owner_is_printed() -> None:
    assert NEW not in repr(Access((NEW,)))


def test_tokens_are_compared_in_constant_time_only() -> None:
    code = inspect.getsource(access.Access.allows)
    assert "hmac.compare_digest(given, known.encode()) for known in self.tokens" in code
    assert " == known" not in code
