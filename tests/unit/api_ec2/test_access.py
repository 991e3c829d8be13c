"""Who may ask."""

import inspect

import pytest

from api_ec2 import access
from api_ec2.access import Access
from rowferry.errors import SettingError

NEW, OLD = "the-new-token-0123456789", "the-old-token-0123456789"


def test_two_tokens_open_at_once_so_that_one_can_be_replaced() -> None:
    for role, variable in (("operator", "API_OPERATOR_TOKEN"), ("validator", "API_VALIDATOR_TOKEN")):
        before = {"API_OPERATOR_TOKEN": "somebody-elses-token", variable: NEW}
        both = Access.from_env(before | {f"{variable}_PREVIOUS": OLD})
        assert (both.role(f"Bearer {NEW}"), both.role(f"Bearer {OLD}")) == (role, role)
        assert Access.from_env(before).role(f"Bearer {OLD}") is None


def test_a_token_has_one_role_only() -> None:
    with pytest.raises(SettingError, match="API_VALIDATOR_TOKEN is an operator's token too"):
        Access.from_env({"API_OPERATOR_TOKEN": NEW, "API_OPERATOR_TOKEN_PREVIOUS": OLD, "API_VALIDATOR_TOKEN": OLD})


def test_a_validators_token_alone_starts_nothing_even_on_an_open_machine() -> None:
    with pytest.raises(SettingError, match="API_OPERATOR_TOKEN is missing"):
        Access.from_env({"API_VALIDATOR_TOKEN": NEW, "API_OPEN": "1"})


@pytest.mark.parametrize(
    "header", ["", NEW, f"Basic {NEW}", "Bearer", "Bearer ", f"Bearer {NEW}x", f"Bearer {NEW[:-1]}", "Bearer Ωmega"]
)
def test_nothing_else_opens(header: str) -> None:
    assert Access((NEW,)).role(header) is None


def test_the_scheme_is_written_in_any_case() -> None:
    assert Access((NEW,)).role(f"bEARER {NEW}") == "operator"


@pytest.mark.parametrize("env", [{}, {"API_OPERATOR_TOKEN": ""}, {"API_OPERATOR_TOKEN": " "}, {"API_OPEN": "yes"}])
def test_without_a_token_nothing_starts(env: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="API_OPERATOR_TOKEN is missing"):
        Access.from_env(env)


def test_only_a_machine_that_says_so_is_open() -> None:
    assert Access.from_env({"API_OPEN": "1"}).role("") == "operator"
    assert Access.from_env({"API_OPEN": "1", "API_OPERATOR_TOKEN": NEW}).role("") is None


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "a-token-with-ümläuts", "a-token-with\ttab-in-it"])
@pytest.mark.parametrize("name", ["API_OPERATOR_TOKEN", "API_OPERATOR_TOKEN_PREVIOUS", "API_VALIDATOR_TOKEN"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_none(name: str, token: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is no token"):
        Access.from_env({"API_OPERATOR_TOKEN": NEW, name: token})


def test_a_token_is_not_shown_where_its_owner_is_printed() -> None:
    assert NEW not in repr(Access((NEW,)))


def test_tokens_are_compared_in_constant_time_only() -> None:
    code = inspect.getsource(access)
    assert "hmac.compare_digest(given, known.encode()) for known in tokens" in code
    assert " == known" not in code
